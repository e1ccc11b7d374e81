"""What the ledger holds of each table: its clock, the blocks of late, and which are still open.

The records of blocks lie in a partition for each hour with any. Every block knows where the one
before it starts, so the hours without are passed over.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PermissionDeniedError, StatementError
from prefect_cassandra.ledger.blocks import SECOND, from_json, hour_of
from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.store import QUORUM, DatabaseTime, ledger_access
from prefect_cassandra.schema.model import LEDGER
from prefect_cassandra.schema.tables import (
    STAMP_TABLES,
    STATEMENT_TABLES,
    TRAIL_TABLES,
    UNDO_TABLES,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.blocks import Block
    from prefect_cassandra.ledger.undoing import Content

_CLOCKS = "SELECT table_name, next, newest FROM prefect_ledger.stamp_clocks"
_CLOCK = f"{_CLOCKS} WHERE table_name = ?"
_HOUR = """SELECT start, previous, load_key, generation, kind, run, task, attempt, person, source,
 created_at, state, chunks, rows FROM prefect_ledger.stamp_blocks
 WHERE table_name = ? AND hour = ?"""
_SIZES = "SELECT table_name, mebibytes FROM system_views.disk_usage WHERE keyspace_name = ?"


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """A block whose load is under way, or was left half done.

    Attributes:
        start: Its first stamp.
        load_key: Which load.
        generation: Which of the load's contents.
        run: Identifier of the flow run.
        person: Who started it.
        since: When it was taken, UTC.
    """

    start: int
    load_key: str
    generation: int
    run: str
    person: str
    since: datetime


@dataclass(frozen=True, slots=True)
class TableLedger:
    """What the ledger holds of one table.

    Attributes:
        table: `keyspace.table`.
        next: The first stamp that nobody has.
        ahead: Seconds that its clock is ahead of now; below zero when it lags, which is usual.
        blocks: Blocks taken in the time looked at.
        chunks: Chunks of the loads among them that are done.
        rows: Rows of those.
        open: Those that are not done, the newest first.
    """

    table: str
    next: int
    ahead: float
    blocks: int
    chunks: int
    rows: int
    open: tuple[OpenBlock, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole ledger.

    Attributes:
        tables: By name.
        disk: Mebibytes of the ledger's tables on the node that was asked; empty when the role may
            not know.
    """

    tables: tuple[TableLedger, ...]
    disk: dict[str, int]


def overview(session: Session, *, hours: float, table: str | None = None) -> Overview:
    """Look at clocks and blocks.

    Args:
        session: Logged in as a role that may read the stamp tables.
        hours: How far to look back from each table's newest block.
        table: `keyspace.table`, to look at that one alone.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    now = DatabaseTime(session)()
    with ledger_access():
        clocks = session.execute(_CLOCKS, consistency=QUORUM).rows
    # A table for claims has a row here and no clock.
    ticking = (row for row in clocks if row["next"] is not None)
    wanted = [row for row in ticking if table in (None, row["table_name"])]
    wanted.sort(key=lambda row: str(row["table_name"]))
    return Overview(tuple(_table(session, row, now, hours) for row in wanted), _disk(session))


def _table(session: Session, clock: dict[str, Any], now: int, hours: float) -> TableLedger:
    name, newest = clock["table_name"], from_json(clock["table_name"], clock["newest"])
    since = newest[-1].start - round(hours * 3600 * SECOND)
    rows = recorded_blocks(session, name, newest, since)
    found = [row for row in rows if row["start"] >= since]
    done = [row for row in found if row["state"] == "DONE"]
    return TableLedger(
        table=name,
        next=clock["next"],
        ahead=(clock["next"] - now) / SECOND,
        blocks=len(found),
        chunks=sum(row["chunks"] or 0 for row in done),
        rows=sum(row["rows"] or 0 for row in done),
        open=tuple(_open(row) for row in found if row["state"] is None),
    )


def recorded_blocks(
    session: Session, table: str, newest: Sequence[Block], since: int
) -> Iterator[dict[str, Any]]:
    """Yield the records of blocks, the newest first, hour by hour; some lie before `since`.

    Args:
        session: Logged in as a role that may read the stamp tables.
        table: `keyspace.table`.
        newest: The blocks in the clock's row, which may not be filed yet.
        since: A stamp; the hour in which it lies is the last one looked at.
    """
    start: int | None = newest[-1].start
    before = newest[0].previous
    while start is not None and start >= since:
        rows = session.execute(_HOUR, [table, hour_of(start)], consistency=QUORUM).rows
        # A row with nothing but a state is of a block whose table was cleared by hand.
        yield from (row for row in rows if row["load_key"] is not None)
        # The blocks of the clock's last move may not be filed yet; its row knows what was before.
        start, before = (rows[-1]["previous"] if rows else before), None


def open_below(
    session: Session, contents: Iterable[Content], window: timedelta
) -> dict[str, tuple[OpenBlock, ...]]:
    """Return the loads that may still write below what contents wrote, by table, the oldest first.

    Args:
        session: Logged in as a role that may read the ledger's tables for loads.
        contents: What was written. They are not among what is returned.
        window: How far to look back from the newest of them.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    by_table: defaultdict[str, list[Content]] = defaultdict(list)
    for content in contents:
        by_table[content.table].append(content)
    found = {name: _open_below(session, name, wanted, window) for name, wanted in by_table.items()}
    return {name: blocks for name, blocks in found.items() if blocks}


def said_of_open(found: Mapping[str, Sequence[OpenBlock]]) -> list[str]:
    """Return for each table what the loads that `open_below` found mean for an undoing."""
    lines = []
    for table, blocks in found.items():
        first, others = blocks[0], len(blocks) - 1
        more = f" and {others:,} more {'loads' if others > 1 else 'load'}" if others else ""
        lines.append(
            f"{table}: the load {first.load_key!r} of run {first.run or 'unknown'}{more} began "
            "before what is undone and is not done. What it writes from now on to a row that is "
            "removed, or to a cell that is cleared, stays hidden: let it end, or cancel it, and "
            "undo then."
        )
    return lines


def _open_below(
    session: Session, table: str, contents: Sequence[Content], window: timedelta
) -> tuple[OpenBlock, ...]:
    loads = CassandraLoads(session)
    ours = [
        block.start
        for one in contents
        for block in loads.blocks(table, one.key)
        if block.generation == one.generation
    ]
    with ledger_access():
        clock = session.execute(_CLOCK, [table], consistency=QUORUM).one()
    if not ours or clock is None or clock["next"] is None:
        return ()
    since = max(ours) - window // timedelta(microseconds=1)
    known = {(one.key, one.generation) for one in contents}
    rows = recorded_blocks(session, table, from_json(table, clock["newest"]), since)
    found = [
        _open(row)
        for row in rows
        if since <= row["start"] < max(ours)
        and row["state"] is None
        and (row["load_key"], row["generation"]) not in known
    ]
    return tuple(sorted(found, key=lambda one: one.start))


def _open(row: dict[str, Any]) -> OpenBlock:
    return OpenBlock(
        row["start"],
        row["load_key"],
        row["generation"],
        row["run"],
        row["person"],
        row["created_at"],
    )


def _disk(session: Session) -> dict[str, int]:
    """Return the sizes on disk; the table that tells them is for superusers, and new in 4.1."""
    try:
        rows = session.execute(_SIZES, [LEDGER]).rows
    except (PermissionDeniedError, StatementError):
        return {}
    kept = STAMP_TABLES | TRAIL_TABLES | STATEMENT_TABLES | UNDO_TABLES
    return {row["table_name"]: row["mebibytes"] for row in rows if row["table_name"] in kept}
