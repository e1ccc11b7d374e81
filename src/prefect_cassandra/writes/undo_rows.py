"""What undoing does to rows, told from their write times alone. Decisions only.

Cells have write times, rows and keys have none. An INSERT leaves a row marker beside its cells, at
the same stamp, which only a row tombstone removes; and a row tombstone hides every older cell too.
So a row is removed whole where none of its cells is older than what is to be undone, and otherwise
loses exactly the cells that are. Either way the tombstones are at the slot's second stamp, which is
below every later write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Stamps = NDArray[np.int64]
Mask = NDArray[np.bool_]
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class ColumnTimes:
    """When the cells of one column were written, for some rows.

    A collection or user-defined type that is not frozen has a cell for each element.

    Attributes:
        ours: The highest stamp that is to be undone in each row; 0 where there is none.
        lowest_other: The lowest write time of what others wrote; `NEVER` where there is none.
    """

    ours: Stamps
    lowest_other: Stamps

    @property
    def mixed(self) -> Mask:
        """Where some elements are to be undone, and older ones of others are beside them."""
        found: Mask = (self.ours > 0) & (self.lowest_other < self.ours)
        return found


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done to each of some rows.

    Attributes:
        remove: Stamp whose row tombstone removes the row; 0 where it stays.
        clear: For each column the stamp whose cell tombstone clears it; 0 where it stays.
        gone: Rows of which nothing is left.
    """

    remove: Stamps
    clear: tuple[Stamps, ...]
    gone: Mask


def written_stamps(columns: Iterable[pa.Array]) -> Stamps:
    """Return the different write times in columns as `times_of` takes them, in order."""
    found = [one.flatten() if pa.types.is_list(one.type) else one for one in columns]
    plain = [one.drop_null().to_numpy(zero_copy_only=False) for one in found]
    return np.unique(np.concatenate(plain).astype(np.int64))


def only(columns: Sequence[ColumnTimes], last: Stamps, cells: Stamps) -> list[ColumnTimes]:
    """Leave out the rows that were last written at other stamps than `last`, and other `cells`."""
    here = np.isin(np.maximum.reduce([one.ours for one in columns]), last)
    return [
        ColumnTimes(np.where(here & np.isin(one.ours, cells), one.ours, 0), one.lowest_other)
        for one in columns
    ]


def among(stamps: Stamps, slots: Stamps) -> Mask:
    """Return which of some stamps are among others; those are in order, and may be many."""
    if not len(slots):
        return np.zeros(len(stamps), bool)
    places = np.minimum(np.searchsorted(slots, stamps), len(slots) - 1)
    found: Mask = slots[places] == stamps
    return found


def times_of(written: pa.Array, slots: Stamps) -> ColumnTimes:
    """Sort a column's write times into those to be undone and those of others.

    Args:
        written: `writetime(column)` of each row: integers, or a list for each row with one for each
            element. Null where there is no cell.
        slots: The stamps to be undone, in order.
    """
    if isinstance(written, pa.ChunkedArray):
        written = written.combine_chunks()
    rows = len(written)
    if pa.types.is_list(written.type):
        lengths = written.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        row_of = np.repeat(np.arange(rows), lengths)
        cells = written.flatten()
    else:
        row_of, cells = np.arange(rows), written
    there = cells.is_valid().to_numpy(zero_copy_only=False)
    stamps = cells.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    mine = there & among(stamps, slots)
    ours, lowest = np.zeros(rows, np.int64), np.full(rows, NEVER)
    np.maximum.at(ours, row_of[mine], stamps[mine])
    theirs = there & ~mine
    np.minimum.at(lowest, row_of[theirs], stamps[theirs])
    return ColumnTimes(ours, lowest)


def decide(columns: Sequence[ColumnTimes], unmarked: Stamps, marked_from: int = NEVER) -> Decision:
    """Decide what is done to rows.

    Args:
        columns: Times of their regular columns, all of them.
        unmarked: Stamps at which no row marker was written, because it was by UPDATE.
        marked_from: The lowest stamp that is undone too and at which row markers were written. All
            cells of an INSERT may be overwritten by an UPDATE; its marker is there all the same.
    """
    latest = np.maximum.reduce([one.ours for one in columns])
    lowest_other = np.minimum.reduce([one.lowest_other for one in columns])
    marked = ~np.isin(latest, unmarked) | (latest > marked_from)
    whole = (latest > 0) & (lowest_other >= latest) & marked
    remove = np.where(whole, latest, 0)
    clear = tuple(np.where(whole | one.mixed, 0, one.ours) for one in columns)
    gone = (latest > 0) & (lowest_other == NEVER)
    return Decision(remove, clear, gone)


def decide_static(columns: Sequence[ColumnTimes]) -> Decision:
    """Decide what is done to the static cells of partitions; those have no marker."""
    nothing = np.zeros(len(columns[0].ours), np.int64)
    clear = tuple(np.where(one.mixed, 0, one.ours) for one in columns)
    return Decision(nothing, clear, np.zeros(len(nothing), bool))
