"""The ledger's side of a load: which chunks it has, at which stamps, and which are done already.

A chunk that an earlier attempt recorded is cut where that one cut it, even if the input comes in
other pieces now. Small pieces are put together, so that a chunk is worth its record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from prefect_cassandra.driver.encoded import FixedCells
from prefect_cassandra.errors import (
    CannotUndoError,
    ContentChangedError,
    NoStampsError,
    PrefectCassandraError,
)
from prefect_cassandra.ledger.chunks import digest_of
from prefect_cassandra.ledger.keys import KeyFilter, filter_request, hash_rows, require_filters
from prefect_cassandra.ledger.loads import LoadIdentity
from prefect_cassandra.ledger.opening import open_load
from prefect_cassandra.ledger.undoing import CassandraUndoings
from prefect_cassandra.writes.before_images import ImageTaker
from prefect_cassandra.writes.identity import identities
from prefect_cassandra.writes.sources import (
    CHUNK_ROWS,
    Chunk,
    Origin,
    Part,
    read_only_once,
)
from prefect_cassandra.writes.undo import undo_contents
from prefect_cassandra.writes.undo_lookup import undoable_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.driver.encoded import Cells
    from prefect_cassandra.driver.pump import Answer
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.ledger.blocks import Provenance
    from prefect_cassandra.ledger.loads import StampedLoad
    from prefect_cassandra.ledger.undoing import Content
    from prefect_cassandra.writes.plan import Plan
    from prefect_cassandra.writes.sources import Column


# A chunk costs a write and a read of its record, a millisecond of this process; chunks this large
# make that little.
_MOST_ROWS = 25_000
_BYTES = 4 << 20
_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class Stamped:
    """That a load is kept in the ledger, and as what.

    Attributes:
        key: Which load: the same for every attempt at the same rows.
        provenance: Who runs it, with what code.
        replace: Whether other content than before is written whole, instead of refused.
        keep_finished: Whether rows of other content stay when that load was finished: the key does
            not tell for sure that it was the same load.
        optional: Whether a cluster without a ledger is loaded all the same, without stamps.
        keep_filters: How long the filters of the chunks' keys are kept; None makes none.
        keep_images: How long it is kept what the rows held before, so that undoing brings it back;
            None keeps nothing.
        transactional: Whether it is to be undone unless its transaction commits, which the ledger
            notes before anything is written.
        noted: What was noted so, filled in when the load is opened.
    """

    key: str
    provenance: Provenance
    replace: bool = False
    keep_finished: bool = False
    optional: bool = False
    keep_filters: timedelta | None = None
    keep_images: timedelta | None = None
    transactional: bool = False
    noted: list[Content] = field(default_factory=list, compare=False)


@dataclass(slots=True)
class StampedChunks:
    """The chunks of one attempt, on its sending thread.

    Args:
        load: The attempt, as the ledger has it.
        skipped_rows: Rows of chunks that were done already.
        latest: The highest stamp of a chunk so far, done already or not.
        images: What keeps what the rows held before; None when that is not wanted.
        swept_rows: Rows of replaced content that were removed.
        unswept: Why rows of replaced content stay.
    """

    load: StampedLoad
    skipped_rows: int = 0
    latest: int = 0
    images: ImageTaker | None = None
    swept_rows: int = 0
    unswept: str = ""
    _number: int = -1
    _digest: bytes = b""
    _next_row: int = 0
    _chunk_of: dict[int, int] = field(default_factory=dict)
    _left: Counter[int] = field(default_factory=Counter)

    def cut(self, parts: Iterable[Part], group_by: Sequence[str]) -> Iterator[tuple[Part, Chunk]]:
        """Cut the input into the chunks of this load.

        Args:
            parts: The input.
            group_by: See `Part.chunks`.
        """
        held: list[tuple[Part, Chunk]] = []
        first_row = 0
        for part in parts:
            start = 0
            # A part without rows is of any shape: it must not end a chunk that was recorded whole.
            if held and part.size and _shape(held[0][0]) != _shape(part):
                yield _joined(held)
                held = []
            while start < part.size:
                have = sum(chunk.size for _, chunk in held)
                recorded = self.load.recorded_rows(self._number + 1)
                wanted = recorded or _rows_worth_a_record(part)
                if not recorded and not held and part.size - start >= wanted:
                    rest = _tail(part, start)
                    for chunk in rest.chunks(first_row + start, group_by, wanted):
                        yield part, chunk
                    break
                stop = min(part.size, start + wanted - have)
                held.append((part, part.cut(first_row + start, start, stop)))
                start = stop
                if have + held[-1][1].size >= wanted:
                    yield _joined(held)
                    held = []
            first_row += part.size
        if held:
            yield _joined(held)

    def begin(self, chunk: Chunk, columns: Sequence[Cells], plan: Plan, mode: str) -> int | None:
        """Say what the next chunk holds; returns its stamp, or None when it is done already.

        Args:
            chunk: The rows, rejected ones among them.
            columns: What is written of them, in the order of `plan`.
            plan: The columns' names and types.
            mode: What a missing value does.

        Raises:
            ContentChangedError: An earlier attempt recorded other content.
            SupersededError: Newer content of this load was taken up elsewhere.
        """
        self._number += 1
        first_row, self._next_row = self._next_row, self._next_row + chunk.size
        named = [f"{column.name} {column.cql_type}" for column in plan.columns]
        digest = digest_of("\n".join((mode, *named)), _buffers(columns))
        self._digest = digest
        stamp = self.load.begin(self._number, first_row, chunk.size, digest)
        if stamp is None:
            self.skipped_rows += len(columns[0])
        else:
            self.latest = stamp
            if self.images is not None:
                block = self.load.block_of(self._number)
                self.images.keep(block.start, self._number, stamp, columns, plan)
        return stamp

    def key_filter(
        self,
        session: Session,
        columns: Sequence[Cells],
        plan: Plan,
        kinds: Sequence[CqlType],
        keep: timedelta,
    ) -> Request:
        """Return the request that keeps the filter of the keys in the chunk that was begun last.

        It is sent among the chunk's own requests, so it costs no wait, and the chunk is done only
        when the filter is there. Where a chunk writes static columns, which belong to partitions,
        these are in the filter too, under the hash of the partition key alone.

        Args:
            session: Where the ledger is.
            columns: What is written, in the order of `plan`.
            plan: The columns' names and types.
            kinds: The types of the key columns, taken apart.
            keep: How long the filter is kept.
        """
        parts = slice(plan.partition), slice(plan.partition, plan.key)
        of_partition, of_row = (
            identities(columns[part], kinds[part], by_value=by_value)
            for part, by_value in zip(parts, (False, True), strict=True)
        )
        hashes = hash_rows([*of_partition, *of_row])
        if of_row and any(one.kind == "static" for one in plan.columns):
            hashes = np.concatenate((hashes, np.unique(hash_rows(of_partition))))
        identity, start = self.load.identity, self.load.block_start(self._number)
        made = KeyFilter.of(hashes)
        return filter_request(
            session, identity.table, start, self._number, self._digest, made, keep
        )

    def follow(self, requests: Iterator[Request]) -> Iterator[Request]:
        """Pass the requests of the chunk that was begun last on, and know them again."""
        number = self._number
        # One more than there are, until all are made: the first may be answered before the last.
        self._left[number] += 1
        for request in requests:
            self._chunk_of[id(request)] = number
            self._left[number] += 1
            yield request
        self._one_less(number)

    def acknowledge(self, answer: Answer) -> None:
        """Count an acknowledged request; a chunk without any left is done."""
        self._one_less(self._chunk_of.pop(id(answer.request)))

    def finish(self) -> None:
        """Record that the whole input is written.

        Raises:
            ContentChangedError: Earlier attempts had more chunks than the input has now.
            SupersededError: Newer content of this load was taken up elsewhere.
        """
        self.load.finish(self._number + 1, self._next_row)

    def sweep(self, session: Session) -> None:
        """Take away what only older contents of this load wrote.

        Raises what `undo_contents` does; the ledger has noted then what is left to do.
        """
        older = self.load.to_sweep()
        if not older:
            return
        run = self.load.identity.provenance.run
        try:
            did = undo_contents(session, older, reason="REPLACED", run=run)
        except CannotUndoError as error:
            self.unswept = error.message
            for content in older:
                CassandraUndoings(session).settle(content)
        else:
            self.swept_rows = sum(one.rows_removed for one in did)

    def give_up(self) -> None:
        """Say what is done, so that the next attempt need not send it; never fails."""
        with suppress(PrefectCassandraError):
            self.load.close()

    def _one_less(self, number: int) -> None:
        self._left[number] -= 1
        if not self._left[number]:
            del self._left[number]
            self.load.done(number)


def open_stamped(
    session: Session, table: TableInfo, wanted: Stamped | None, data: object
) -> StampedChunks | None:
    """Find in the ledger what earlier attempts at a load did, and join them.

    Args:
        session: Where to load.
        table: The table.
        wanted: As what the load is kept; None when it is not.
        data: The input.

    Raises:
        LedgerError: It cannot be kept, and is not optional; nothing was written.
        CannotUndoError: It may have to be undone, which is not possible there; nothing was written.
    """
    if wanted is None:
        return None
    identity = LoadIdentity(f"{table.keyspace}.{table.name}", wanted.key, wanted.provenance)
    try:
        _require_repeatable(table)
        if wanted.keep_filters is not None:
            require_filters(session)
        if wanted.keep_images is not None or wanted.transactional:
            undoable_table(session, identity.table)
        load = open_load(
            session,
            identity,
            chunk_rows=CHUNK_ROWS,
            total_rows=_rows_known(data),
            keep_finished=wanted.keep_finished,
        )
    except NoStampsError:
        if wanted.optional:
            return None
        raise
    if wanted.transactional:
        _owe(session, load, wanted.noted)
    images = None
    if wanted.keep_images is not None:
        images = ImageTaker(session, table, load.owner, wanted.keep_images)
    return StampedChunks(load, images=images)


def _owe(session: Session, load: StampedLoad, noted: list[Content]) -> None:
    """Note that a load is to be undone, unless another transaction has brought it to its end."""
    if load.blocks[0].state != "DONE":
        noted.append(load.content)
        CassandraUndoings(session).owe(load.content, "ROLLBACK", load.identity.provenance.run)


def _require_repeatable(table: TableInfo) -> None:
    """Refuse stamps to a table in which a chunk that is sent again would be there twice.

    Raises:
        NoStampsError: It has a list that is not frozen.
    """
    lists = [column.name for column in table.columns if column.is_plain_list]
    if lists:
        raise NoStampsError(
            f"{table.keyspace}.{table.name} has the list {lists[0]}, to which a repeated write "
            "adds its elements once more, so a load cannot be taken up again",
            hint="Make it a frozen<list<...>>, or load without a key.",
        )


def replacing(
    session: Session,
    stamped: StampedChunks | None,
    wanted: Stamped | None,
    data: object,
    error: ContentChangedError,
) -> StampedChunks:
    """Take a new block for content that has changed, to send all of it from the beginning.

    Raises:
        ContentChangedError: It is not to be replaced, or cannot be read again.
    """
    if stamped is None or wanted is None or not wanted.replace:
        raise error
    if read_only_once(data):
        raise ContentChangedError(
            f"{error.message}; a {type(data).__name__} can be read only once, so the new content "
            "cannot be sent from its beginning",
            hint="Give a function that returns a new iterator, or a table.",
        ) from error
    load, images = stamped.load.replaced(), stamped.images
    if wanted.transactional:
        _owe(session, load, wanted.noted)
    if images is not None:
        images = replace(images, owner=load.owner)
    return StampedChunks(load, images=images)


def _rows_known(data: object) -> int | None:
    """Return how many rows the input has, if that can be told without reading it."""
    if isinstance(data, pa.Table | pa.RecordBatch):
        return int(data.num_rows)
    # A frame, or a list of rows; a list of tables has more rows than this, and then gets more room.
    return len(data) if isinstance(data, Sized) else None


def _shape(part: Part) -> tuple[object, ...]:
    """Return what parts must have in common to be put together, the file they come from too."""
    origin = part.cut(0, 0, 0).origin
    file = None if origin is None else origin.file
    return tuple(part.types.items()), part.nan_is_missing, file


def _rows_worth_a_record(part: Part) -> int:
    """Return how many rows a chunk of a part should have: many, but no more than a few MiB."""
    sample = part.cut(0, 0, min(part.size, _SAMPLE))
    if not sample.size or any(isinstance(column, list) for column in sample.columns.values()):
        return CHUNK_ROWS
    width = max(1, sample.nbytes // sample.size)
    return max(CHUNK_ROWS, min(_MOST_ROWS, _BYTES // width))


def _tail(part: Part, start: int) -> Part:
    """Return the rows of a part from `start` on."""
    if not start:
        return part

    def cut(first_row: int, begin: int, stop: int) -> Chunk:
        return part.cut(first_row, start + begin, start + stop)

    return Part(part.types, part.size - start, cut, part.nan_is_missing, part.index_names)


def _joined(held: Sequence[tuple[Part, Chunk]]) -> tuple[Part, Chunk]:
    """Put pieces of the same shape together."""
    part, first = held[0]
    chunks = [chunk for _, chunk in held]
    if len(chunks) == 1:
        return part, first
    columns: dict[str, Column] = {
        name: _concatenated([chunk.columns[name] for chunk in chunks]) for name in first.columns
    }
    positions = [place for chunk in chunks for place in chunk.positions]
    origin = _joined_origin([chunk.origin for chunk in chunks if chunk.origin is not None])
    return part, Chunk(positions, columns, first.nan_is_missing, origin)


def _concatenated(columns: Sequence[Column]) -> Column:
    arrays = [column for column in columns if isinstance(column, pa.Array)]
    if len(arrays) == len(columns):
        return pa.concat_arrays(arrays)
    return [
        value
        for column in columns
        for value in (column.to_pylist() if isinstance(column, pa.Array) else column)
    ]


def _joined_origin(origins: Sequence[Origin]) -> Origin | None:
    """Put together what is known of rows from one file; each piece is of another part of it."""
    if not origins:
        return None
    first = origins[0]
    names = [name for name in first.cells if all(name in one.cells for one in origins)]
    return Origin(
        first.file,
        [row for one in origins for row in one.rows],
        {name: pa.concat_arrays([one.cells[name] for one in origins]) for name in names},
        None if first.lines is None else [line for one in origins for line in one.lines or ()],
        {row: why for one in origins for row, why in one.unreadable.items()},
    )


def _buffers(columns: Sequence[Cells]) -> Iterator[object]:
    """Yield what tells the content of columns, whatever buffers it happens to lie in."""
    for cells in columns:
        missing = cells.missing
        yield b"" if missing is None else np.packbits(missing)
        if isinstance(cells, FixedCells):
            items = cells.sent()
            yield np.ascontiguousarray(items if missing is None else items[~missing]).view(np.uint8)
            continue
        yield cells.lengths().astype("<i4")
        values = cells.binary()
        _, offsets, data = values.buffers()
        places = np.frombuffer(offsets, np.int64)[values.offset :]
        yield b"" if data is None else memoryview(data)[places[0] : places[len(values)]]
