"""What an unload did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnloadReport:
    """What an unload did.

    Args:
        table: Table name with its keyspace.
        url: Folder that was written to, without the login that a URL may hold.
        format: `parquet`, `csv` or `arrow`.
        rows: Rows in the files, those of an earlier attempt included.
        bytes: Bytes of the files.
        files: Files that are complete.
        splits: Files there will be at the end.
        resumed: How many of the files an earlier attempt had completed.
        retries: Times a request was sent again.
        seconds: Wall time of this attempt.
        cancelled: Whether it was stopped from outside before the end.
    """

    table: str
    url: str
    format: str = "parquet"
    rows: int = 0
    bytes: int = 0
    files: int = 0
    splits: int = 0
    resumed: int = 0
    retries: int = 0
    seconds: float = 0.0
    cancelled: bool = False

    @property
    def complete(self) -> bool:
        """Whether every file is there."""
        return self.files == self.splits

    @property
    def rows_per_second(self) -> float:
        """Rows per second of wall time, those of earlier attempts included; 0 without time."""
        return self.rows / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        text = f"{self.table}: {self.rows:,} rows unloaded in {self.seconds:.1f} s to {self.url}"
        if self.resumed:
            text += f", {self.resumed:,} of {self.files:,} files from an earlier attempt"
        if self.retries:
            text += f", {self.retries:,} requests repeated"
        if self.cancelled:
            text += ", cancelled"
        return text
