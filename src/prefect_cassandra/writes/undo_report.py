"""What an undoing did, or would do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What the undoing of one content of a load did.

    Attributes:
        table: `keyspace.table`.
        load_key: Which load.
        generation: Which of the load's contents.
        kind: What wrote it: LOAD, or the kind of a statement.
        chunks: Chunks it had written, or begun to write.
        imaged_chunks: How many of them have images of what was there before.
        rows_removed: Rows that are gone: nothing of anybody else was in them.
        cells_cleared: Cells that hold nothing now, in rows that stay.
        cells_restored: Cells that hold again what they held before.
        cells_left: Collections that keep elements of the load, because older ones of others are
            beside them.
        dry_run: Whether nothing was done, and this only says what would be.
    """

    table: str
    load_key: str
    generation: int
    kind: str = "LOAD"
    chunks: int = 0
    imaged_chunks: int = 0
    rows_removed: int = 0
    cells_cleared: int = 0
    cells_restored: int = 0
    cells_left: int = 0
    dry_run: bool = False

    @property
    def blind(self) -> bool:
        """Whether what some of it overwrote is not known, and so cannot come back."""
        return self.imaged_chunks < self.chunks

    def __str__(self) -> str:
        would = "would be " if self.dry_run else ""
        return (
            f"{self.table}: {self.rows_removed:,} rows {would}removed, "
            f"{self.cells_restored:,} cells {would}restored, "
            f"{self.cells_cleared:,} cells {would}cleared"
        )
