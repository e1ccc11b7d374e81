"""Finishing undoings that a crash left half done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.repair import Mending, decide
from prefect_cassandra.ledger.undoing import CassandraUndoings
from prefect_cassandra.writes.undo import undo_contents

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.repair import RunFate, Verdict
    from prefect_cassandra.writes.undo_report import UndoReport


def verdicts(
    session: Session, fate_of: Callable[[str], RunFate], table: str | None = None
) -> list[Verdict]:
    """Say what to do about everything that nobody has finished.

    Args:
        session: Logged in as a role that may read the ledger.
        fate_of: Tells what became of a flow run.
        table: `keyspace.table`, to look at that one alone.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    loads = CassandraLoads(session)
    found = []
    for owed in CassandraUndoings(session).owed(table):
        fate = fate_of(owed.run) if owed.reason == "ROLLBACK" else "unknown"
        blocks = loads.blocks(owed.content.table, owed.content.key)
        found.append(decide(owed, blocks, fate))
    return found


def repair(session: Session, decided: list[Verdict]) -> list[UndoReport]:
    """Carry decisions out; again, it changes nothing.

    Raises what `undo_contents` does; what was not reached is still owed.
    """
    undoings = CassandraUndoings(session)
    done: list[UndoReport] = []
    for one in decided:
        if one.mending is Mending.UNDO:
            owed = one.owed
            done += undo_contents(session, [owed.content], reason=owed.reason, run=owed.run)
        elif one.mending is Mending.FORGET:
            undoings.settle(one.owed.content)
    return done
