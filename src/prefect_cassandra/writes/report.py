"""What a load did, in numbers and in named rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.writes.sources import Chunk


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that was not written.

    Attributes:
        row: Position in the input, or in its file, counted from 0 as `DataFrame.iloc` and
            `Table.slice` do; the header of a file is no row.
        column: Name of the column at fault; empty when it is the row as a whole.
        reason: What is wrong with the value.
        file: The file that the row comes from, if any.
    """

    row: int
    column: str
    reason: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}, row {self.row}" if self.file else f"row {self.row}"
        place = f"{place}, column {self.column}" if self.column else place
        return f"{place}: {self.reason}"


class RejectSink(Protocol):
    """Something that keeps the rows a load leaves out."""

    def take(self, rejects: Sequence[Reject], chunk: Chunk) -> None:
        """Keep the rejected rows of one chunk; called before the rest of it is sent."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The result of `load_table`.

    `rows + merged + rejected + skipped_rows` is the number of rows read.

    Attributes:
        table: `keyspace.table`.
        rows: Rows written and acknowledged; in a dry run those that would have been sent.
        merged: Rows whose primary key came again in the same chunk and were folded into the later
            row, so that the later value wins.
        rejected: Rows that were not written.
        rejects: The first of the rejected rows, named; `rejected` counts them all.
        requests: Requests acknowledged; one carries up to 500 rows of a partition, or a few small
            partitions of the same nodes.
        retries: Requests sent again after an error that a repeat can mend.
        seconds: Wall time.
        bytes: Bytes of the encoded rows that were handed over for sending.
        cancelled: Whether it was stopped from outside, before the end of the input.
        dry_run: Whether everything was checked and encoded, and nothing sent.
        stamped: Whether the load is kept in the ledger, so that it can be taken up again.
        skipped_chunks: Chunks that an earlier attempt at this load had written already.
        skipped_rows: Rows in them.
        swept_rows: Rows that only the content that this load replaced had; they are gone.
        unswept: Why such rows stay, where they do; empty otherwise.
    """

    table: str
    rows: int = 0
    merged: int = 0
    rejected: int = 0
    rejects: tuple[Reject, ...] = ()
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    bytes: int = 0
    cancelled: bool = False
    dry_run: bool = False
    stamped: bool = False
    skipped_chunks: int = 0
    skipped_rows: int = 0
    swept_rows: int = 0
    unswept: str = ""

    @property
    def rows_per_second(self) -> float:
        """Rows written per second of wall time; 0 for an empty load."""
        return self.rows / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        text = f"{self.table}: {self.rows:,} rows in {self.seconds:.1f} s"
        text += f" ({self.rows_per_second:,.0f}/s, {self.requests:,} requests"
        text += f", {self.retries:,} sent again)" if self.retries else ")"
        text += f", {self.merged:,} merged into a later row of the same key" if self.merged else ""
        text += f", {self.rejected:,} rejected" if self.rejected else ""
        text += f", {self.swept_rows:,} of the replaced content removed" if self.swept_rows else ""
        text += f", rows of the replaced content stay: {self.unswept}" if self.unswept else ""
        if not self.skipped_chunks:
            return text
        return f"{text}, {self.skipped_rows:,} skipped: an earlier attempt has written them"
