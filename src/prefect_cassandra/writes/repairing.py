"""Finishing undoings that a crash left half done."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prefect_cassandra.errors import CannotUndoError, StatementError
from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.repair import Mending, Verdict, decide
from prefect_cassandra.ledger.undoing import CassandraUndoings
from prefect_cassandra.writes.undo import Why, undo_each

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.errors import PrefectCassandraError
    from prefect_cassandra.ledger.repair import RunFate
    from prefect_cassandra.ledger.undoing import Content
    from prefect_cassandra.writes.undo_report import UndoReport


@dataclass(frozen=True, slots=True)
class Repaired:
    """What carrying decisions out came to.

    Attributes:
        reports: What was undone.
        failures: Tables in which undoing is not possible, and why; what is owed there stays so.
    """

    reports: list[UndoReport] = field(default_factory=list)
    failures: dict[str, PrefectCassandraError] = field(default_factory=dict)


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
    everything = CassandraUndoings(session).owed(table)
    there = {name: _is_there(session, name) for name in {one.content.table for one in everything}}
    for owed in everything:
        if not there[owed.content.table]:
            found.append(Verdict(owed, Mending.FORGET, "its table is not there any more"))
            continue
        fate = fate_of(owed.run) if owed.reason == "ROLLBACK" else "unknown"
        blocks = loads.blocks(owed.content.table, owed.content.key)
        found.append(decide(owed, blocks, fate, everything))
    return found


def repair(session: Session, decided: list[Verdict]) -> Repaired:
    """Carry decisions out; again, it changes nothing.

    What is undone of one table is undone together, whatever the reasons: its loads may lie on top
    of each other.

    Raises what `Session.execute` does; what was not reached is still owed.
    """
    undoings = CassandraUndoings(session)
    by_table: defaultdict[str, dict[Content, Why]] = defaultdict(dict)
    for one in decided:
        owed = one.owed
        if one.mending is Mending.UNDO:
            by_table[owed.content.table][owed.content] = Why(owed.reason, run=owed.run)
        elif one.mending is Mending.FORGET:
            undoings.settle(owed.content)
    done = Repaired()
    for table, contents in by_table.items():
        try:
            done.reports.extend(undo_each(session, contents))
        except (CannotUndoError, StatementError) as error:
            done.failures[table] = error
        else:
            forget_moot_sweeps(session, table)
    return done


def forget_moot_sweeps(session: Session, table: str) -> None:
    """Settle what was to be swept in favour of newer content that was undone itself.

    Args:
        session: Logged in as a role that may read and write the ledger.
        table: `keyspace.table`.

    Raises what `Session.execute` does.
    """
    undoings, loads = CassandraUndoings(session), CassandraLoads(session)
    everything = undoings.owed(table)
    for owed in everything:
        if owed.reason == "REPLACED":
            blocks = loads.blocks(table, owed.content.key)
            if decide(owed, blocks, "unknown", everything).mending is Mending.FORGET:
                undoings.settle(owed.content)


def _is_there(session: Session, table: str) -> bool:
    keyspace, _, name = table.partition(".")
    try:
        session.table(keyspace, name)
    except StatementError:
        return False
    return True
