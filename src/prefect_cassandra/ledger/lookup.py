"""Blocks found again: those of a run, those of a person's runs, and the one that has a stamp.

A block is recorded in `stamp_blocks`, by table and by the hour it starts in. By run and by person
there is only filed where: table and start. That is written before the record itself, so a place
without a record is of a taker that died before it had used a stamp, and is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect_cassandra.ledger.blocks import LEAD, Block, BlockRequest, Provenance, hour_of, moment
from prefect_cassandra.ledger.chunks import ChunkRecord
from prefect_cassandra.ledger.store import QUORUM, ledger_access

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect_cassandra.driver.session import Session

_WHAT = """SELECT start, length, stride, previous, load_key, generation, first_chunk, chunk_rows,
 kind, run, task, attempt, deployment, version, image, git_commit, person, source, created_at, id,
 state, ended_at, chunks, rows FROM prefect_ledger.stamp_blocks WHERE table_name = ? AND hour = ?"""
_PLACES = """SELECT start, length, id, load_key, generation FROM prefect_ledger.stamp_blocks
 WHERE table_name = ? AND hour = ?"""
_THESE = f"{_WHAT} AND start IN ?"
_BEFORE = f"{_WHAT} AND start <= ? LIMIT 1"
_OF_RUN = "SELECT table_name, start FROM prefect_ledger.run_blocks WHERE run = ?"
_OF_RUN_IN_TABLE = f"{_OF_RUN} AND table_name = ?"
_OF_PERSON = """SELECT table_name, start FROM prefect_ledger.person_blocks WHERE person = ?
 AND hour = ?"""
_CHUNKS = """SELECT number, digest, owner, slot, first_row, rows, state, run, attempt
 FROM prefect_ledger.load_chunks WHERE table_name = ? AND start = ?"""
_CHUNK = f"{_CHUNKS} AND number = ?"
_UNDOING = """SELECT reason, state, person, run, begun_at FROM prefect_ledger.undoings
 WHERE table_name = ? AND load_key = ? AND generation = ?"""
_AT_ONCE = 100
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A block and what became of it.

    Attributes:
        block: Its stamps, who has them and what for.
        state: None while its load is under way, or was left so; else how it ended.
        ended_at: When it ended, UTC.
        chunks: Chunks of the whole load, once it is done.
        rows: Rows of the whole load, once it is done.
    """

    block: Block
    state: str | None
    ended_at: datetime | None
    chunks: int | None
    rows: int | None


class BlockSpan(NamedTuple):
    """The stamps of a block, and whose they are.

    Attributes:
        start: The first one.
        end: The one after the last.
        load_key: Which load.
        generation: Which of its contents.
    """

    start: int
    end: int
    load_key: str
    generation: int


@dataclass(frozen=True, slots=True)
class ChunkAttempt:
    """What one attempt recorded of one chunk, and whose attempt it was.

    Attributes:
        record: The chunk.
        run: Identifier of the attempt's flow run.
        attempt: Which attempt of its task, from 1.
    """

    record: ChunkRecord
    run: str
    attempt: int


@dataclass(frozen=True, slots=True)
class UndoingRecord:
    """That what a block wrote was undone, or is being undone.

    Attributes:
        reason: UNDO, REPLACED or ROLLBACK.
        state: BEGUN, or DONE: then nothing is ever written at the block's stamps again.
        person: Who asked for it.
        run: The flow run that did it; empty for a command.
        begun_at: When, UTC.
    """

    reason: str
    state: str
    person: str
    run: str
    begun_at: datetime


def blocks_of_run(session: Session, run: str, table: str | None = None) -> list[Block]:
    """Return the blocks that a flow run took, by table and then by time.

    Args:
        session: Logged in as a role that may read the ledger.
        run: Identifier of the flow run.
        table: `keyspace.table`, to look at that one alone.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    return [found.block for found in records_of_run(session, run, table)]


def block_at(session: Session, table: str, stamp: int) -> Block | None:
    """Return the block that has a stamp; None when no block has it.

    Whether the stamp was used is for the block's chunks to tell.

    Args:
        session: Logged in as a role that may read the ledger.
        table: `keyspace.table`.
        stamp: Microseconds since 1970, as `WRITETIME` gives them.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    found = record_at(session, table, stamp)
    return found.block if found else None


def records_of_run(session: Session, run: str, table: str | None = None) -> list[BlockRecord]:
    """Do what `blocks_of_run` does, and tell what became of each."""
    if not run:
        return []
    if table is None:
        places = _read(session, _OF_RUN, [run])
    else:
        places = _read(session, _OF_RUN_IN_TABLE, [run, table])
    return list(_records(session, places))


def records_of_person(
    session: Session, person: str, since: datetime, until: datetime | None = None
) -> list[BlockRecord]:
    """Return the blocks that a person's runs took, by table and then by time.

    Every hour is a read of its own, some thousand in a second.

    Args:
        session: Logged in as a role that may read the ledger.
        person: The person or service that started the runs, as the ledger has it.
        since: With its time zone; blocks that begin before are left out.
        until: The same for those that begin later; now when not given.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    end = until or datetime.now(UTC) + timedelta(microseconds=LEAD)
    if not person:
        return []
    places = [
        place
        for hour in _hours(since, end)
        for place in _read(session, _OF_PERSON, [person, hour])
        if since <= moment(place["start"]) <= end
    ]
    return list(_records(session, places))


def record_at(session: Session, table: str, stamp: int) -> BlockRecord | None:
    """Do what `block_at` does, and tell what became of the block."""
    # A block is filed under the hour of its first stamp and may reach into the next.
    try:
        hours = sorted({hour_of(stamp), hour_of(stamp - LEAD)}, reverse=True)
    except OverflowError:
        return None  # others write at any number; this one is no time at all
    for hour in hours:
        for row in _read(session, _BEFORE, [table, hour, stamp]):
            if row["id"] is not None and stamp < row["start"] + row["length"]:
                return _record(table, row)
    return None


def spans_of_hour(session: Session, table: str, hour: datetime) -> list[BlockSpan]:
    """Return which stamps the blocks filed under an hour have, in the order of their stamps.

    Args:
        session: Logged in as a role that may read the ledger.
        table: `keyspace.table`.
        hour: UTC, as `hour_of` gives it.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    rows = [row for row in _read(session, _PLACES, [table, hour]) if row["id"] is not None]
    found = [
        BlockSpan(row["start"], row["start"] + row["length"], row["load_key"], row["generation"])
        for row in rows
    ]
    return sorted(found)


def chunks_of(
    session: Session, table: str, start: int, number: int | None = None
) -> list[ChunkAttempt]:
    """Return what is on record for a block's chunks, or for one of them, by number.

    Args:
        session: Logged in as a role that may read the ledger.
        table: `keyspace.table`.
        start: First stamp of the block.
        number: Of the chunk.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    if number is None:
        rows = _read(session, _CHUNKS, [table, start])
    else:
        rows = _read(session, _CHUNK, [table, start, number])
    return [
        ChunkAttempt(run=row.pop("run"), attempt=row.pop("attempt"), record=ChunkRecord(**row))
        for row in rows
    ]


def undoing_of(session: Session, block: Block) -> UndoingRecord | None:
    """Return who undid what a block wrote; None when nobody did.

    Args:
        session: Logged in as a role that may read the ledger.
        block: The block.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    asked = block.request
    rows = _read(session, _UNDOING, [block.table, asked.load_key, asked.generation])
    if not rows:
        return None
    (row,) = rows
    who = (row["person"] or "", row["run"] or "")
    return UndoingRecord(row["reason"], row["state"], *who, row["begun_at"])


def _hours(since: datetime, until: datetime) -> Iterator[datetime]:
    hour = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour <= until:
        yield hour
        hour += _HOUR


def _records(session: Session, places: Iterable[dict[str, Any]]) -> Iterator[BlockRecord]:
    """Read the records at places, hour by hour."""
    ordered = sorted({(place["table_name"], place["start"]) for place in places})
    grouped = groupby(ordered, key=lambda place: (place[0], hour_of(place[1])))
    for (table, hour), found in grouped:
        starts = [start for _, start in found]
        for at in range(0, len(starts), _AT_ONCE):
            rows = _read(session, _THESE, [table, hour, starts[at : at + _AT_ONCE]])
            # The partition is kept with the newest first.
            yield from (_record(table, row) for row in reversed(rows) if row["id"] is not None)


def _record(table: str, row: dict[str, Any]) -> BlockRecord:
    who = Provenance(
        run=row["run"],
        task=row["task"],
        attempt=row["attempt"],
        deployment=row["deployment"],
        version=row["version"],
        image=row["image"],
        commit=row["git_commit"],
        person=row["person"],
        source=row["source"],
    )
    asked = BlockRequest(
        load_key=row["load_key"],
        chunks=row["length"] // row["stride"],
        chunk_rows=row["chunk_rows"],
        kind=row["kind"],
        provenance=who,
        generation=row["generation"],
        first_chunk=row["first_chunk"],
        stride=row["stride"],
        id=row["id"],
        created_at=row["created_at"],
    )
    block = Block(table, row["start"], row["previous"], asked)
    return BlockRecord(block, row["state"], row["ended_at"], row["chunks"], row["rows"])


def _read(session: Session, cql: str, parameters: list[Any]) -> list[dict[str, Any]]:
    with ledger_access():
        return session.execute(cql, parameters, consistency=QUORUM).rows
