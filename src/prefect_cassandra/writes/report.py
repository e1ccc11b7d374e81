"""What a load did, in numbers and in named rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that was not written.

    Attributes:
        row: Position in the input, counted from 0 as `DataFrame.iloc` and `Table.slice` do.
        column: Name of the column at fault.
        reason: What is wrong with the value.
    """

    row: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: {self.reason}"


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The result of `load_table`; `rows + merged + rejected` is the number of rows read.

    Attributes:
        table: `keyspace.table`.
        rows: Rows written and acknowledged.
        merged: Rows whose primary key came again in the same chunk and were folded into the later
            row, so that the later value wins.
        rejected: Rows that were not written.
        rejects: The first of the rejected rows, named; `rejected` counts them all.
        requests: Requests sent; one carries up to 50 rows of a partition.
        retries: Requests sent again after an error that a repeat can mend.
        seconds: Wall time.
        cancelled: Whether it was stopped from outside, before the end of the input.
    """

    table: str
    rows: int = 0
    merged: int = 0
    rejected: int = 0
    rejects: tuple[Reject, ...] = ()
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    cancelled: bool = False

    @property
    def rows_per_second(self) -> float:
        """Rows written per second of wall time; 0 for an empty load."""
        return self.rows / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        text = f"{self.table}: {self.rows:,} rows in {self.seconds:.1f} s"
        text += f" ({self.rows_per_second:,.0f}/s, {self.requests:,} requests"
        text += f", {self.retries:,} sent again)" if self.retries else ")"
        text += f", {self.merged:,} merged into a later row of the same key" if self.merged else ""
        return text + (f", {self.rejected:,} rejected" if self.rejected else "")
