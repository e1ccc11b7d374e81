"""The end of a transaction: what its loads wrote is kept, or undone.

A load in a transaction is on record as owed, with reason ROLLBACK, before anything of it is
written. What it replaced is on record too, and stays in the table until the commit: rolled back,
the load has replaced nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.repair import Mending, decide
from prefect_cassandra.ledger.undoing import CassandraUndoings, Content
from prefect_cassandra.writes.repairing import forget_moot_sweeps
from prefect_cassandra.writes.undo import Why, undo_contents, undo_each

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.undoing import Owed
    from prefect_cassandra.writes.undo_report import UndoReport


def roll_back(session: Session, table: str, contents: Mapping[Content, str]) -> list[UndoReport]:
    """Undo what a transaction wrote into one table, all of it with one look.

    Args:
        session: Logged in as a role that may read and write the table and the ledger.
        table: `keyspace.table`.
        contents: What it wrote there, with the flow run of each.

    Raises what `undo_each` does; the ledger has noted then what is left to do.
    """
    undoings = CassandraUndoings(session)
    for content, run in contents.items():
        # A commit that failed behind our part of it may have settled it.
        undoings.owe(content, "ROLLBACK", run)
    whys = {content: Why("ROLLBACK", run=run) for content, run in contents.items()}
    for owed in _older(session, table, contents):
        # An earlier attempt of this run had other content, and died before its transaction ended.
        if owed.reason == "ROLLBACK":
            whys[owed.content] = Why("ROLLBACK", run=owed.run)
    done = undo_each(session, whys)
    forget_moot_sweeps(session, table)
    return done


def keep(session: Session, table: str, contents: Mapping[Content, str]) -> None:
    """Record that what a transaction wrote into one table stays.

    Of several contents of one load the newest stays; the others are to be swept.

    Args:
        session: Logged in as a role that may read and write the ledger.
        table: `keyspace.table`.
        contents: What it wrote there, with the flow run of each.

    Raises what `Session.execute` does.
    """
    undoings = CassandraUndoings(session)
    for owed in _older(session, table, contents):
        if owed.reason == "ROLLBACK":
            undoings.owe(owed.content, "REPLACED", owed.run)
    for key, generation in _newest(contents).items():
        undoings.settle(Content(table, key, generation))


def sweep_replaced(
    session: Session, table: str, contents: Mapping[Content, str]
) -> list[UndoReport]:
    """Take away what only contents wrote that these have replaced, now that they stay.

    Args:
        session: Logged in as a role that may read and write the table and the ledger.
        table: `keyspace.table`.
        contents: What stays there, with the flow run of each.

    Raises what `undo_contents` does; the ledger has noted then what is left to do.
    """
    loads = CassandraLoads(session)
    everything = CassandraUndoings(session).owed(table)
    found = [
        owed.content
        for owed in _older(session, table, contents)
        if decide(owed, loads.blocks(table, owed.content.key), "unknown", everything).mending
        is Mending.UNDO
    ]
    return undo_contents(session, found, reason="REPLACED", run=next(iter(contents.values()), ""))


def _newest(contents: Mapping[Content, str]) -> dict[str, int]:
    """Return the generation that counts, by load."""
    found: dict[str, int] = {}
    for content in contents:
        found[content.key] = max(content.generation, found.get(content.key, 0))
    return found


def _older(session: Session, table: str, contents: Mapping[Content, str]) -> Iterator[Owed]:
    """Yield what is owed of older contents of the same loads."""
    newest = _newest(contents)
    for owed in CassandraUndoings(session).owed(table):
        if owed.content.generation < newest.get(owed.content.key, 0):
            yield owed
