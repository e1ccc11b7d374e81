"""Cursors of those who follow a table's changes, and how far they may go.

A cursor is a stamp: what was written up to it has been taken. It may go as far as every load below
is done, because a load that is under way still writes at the stamps of its block, however low they
are. So it stops before the lowest open block. A load that died holds it there until it is run again
to its end, or undone; nothing else is certain to write at its stamps no more.

A cursor's own write time is the stamp it stands at. So the highest stamp wins, whoever writes it
when, and no cursor ever goes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect_cassandra.ledger.blocks import from_json
from prefect_cassandra.ledger.lookup import record_at, undoing_of
from prefect_cassandra.ledger.overview import recorded_blocks
from prefect_cassandra.ledger.store import QUORUM, ledger_access

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.blocks import Block

_CLOCK = "SELECT next, newest FROM prefect_ledger.stamp_clocks WHERE table_name = ?"
_READ = "SELECT stamp FROM prefect_ledger.change_cursors WHERE table_name = ? AND name = ?"
_MOVE = """INSERT INTO prefect_ledger.change_cursors (table_name, name, stamp, run, moved_at)
 VALUES (?, ?, ?, ?, ?)"""


@dataclass(frozen=True, slots=True)
class Settled:
    """How far the changes of a table are certain.

    Attributes:
        upto: The last stamp below which every load is done.
        held_by: The lowest block that is open; None when none is.
    """

    upto: int
    held_by: Block | None


def settled(session: Session, table: str, since: int) -> Settled:
    """Find out how far the changes of a table are certain.

    Args:
        session: Logged in as a role that may read the ledger.
        table: `keyspace.table`.
        since: A stamp that was settled before; the blocks from there on are looked at.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    # A move that this read does not see has its blocks behind the stamp that it does see.
    with ledger_access():
        clock = session.execute(_CLOCK, [table], consistency=QUORUM).one()
    if clock is None or clock["next"] is None:
        return Settled(since, None)
    newest = from_json(table, clock["newest"])
    # There may be as many as the table ever had: only those that may be open are held.
    unfiled, open_ = {block.start for block in newest}, []
    for row in recorded_blocks(session, table, newest, since):
        unfiled.discard(row["start"])
        if row["state"] is None:
            open_.append(row["start"])
    starts = sorted(start for start in {*open_, *unfiled} if start > since)
    held_by = _lowest(session, table, newest, starts)
    return Settled(clock["next"] - 1 if held_by is None else held_by.start - 1, held_by)


def read_cursor(session: Session, table: str, name: str) -> int:
    """Return the stamp that a cursor stands at; 0, before everything, when it was never moved.

    Args:
        session: Logged in as a role that may read the ledger.
        table: `keyspace.table`.
        name: Of the cursor.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    with ledger_access():
        row = session.execute(_READ, [table, name], consistency=QUORUM).one()
    return 0 if row is None else int(row["stamp"])


def move_cursor(session: Session, table: str, name: str, stamp: int, run: str = "") -> None:
    """Move a cursor on; where it stands further already, it stays.

    Args:
        session: Logged in as a role that may write the ledger's tables for loads.
        table: `keyspace.table`.
        name: Of the cursor.
        stamp: What was written up to this one has been taken.
        run: Identifier of the flow run that took it.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    values: list[Any] = [table, name, stamp, run, now]
    with ledger_access():
        session.execute(_MOVE, values, consistency=QUORUM, idempotent=True, timestamp=stamp)


def _lowest(
    session: Session, table: str, newest: Iterable[Block], starts: Iterable[int]
) -> Block | None:
    """Return the first of these blocks that is open, and was not undone for good."""
    unfiled = {block.start: block for block in newest}
    for start in starts:
        record = record_at(session, table, start)
        block = record.block if record is not None else unfiled[start]
        undoing = undoing_of(session, block)
        if undoing is None or undoing.state != "DONE":
            return block
    return None
