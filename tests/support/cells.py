"""A small model of how Cassandra resolves what was written to one partition.

It is written from the rules, not from the code of the database: of two writes to a cell the higher
timestamp stays; of equal timestamps a deletion beats a value, a value that expires beats one that
does not, the later expiry beats the earlier, and then the greater bytes win. A deletion of a cell,
a row, a range of rows or the partition takes away what is not newer than it. An INSERT leaves a
mark on its row, so that the row is there without any cell.

The order in which writes are applied does not matter, and applying one again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Plain: TypeAlias = int | str | None
Value: TypeAlias = int | str | frozenset[str] | None

NEVER = -(2**63)
"""Timestamp of a deletion that never was."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One write to one cell.

    Attributes:
        stamp: Write timestamp.
        value: What was written; None where the cell was deleted.
        ttl: Seconds it was given to live; 0 for ever.
        written_at: When, in seconds since 1970, which matters to what expires.
    """

    stamp: int
    value: Plain
    ttl: int = 0
    written_at: int = 0

    def lives(self, now: float) -> bool:
        """Whether a read at `now` sees it."""
        return self.value is not None and (not self.ttl or now < self.written_at + self.ttl)

    def rank(self) -> tuple[int, int, int, bytes]:
        """Return what decides between two writes; the greater one stays."""
        if self.value is None:
            return self.stamp, 2, 0, b""
        if self.ttl:
            return self.stamp, 1, self.written_at + self.ttl, encoded(self.value)
        return self.stamp, 0, 0, encoded(self.value)


def encoded(value: int | str) -> bytes:
    """Return the bytes that Cassandra compares, as unsigned, when timestamps are equal."""
    return value.to_bytes(4, "big", signed=True) if isinstance(value, int) else value.encode()


def newer(held: Cell | None, written: Cell) -> Cell:
    """Return the one of two writes that stays."""
    return written if held is None else max(held, written, key=Cell.rank)


@dataclass(slots=True)
class Elements:
    """A set that is not frozen: a cell for each element, and a deletion of all before a time."""

    deleted: int = NEVER
    cells: dict[str, Cell] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """A row, or the static cells of a partition."""

    deleted: int = NEVER
    mark: Cell | None = None
    cells: dict[str, Cell] = field(default_factory=dict)
    sets: dict[str, Elements] = field(default_factory=dict)

    def put(self, name: str, cell: Cell) -> None:
        self.cells[name] = newer(self.cells.get(name), cell)

    def put_element(self, name: str, element: str, cell: Cell) -> None:
        held = self.sets.setdefault(name, Elements()).cells
        held[element] = newer(held.get(element), cell)

    def clear_set(self, name: str, stamp: int) -> None:
        found = self.sets.setdefault(name, Elements())
        found.deleted = max(found.deleted, stamp)


Seen: TypeAlias = dict[str, tuple[Plain, int, int] | dict[str, tuple[int, int]]]
"""What a read shows of a row: value, write time and TTL by column; of a set by element, without a
value. A column without a live cell is not there."""


@dataclass(slots=True)
class Partition:
    """Everything that was written to one partition.

    Attributes:
        rows: By clustering key.
        static: The static cells.
        deleted: Timestamp of the newest deletion of the whole partition.
        ranges: Deletions of rows: the first key, the last key and the timestamp of each.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    static: Row = field(default_factory=Row)
    deleted: int = NEVER
    ranges: list[tuple[int, int, int]] = field(default_factory=list)

    def row(self, key: int | None) -> Row:
        """Return the row of a key; the static one for None."""
        return self.static if key is None else self.rows.setdefault(key, Row())

    def write(  # noqa: PLR0913 -- what a write has
        self,
        key: int | None,
        values: Mapping[str, Value],
        stamp: int,
        *,
        sets: Collection[str] = (),
        mark: bool = False,
        ttl: int = 0,
        at: int = 0,
    ) -> None:
        """Write values of a row: an INSERT, which leaves a mark, or an UPDATE.

        Args:
            key: The row; None for static columns.
            values: By column; None deletes what is there.
            stamp: Write timestamp.
            sets: Which of the columns are sets that are not frozen. They are written as a whole:
                what was there goes one microsecond before.
            mark: Whether the row is there even without a cell.
            ttl: Seconds to live.
            at: When it is written.
        """
        row = self.row(key)
        if mark:
            row.mark = newer(row.mark, Cell(stamp, 1, ttl, at))
        for name, value in values.items():
            if name in sets:
                assert value is None or isinstance(value, frozenset)
                row.clear_set(name, stamp - 1)
                for element in value or ():
                    row.put_element(name, element, Cell(stamp, 1, ttl, at))
            else:
                assert not isinstance(value, frozenset)
                row.put(name, Cell(stamp, value, 0 if value is None else ttl, at))

    def delete_cells(self, key: int | None, names: Collection[str], stamp: int) -> None:
        """Delete cells that are not of a set."""
        for name in names:
            self.row(key).put(name, Cell(stamp, None))

    def delete_row(self, key: int, stamp: int) -> None:
        row = self.row(key)
        row.deleted = max(row.deleted, stamp)

    def delete_range(self, first: int, last: int, stamp: int) -> None:
        """Delete the rows from `first` to `last`, both included."""
        self.ranges.append((first, last, stamp))

    def delete(self, stamp: int) -> None:
        """Delete the partition, its static cells too."""
        self.deleted = max(self.deleted, stamp)

    def seen(self, now: float) -> dict[int | None, Seen]:
        """Return what a read at `now` (seconds since 1970) shows, by key; static cells for None."""
        found: dict[int | None, Seen] = {}
        for key, row in sorted(self.rows.items()):
            over = [stamp for first, last, stamp in self.ranges if first <= key <= last]
            gone = max(self.deleted, row.deleted, *over)
            cells = _seen(row, gone, now)
            marked = row.mark is not None and row.mark.stamp > gone and row.mark.lives(now)
            if cells or marked:
                found[key] = cells
        if cells := _seen(self.static, self.deleted, now):
            found[None] = cells
        return found


def _seen(row: Row, gone: int, now: float) -> Seen:
    found: Seen = {}
    for name, cell in row.cells.items():
        if cell.stamp > gone and cell.lives(now):
            found[name] = (cell.value, cell.stamp, cell.ttl)
    for name, held in row.sets.items():
        after = max(gone, held.deleted)
        elements = {
            element: (cell.stamp, cell.ttl)
            for element, cell in sorted(held.cells.items())
            if cell.stamp > after and cell.lives(now)
        }
        if elements:
            found[name] = elements
    return found
