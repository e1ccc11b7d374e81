"""Undoing chunks whose before-images are kept: rows by their keys, values as they were."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from prefect_cassandra.writes.before_images import read_image, seconds_left
from prefect_cassandra.writes.row_reader import identified, key_kinds, read_rows
from prefect_cassandra.writes.undo_rows import NEVER, among, times_of, written_stamps

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


class DecidedRows(NamedTuple):
    """What is done to the rows of a chunk whose image is kept.

    Attributes:
        remove: Stamps whose row tombstones remove rows, else 0.
        mine: Rows that stay, all cells of which this chunk has to see to.
        partly: Rows that stay in which it sees to its own cells alone.
        gone: Rows of which nothing is left.
    """

    remove: Stamps
    mine: Mask
    partly: Mask
    gone: Mask


def decide_imaged(
    columns: Sequence[ColumnTimes], stamp: int, before: Mask, present: Mask, blind: Stamps
) -> DecidedRows:
    """Decide what is done to the rows of a chunk whose image is kept.

    A row with cells of several chunks is left to the chunk that wrote it last, if that one has an
    image too.

    Args:
        columns: Times of their regular columns, all of them.
        stamp: The chunk's own.
        before: Whether each row was there before the load.
        present: Whether it is there now.
        blind: Stamps that are undone as well, and have no images.
    """
    latest, lowest_other = _extremes(columns, len(before))
    last_blind = np.isin(latest, blind)
    # A row marker shows in no cell, but the image knows that there was none before.
    marker = present & (latest == 0) & ~before
    mine = (latest == stamp) | marker | last_blind
    whole = mine & ~before & (lowest_other >= np.maximum(latest, stamp))
    remove = np.where(whole, np.maximum(latest, stamp), 0)
    stays = mine & ~whole
    gone = whole & (lowest_other == NEVER)
    return DecidedRows(remove, stays & ~last_blind, stays & last_blind, gone)


def _extremes(columns: Sequence[ColumnTimes], rows: int) -> tuple[Stamps, Stamps]:
    """Return the latest stamp of each row that is undone, and the lowest of others."""
    nothing = np.zeros(rows, np.int64)
    latest = np.maximum.reduce([one.ours for one in columns] or [nothing])
    lowest = np.minimum.reduce([one.lowest_other for one in columns] or [nothing + NEVER])
    return latest, lowest


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
    _gone: set[tuple[bytes, ...]] = field(default_factory=set)
    _stamps: Stamps = field(default_factory=lambda: np.empty(0, np.int64))
    _known: int = 0

    @property
    def stamps(self) -> Stamps:
        """Every stamp that is undone, in order."""
        known = len(self.places) + len(self.blind)
        if known != self._known:
            self._known = known
            self._stamps = np.array(sorted(self.blind.union(self.places)), np.int64)
        return self._stamps

    def rows(self, stamp: int) -> ImagedRows | None:
        """Return what is done to the rows of a chunk; None when it wrote static cells alone."""
        image = self._image(stamp)
        if image is None or image.rows is None:
            return None
        keyed = image.rows
        regular = [column.name for column in self.table.columns if column.kind == "regular"]
        now = read_rows(self.session, self.table, keyed.keys, regular)
        times = {name: times_of(now.cells[name].written, self.stamps) for name in regular}
        present = now.there.to_numpy(zero_copy_only=False)
        blind = np.array(sorted(self.blind), np.int64)
        latest, lowest_other = _extremes(list(times.values()), len(keyed))
        concerned = (latest == stamp) | (latest == 0) | np.isin(latest, blind)
        before = self._before(keyed, stamp, present & concerned, lowest_other == NEVER)
        made = decide_imaged(list(times.values()), stamp, before, present, blind)
        undone = {
            name: np.where(made.mine | (made.partly & (one.ours == stamp)), one.ours, 0)
            for name, one in times.items()
        }
        undone = {name: np.where(times[name].mixed, 0, found) for name, found in undone.items()}
        columns = self._restored(keyed, stamp, undone)
        stays = (made.remove > 0) & ~made.gone
        hidden = sum(int(np.count_nonzero(stays & (one.ours > 0))) for one in times.values())
        gone = made.gone & ~self._counted(keyed, made.gone & (latest != stamp))
        return ImagedRows(keyed.keys, made.remove, columns, gone, hidden)

    def statics(self, stamp: int) -> ImagedRows | None:
        """Return what is done to the static cells of a chunk; None when it wrote none."""
        image = self._image(stamp)
        if image is None or image.statics is None:
            return None
        keyed = image.statics
        names = list(keyed.found.cells)
        now = read_rows(self.session, self.table, keyed.keys, names)
        undone = {}
        for name in names:
            ours = times_of(now.cells[name].written, self.stamps).ours
            undone[name] = np.where(ours == stamp, ours, 0)
        nothing = np.zeros(len(keyed), np.int64)
        columns = self._restored(keyed, stamp, undone)
        return ImagedRows(keyed.keys, nothing, columns, nothing > 0)

    def _counted(self, keyed: Keyed, rows: Mask) -> Mask:
        """Return which rows another chunk has counted as gone already, and note these."""
        found = np.zeros(len(rows), bool)
        for row in np.flatnonzero(rows).tolist():
            key = _key(keyed, row)
            found[row] = key in self._gone
            self._gone.add(key)
        return found

    def _image(self, stamp: int) -> Image | None:
        place = self.places.get(stamp)
        if place is None:
            return None
        if stamp not in self._images:
            name = f"{self.table.keyspace}.{self.table.name}"
            image = read_image(self.session, name, place.start, place.number)
            if image is not None:
                image = replace(
                    image, rows=self._named(image.rows), statics=self._named(image.statics)
                )
            self._images[stamp] = image
            if image is not None:
                self._learn(image)
            while len(self._images) > _IMAGES_HELD:
                gone, _ = self._images.popitem(last=False)
                self._rows.pop((gone, True), None)
                self._rows.pop((gone, False), None)
        return self._images[stamp]

    def _named(self, keyed: Keyed | None) -> Keyed | None:
        """Give rows keys that are equal where Cassandra takes them for one."""
        if keyed is None:
            return None
        kinds = key_kinds(self.session, self.table, whole=self._whole(keyed))
        return replace(keyed, same=identified(self.table, keyed.keys, kinds))

    def _learn(self, image: Image) -> None:
        """Find out whether what an image holds was undone since."""
        seen = [one for one in (image.rows, image.statics) if one is not None]
        cells = [cell.written for one in seen for cell in one.found.cells.values()]
        if cells:
            written = written_stamps(cells)
            others = written[~among(written, self.stamps)]
            if len(others):
                places, blind = self.undone(others)
                self.places |= places
                self.blind.update(blind)

    def _before(self, keyed: Keyed, stamp: int, rows: Mask, ours_alone: Mask) -> Mask:
        """Return which rows were there before anything of what is undone.

        From image to image, the newest first, so that each is read once however many there are.

        Args:
            keyed: What the chunk's image says of its rows.
            stamp: The chunk's own.
            rows: Those to look at; False is returned for the others.
            ours_alone: Which of them have no cell of anybody else now.
        """
        there = np.zeros(len(keyed), bool)
        waiting: dict[int, list[int]] = {stamp: np.flatnonzero(rows).tolist()}
        while waiting:
            at = max(waiting)
            here = waiting.pop(at)
            image = self._image_like(at, keyed)
            if image is None:
                # Its own image is gone; or it never had one, and is taken for the row's first.
                there[here] = at not in self.blind
                continue
            was_there, earliest, others = self._seen(image)
            for row, place in zip(here, self._places(at, image, here, keyed), strict=True):
                if place is None:
                    self._look_further(row, at, waiting, there)
                elif not was_there[place]:
                    continue
                elif others[place] or earliest[place] >= at:
                    there[row] = True
                elif earliest[place]:
                    waiting.setdefault(int(earliest[place]), []).append(row)
                elif ours_alone[row]:
                    # Only its marker was there, which may be that of an older chunk.
                    self._look_further(row, at, waiting, there)
                else:
                    there[row] = True
        return there

    def _look_further(self, row: int, at: int, waiting: dict[int, list[int]], there: Mask) -> None:
        """Have a row looked up in the next older image, if there is one."""
        place = bisect_left(self.targets, at)
        if place:
            waiting.setdefault(self.targets[place - 1], []).append(row)
        else:
            there[row] = True

    def _image_like(self, stamp: int, keyed: Keyed) -> Keyed | None:
        """Return the image of another chunk: of its rows, or of partitions, as `keyed` is."""
        image = self._image(stamp)
        if image is None:
            return None
        return image.rows if self._whole(keyed) else image.statics

    def _places(
        self, stamp: int, image: Keyed, rows: Sequence[int], keyed: Keyed
    ) -> Sequence[int | None]:
        """Return where the image of another chunk has rows; None where it has not."""
        if image is keyed:
            return rows
        return [self._row_of(stamp, image, _key(keyed, row)) for row in rows]

    def _seen(self, image: Keyed) -> tuple[Mask, Stamps, Mask]:
        """Return of rows as they were: whether there, their earliest stamp undone, and others'."""
        earliest, others = np.full(len(image), NEVER), np.zeros(len(image), bool)
        for cell in image.found.cells.values():
            found = times_of(cell.written, self.stamps)
            earliest = np.where(found.ours > 0, np.minimum(earliest, found.ours), earliest)
            others |= found.lowest_other < NEVER
        there = image.found.there.to_numpy(zero_copy_only=False)
        return there, np.where(earliest < NEVER, earliest, 0), others

    def _restored(
        self, keyed: Keyed, stamp: int, undone: Mapping[str, Stamps]
    ) -> dict[str, Restored]:
        """Return what columns of the rows held before anything of what is undone.

        Args:
            keyed: What the chunk's image says of its rows.
            stamp: The chunk's own.
            undone: The stamps to undo in each row, by column; 0 where there is none.
        """
        waiting: dict[int, list[tuple[int, str]]] = {}
        found: dict[str, Restored] = {}
        for name, stamps in undone.items():
            cell = keyed.found.cells.get(name)
            values: pa.Array = pa.nulls(len(keyed), pa.binary())
            left, elsewhere = np.zeros(len(keyed), np.int64), stamps > 0
            if cell is not None:
                values, left = cell.value, seconds_left(cell.ttl, self._taken_at(stamp), self.now)
                ours = times_of(cell.written, self.stamps).ours
                elsewhere &= (stamps != stamp) | (ours > 0)
            found[name] = Restored(stamps, values, left)
            for row in np.flatnonzero(elsewhere).tolist():
                waiting.setdefault(int(stamps[row]), []).append((row, name))
        held = self._held(keyed, waiting)
        return {name: self._with(one, held.get(name, {})) for name, one in found.items()}

    def _with(self, column: Restored, held: Mapping[int, Held]) -> Restored:
        """Put what was found elsewhere into a column, and leave out what has expired."""
        values, left = column.value, column.left
        if held:
            listed, left = values.to_pylist(), left.copy()
            for row, one in held.items():
                listed[row], left[row] = one
            values = pa.array(listed, pa.binary())
        values = pa.compute.if_else(pa.array(left < 0), None, values)
        return Restored(column.stamps, values, np.maximum(left, 0))

    def _held(
        self, keyed: Keyed, waiting: dict[int, list[tuple[int, str]]]
    ) -> dict[str, dict[int, Held]]:
        """Return what cells held before the chunks of their stamps, and before any undone.

        Args:
            keyed: The rows.
            waiting: Rows and columns to look up, by stamp; from image to image, the newest first.
        """
        found: defaultdict[str, dict[int, Held]] = defaultdict(dict)
        while waiting:
            stamp = max(waiting)
            here = waiting.pop(stamp)
            image = self._image_like(stamp, keyed)
            if image is None:
                for row, name in here:
                    found[name][row] = Held(None, 0)
                continue
            times = {
                name: (
                    times_of(cell.written, self.stamps).ours,
                    seconds_left(cell.ttl, self._taken_at(stamp), self.now),
                )
                for name, cell in image.found.cells.items()
            }
            places = self._places(stamp, image, [row for row, _ in here], keyed)
            for (row, name), place in zip(here, places, strict=True):
                if place is None or name not in times:
                    found[name][row] = Held(None, 0)
                    continue
                ours, left = times[name]
                if 0 < ours[place] < stamp:
                    waiting.setdefault(int(ours[place]), []).append((row, name))
                else:
                    value = image.found.cells[name].value[place].as_py()
                    found[name][row] = Held(value, int(left[place]))
        return found

    def _whole(self, keyed: Keyed) -> bool:
        return len(keyed.keys) == len(self.table.primary_key)

    def _taken_at(self, stamp: int) -> int:
        image = self._image(stamp)
        return image.taken_at if image is not None else self.now

    def _row_of(self, stamp: int, keyed: Keyed, key: tuple[bytes, ...]) -> int | None:
        index = (stamp, len(key) == len(self.table.primary_key))
        if index not in self._rows:
            keys = zip(*(column.binary().to_pylist() for column in keyed.same), strict=True)
            self._rows[index] = {one: row for row, one in enumerate(keys)}
        return self._rows[index].get(key)


def _key(keyed: Keyed, row: int) -> tuple[bytes, ...]:
    return tuple(column.value(row) or b"" for column in keyed.same)


def plans(chunks: ImagedChunks) -> Iterator[tuple[int, ImagedRows, bool]]:
    """Yield what is done for each chunk, and whether it is about rows or about static cells."""
    for stamp in chunks.targets:
        rows, statics = chunks.rows(stamp), chunks.statics(stamp)
        if rows is not None:
            yield stamp, rows, True
        if statics is not None:
            yield stamp, statics, False
