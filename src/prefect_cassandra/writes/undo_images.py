"""Undoing chunks whose before-images are kept: rows by their keys, values as they were."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from prefect_cassandra.writes.before_images import read_image, seconds_left
from prefect_cassandra.writes.row_reader import read_rows
from prefect_cassandra.writes.undo_rows import NEVER, times_of, written_stamps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from prefect_cassandra.driver.encoded import VariedCells
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.before_images import Image, Keyed
    from prefect_cassandra.writes.undo_rows import ColumnTimes, Mask, Stamps

_IMAGES_HELD = 4


class Place(NamedTuple):
    """Where the image of a chunk is kept: first stamp of its block, and its number."""

    start: int
    number: int


class Held(NamedTuple):
    """What a cell held: its bytes, and the seconds it has left (0 for ever, -1 none any more)."""

    value: bytes | None
    left: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What becomes of one column.

    Attributes:
        stamps: The stamp in each row that is undone; 0 where the cell stays as it is.
        value: What is brought back; null where the cell is cleared.
        left: Seconds that it is brought back for; 0 for ever.
    """

    stamps: Stamps
    value: pa.BinaryArray
    left: NDArray[np.int64]

    @property
    def restores(self) -> Mask:
        """Where something is brought back."""
        found: Mask = (self.stamps > 0) & self.value.is_valid().to_numpy(zero_copy_only=False)
        return found

    @property
    def clears(self) -> Mask:
        """Where the cell is cleared, because it held nothing."""
        found: Mask = (self.stamps > 0) & ~self.restores
        return found


@dataclass(frozen=True, slots=True)
class ImagedRows:
    """What is done to the rows, or partitions, of one chunk.

    Attributes:
        keys: Encoded columns of their keys.
        remove: Stamp whose row tombstone removes the row; 0 where it stays.
        columns: What becomes of each column, by name.
        gone: Rows of which nothing is left.
        hidden: Cells that a row tombstone clears in rows which stay, because of later cells.
    """

    keys: Sequence[VariedCells]
    remove: Stamps
    columns: Mapping[str, Restored]
    gone: Mask
    hidden: int = 0


def decide_imaged(
    columns: Sequence[ColumnTimes], stamp: int, before: Mask, present: Mask
) -> tuple[Stamps, Mask, Mask]:
    """Decide what is done to the rows of a chunk whose image is kept.

    A row with cells of several chunks is left to the chunk that wrote it last.

    Args:
        columns: Times of their regular columns, all of them.
        stamp: The chunk's own.
        before: Whether each row was there before the load.
        present: Whether it is there now.

    Returns:
        Stamps whose row tombstones remove rows, else 0; which of the other rows this chunk has to
        see to; and the rows of which nothing is left.
    """
    nothing = np.zeros(len(before), np.int64)
    latest = np.maximum.reduce([one.ours for one in columns] or [nothing])
    lowest_other = np.minimum.reduce([one.lowest_other for one in columns] or [nothing + NEVER])
    # A row marker shows in no cell, but the image knows that there was none before.
    marker = present & (latest == 0) & ~before
    mine = (latest == stamp) | marker
    whole = mine & ~before & (lowest_other >= np.maximum(latest, stamp))
    remove = np.where(whole, np.maximum(latest, stamp), 0)
    return remove, mine & ~whole, whole & (lowest_other == NEVER)


@dataclass(slots=True)
class ImagedChunks:
    """The chunks of one table that are undone and have images.

    Args:
        session: Where the table and the ledger are.
        table: The table.
        targets: Stamps of the chunks that are undone now and have images, in order.
        places: Where the image of each chunk is, by the chunk's stamp.
        blind: Stamps that are undone too, without an image: what they wrote does not come back.
        now: Microseconds since 1970.
        undone: Says which of some stamps, read from an image, were undone before: where their
            images are, and those without. Nobody wants those values back either.
    """

    session: Session
    table: TableInfo
    targets: Sequence[int]
    places: dict[int, Place]
    blind: set[int]
    now: int
    undone: Callable[[Stamps], tuple[Mapping[int, Place], Iterable[int]]]
    _images: OrderedDict[int, Image | None] = field(default_factory=OrderedDict)
    _rows: dict[tuple[int, bool], dict[tuple[bytes, ...], int]] = field(default_factory=dict)

    @property
    def stamps(self) -> Stamps:
        """Every stamp that is undone, in order."""
        return np.array(sorted(self.blind.union(self.places)), np.int64)

    def rows(self, stamp: int) -> ImagedRows | None:
        """Return what is done to the rows of a chunk; None when it wrote static cells alone."""
        image = self._image(stamp)
        if image is None or image.rows is None:
            return None
        keyed = image.rows
        regular = [column.name for column in self.table.columns if column.kind == "regular"]
        now = read_rows(self.session, self.table, keyed.keys, regular)
        times = {name: times_of(now.cells[name].written, self.stamps) for name in regular}
        before = self._before(keyed, stamp)
        present = now.there.to_numpy(zero_copy_only=False)
        remove, mine, gone = decide_imaged(list(times.values()), stamp, before, present)
        columns = {
            name: self._restored(keyed, stamp, name, np.where(mine & ~one.mixed, one.ours, 0))
            for name, one in times.items()
        }
        stays = (remove > 0) & ~gone
        hidden = sum(int(np.count_nonzero(stays & (one.ours > 0))) for one in times.values())
        return ImagedRows(keyed.keys, remove, columns, gone, hidden)

    def statics(self, stamp: int) -> ImagedRows | None:
        """Return what is done to the static cells of a chunk; None when it wrote none."""
        image = self._image(stamp)
        if image is None or image.statics is None:
            return None
        keyed = image.statics
        names = list(keyed.found.cells)
        now = read_rows(self.session, self.table, keyed.keys, names)
        columns = {}
        for name in names:
            ours = times_of(now.cells[name].written, self.stamps).ours
            columns[name] = self._restored(keyed, stamp, name, np.where(ours == stamp, ours, 0))
        nothing = np.zeros(len(keyed), np.int64)
        return ImagedRows(keyed.keys, nothing, columns, nothing > 0)

    def _image(self, stamp: int) -> Image | None:
        place = self.places.get(stamp)
        if place is None:
            return None
        if stamp not in self._images:
            name = f"{self.table.keyspace}.{self.table.name}"
            image = read_image(self.session, name, place.start, place.number)
            self._images[stamp] = image
            if image is not None:
                self._learn(image)
            while len(self._images) > _IMAGES_HELD:
                gone, _ = self._images.popitem(last=False)
                self._rows.pop((gone, True), None)
                self._rows.pop((gone, False), None)
        return self._images[stamp]

    def _learn(self, image: Image) -> None:
        """Find out whether what an image holds was undone since."""
        seen = [one for one in (image.rows, image.statics) if one is not None]
        cells = [cell.written for one in seen for cell in one.found.cells.values()]
        if cells:
            places, blind = self.undone(np.setdiff1d(written_stamps(cells), self.stamps))
            self.places |= places
            self.blind.update(blind)

    def _before(self, keyed: Keyed, stamp: int) -> Mask:
        """Return which rows were there before anything of what is undone."""
        there: Mask = keyed.found.there.to_numpy(zero_copy_only=False).copy()
        earlier = np.full(len(keyed), NEVER)
        for cell in keyed.found.cells.values():
            ours = times_of(cell.written, self.stamps).ours
            earlier = np.where(ours > 0, np.minimum(earlier, ours), earlier)
        for row in np.flatnonzero(earlier < NEVER).tolist():
            # Another chunk that is undone had written it by then: its image knows.
            there[row] = self._was_there(int(earlier[row]), _key(keyed, row), stamp)
        return there

    def _was_there(self, stamp: int, key: tuple[bytes, ...], seen_by: int) -> bool:
        image = self._image(stamp) if stamp < seen_by else None
        if image is None or image.rows is None:
            return True
        row = self._row_of(stamp, image.rows, key)
        return True if row is None else bool(self._before(image.rows.taken(row), stamp)[0])

    def _restored(self, keyed: Keyed, stamp: int, name: str, stamps: Stamps) -> Restored:
        """Return what a column of the rows held before anything of what is undone."""
        nothing = np.zeros(len(keyed), np.int64)
        cell = keyed.found.cells.get(name)
        values: pa.Array = pa.nulls(len(keyed), pa.binary())
        left, elsewhere = nothing, stamps > 0
        if cell is not None:
            values, left = cell.value, seconds_left(cell.ttl, self._taken_at(stamp), self.now)
            ours = times_of(cell.written, self.stamps).ours
            elsewhere &= (stamps != stamp) | (ours > 0)
        if elsewhere.any():
            listed, left = values.to_pylist(), left.copy()
            for row in np.flatnonzero(elsewhere).tolist():
                listed[row], left[row] = self._held(int(stamps[row]), _key(keyed, row), name)
            values = pa.array(listed, pa.binary())
        expired = pa.array(left < 0)
        return Restored(stamps, pa.compute.if_else(expired, None, values), np.maximum(left, 0))

    def _held(self, stamp: int, key: tuple[bytes, ...], name: str) -> Held:
        """Return what a cell held before the chunk of a stamp, and before any that is undone."""
        image = self._image(stamp)
        whole = len(key) == len(self.table.primary_key)
        keyed = None if image is None else image.rows if whole else image.statics
        row = None if keyed is None else self._row_of(stamp, keyed, key)
        if keyed is None or row is None or name not in keyed.found.cells:
            return Held(None, 0)
        cell = keyed.found.cells[name]
        earlier = int(times_of(cell.written.slice(row, 1), self.stamps).ours[0])
        if 0 < earlier < stamp:
            return self._held(earlier, key, name)
        left = seconds_left(cell.ttl.slice(row, 1), self._taken_at(stamp), self.now)
        return Held(cell.value[row].as_py(), int(left[0]))

    def _taken_at(self, stamp: int) -> int:
        image = self._image(stamp)
        return image.taken_at if image is not None else self.now

    def _row_of(self, stamp: int, keyed: Keyed, key: tuple[bytes, ...]) -> int | None:
        index = (stamp, len(key) == len(self.table.primary_key))
        if index not in self._rows:
            keys = zip(*(column.array.to_pylist() for column in keyed.keys), strict=True)
            self._rows[index] = {one: row for row, one in enumerate(keys)}
        return self._rows[index].get(key)


def _key(keyed: Keyed, row: int) -> tuple[bytes, ...]:
    return tuple(column.value(row) or b"" for column in keyed.keys)


def plans(chunks: ImagedChunks) -> Iterator[tuple[int, ImagedRows, bool]]:
    """Yield what is done for each chunk, and whether it is about rows or about static cells."""
    for stamp in chunks.targets:
        rows, statics = chunks.rows(stamp), chunks.statics(stamp)
        if rows is not None:
            yield stamp, rows, True
        if statics is not None:
            yield stamp, statics, False
