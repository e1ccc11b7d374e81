"""What rows held before a chunk was written, kept in the ledger so that it can come back.

An image is kept once: by the attempt that looked first. Another one may look at the same time, and
may even see rows that the first one has written by then; so each keeps its own under its own name,
and the one whose look was over first counts. It was over before that attempt sent anything.

An image is Arrow tables in parts: for every key of the chunk whether there was such a row, and for
every column that the chunk writes its bytes, write time and TTL. Bytes are those of the wire, so
that whatever was there comes back unchanged.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from prefect_cassandra.driver.encoded import VariedCells, equal_codes
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.ledger.store import QUORUM, DatabaseTime, ledger_access
from prefect_cassandra.writes.row_reader import Cell, FoundRows, identified, key_kinds, read_rows
from prefect_cassandra.writes.undo_rows import times_of

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from prefect_cassandra.driver.encoded import Cells
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.plan import Plan

_PART = 512 << 10
_READ = """SELECT owner, part, parts, taken_at, image FROM prefect_ledger.before_images
 WHERE table_name = ? AND start = ? AND number = ?"""
_KEPT = """SELECT owner, part, parts, taken_at FROM prefect_ledger.before_images
 WHERE table_name = ? AND start = ? AND number = ?"""
_WRITE = """INSERT INTO prefect_ledger.before_images (table_name, start, number, owner, part,
 parts, taken_at, image) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Rows, or partitions with their static cells, as they were.

    Attributes:
        keys: Encoded columns of their keys.
        found: What they held.
        same: The keys in the one spelling that stands for all that Cassandra takes for one key;
            nothing where that was not asked for.
    """

    keys: list[VariedCells]
    found: FoundRows
    same: Sequence[Cells] = ()

    def __len__(self) -> int:
        return len(self.found.there)


@dataclass(frozen=True, slots=True)
class Image:
    """What the rows of a chunk held before it.

    Attributes:
        rows: Every row that the chunk writes; None when it writes static cells alone.
        statics: Every partition it writes static cells of; None when it writes none.
        taken_at: When the look was over, microseconds since 1970.
    """

    rows: Keyed | None
    statics: Keyed | None
    taken_at: int


@dataclass(slots=True)
class ImageTaker:
    """Takes the images of one load, chunk by chunk, on its sending thread.

    Args:
        session: Where the table and the ledger are.
        table: The table.
        owner: The attempt.
        keep_for: How long images are kept.
    """

    session: Session
    table: TableInfo
    owner: uuid.UUID
    keep_for: timedelta
    _now: DatabaseTime | None = field(default=None)

    def keep(
        self, start: int, number: int, stamp: int, columns: Sequence[Cells], plan: Plan
    ) -> None:
        """Keep what a chunk is about to overwrite, unless an earlier attempt has.

        Args:
            start: First stamp of the block.
            number: Which chunk.
            stamp: The chunk's own.
            columns: What it writes, in the order of `plan`.
            plan: The columns' names and kinds.

        Raises what `Session.execute` does; then the chunk must not be sent.
        """
        if self._kept(start, number):
            return
        image = self._take(columns, plan)
        own = np.array([stamp], np.int64)
        seen = [one for one in (image.rows, image.statics) if one is not None]
        written = [cell.written for one in seen for cell in one.found.cells.values()]
        if any(times_of(times, own).ours.any() for times in written):
            # Another attempt has sent some of it already: only its own image, if it kept one, was
            # taken in time.
            return
        with ledger_access():
            Pump(self.session).run(self._writes(start, number, image))

    def _kept(self, start: int, number: int) -> bool:
        return bool(_complete(_rows(self.session, _KEPT, self._name, start, number)))

    @property
    def _name(self) -> str:
        return f"{self.table.keyspace}.{self.table.name}"

    def _take(self, columns: Sequence[Cells], plan: Plan) -> Image:
        kinds = {column.name: column.kind for column in plan.columns[plan.key :]}
        regular = [name for name, kind in kinds.items() if kind == "regular"]
        static = [name for name, kind in kinds.items() if kind == "static"]
        rows = statics = None
        if plan.key == len(self.table.primary_key):
            rows = self._look(columns[: plan.key], regular)
        if static:
            statics = self._look(columns[: plan.partition], static)
        if self._now is None:
            self._now = DatabaseTime(self.session)
        return Image(rows, statics, self._now())

    def _look(self, keys: Sequence[Cells], names: Sequence[str]) -> Keyed:
        whole = len(keys) == len(self.table.primary_key)
        kinds = key_kinds(self.session, self.table, whole=whole)
        same = identified(self.table, keys, kinds)
        _, firsts = np.unique(equal_codes(same), return_index=True)
        different = [VariedCells(column.take(firsts).binary()) for column in keys]
        return Keyed(different, read_rows(self.session, self.table, different, names))

    def _writes(self, start: int, number: int, image: Image) -> Iterator[Request]:
        prepared = self.session.prepare(_WRITE)
        content = to_bytes(image)
        parts = range(0, len(content), _PART)
        for part, at in enumerate(parts):
            values = [
                *(self._name, start, number, self.owner, part, len(parts), image.taken_at),
                *(content[at : at + _PART], round(self.keep_for.total_seconds())),
            ]
            yield self.session.single(
                prepared, prepared.check(values), consistency=QUORUM, idempotent=True
            )


def read_image(session: Session, table: str, start: int, number: int) -> Image | None:
    """Return what a chunk's rows held before it; None when no image was kept, or not any more.

    Args:
        session: Logged in as a role that may read the ledger.
        table: `keyspace.table`.
        start: First stamp of the block.
        number: Which chunk.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    parts = _complete(_rows(session, _READ, table, start, number))
    if not parts:
        return None
    content = b"".join(row["image"] for row in parts)
    return from_bytes(content, parts[0]["taken_at"])


def has_image(session: Session, table: str, start: int, number: int) -> bool:
    """Whether an image of a chunk is kept. Raises what `read_image` does."""
    return bool(_complete(_rows(session, _KEPT, table, start, number)))


def to_bytes(image: Image) -> bytes:
    """Write an image as bytes: two Arrow streams, the first one behind its length."""
    rows, statics = _stream(image.rows), _stream(image.statics)
    return len(rows).to_bytes(8) + rows + statics


def from_bytes(content: bytes, taken_at: int) -> Image:
    """Read what `to_bytes` wrote."""
    end = 8 + int.from_bytes(content[:8])
    return Image(_keyed(content[8:end]), _keyed(content[end:]), taken_at)


def seconds_left(ttl: pa.Array, since: int, now: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the seconds that cells have left; 0 where they never expire, below 0 where they have.

    A collection comes back as a whole: with the time of its element that lasts longest.

    Args:
        ttl: What they had left at `since`; a list for each row of a collection.
        since: Microseconds since 1970.
        now: The same.
    """
    rows = len(ttl)
    if pa.types.is_list(ttl.type):
        lengths = ttl.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        row_of, cells = np.repeat(np.arange(rows), lengths), ttl.flatten()
    else:
        row_of, cells = np.arange(rows), ttl
    lasts = cells.is_null().to_numpy(zero_copy_only=False)
    seconds = cells.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    most, forever = np.zeros(rows, np.int64), np.zeros(rows, bool)
    np.maximum.at(most, row_of, seconds)
    forever[row_of[lasts]] = True
    left = most - max(0, round((now - since) / 1_000_000))
    found: np.ndarray[Any, np.dtype[np.int64]] = np.where(
        forever | (most == 0), 0, np.where(left > 0, left, -1)
    )
    return found


def _stream(keyed: Keyed | None) -> bytes:
    if keyed is None:
        return b""
    columns = {f"key {n}": column.array for n, column in enumerate(keyed.keys)}
    columns["there"] = keyed.found.there
    for name, cell in keyed.found.cells.items():
        columns |= {f"value {name}": cell.value, f"written {name}": cell.written}
        columns[f"ttl {name}"] = cell.ttl
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _keyed(content: bytes) -> Keyed | None:
    if not content:
        return None
    with pa.ipc.open_stream(content) as stream:
        table = stream.read_all().combine_chunks()
    columns = {name: _one(table[name]) for name in table.column_names}
    keys = [VariedCells(array) for name, array in columns.items() if name.startswith("key ")]
    names = [name.removeprefix("value ") for name in columns if name.startswith("value ")]
    cells = {
        name: Cell(columns[f"value {name}"], columns[f"written {name}"], columns[f"ttl {name}"])
        for name in names
    }
    return Keyed(keys, FoundRows(columns["there"], cells))


def _one(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _rows(session: Session, cql: str, table: str, start: int, number: int) -> list[dict[str, Any]]:
    with ledger_access():
        return session.execute(cql, [table, start, number], consistency=QUORUM).rows


def _complete(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parts, in order, of the image that counts: the first one that is whole."""
    by_owner: defaultdict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_owner[row["owner"]].append(row)
    whole = [parts for parts in by_owner.values() if len(parts) == parts[0]["parts"]]
    if not whole:
        return []
    first = min(whole, key=lambda parts: (parts[0]["taken_at"], parts[0]["owner"]))
    return sorted(first, key=lambda row: int(row["part"]))
