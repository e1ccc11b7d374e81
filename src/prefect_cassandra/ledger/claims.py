"""Tables for claims: a table is written with stamps or with conditions, never with both.

A conditional write takes the time of its Paxos ballot. It can be "applied" and lose to a stamp
that is ahead, and a stamp can undo in silence what two sides had agreed on. So the row of a table's
clock says which of the two it is for: a claim puts a mark in the place of a clock, by lightweight
transaction, and whoever comes second is refused. It costs loads nothing: they read that row anyway.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ClaimedTableError, OutcomeUnknownError
from prefect_cassandra.ledger.store import MARK_OF_CLAIMS, QUORUM, ledger_access

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session

_MARK = """INSERT INTO prefect_ledger.stamp_clocks (table_name, newest) VALUES (?, ?)
 IF NOT EXISTS"""
_READ = "SELECT next, newest FROM prefect_ledger.stamp_clocks WHERE table_name = ?"


def reserve_for_claims(session: Session, table: str) -> None:
    """Make a table one for claims, for good; again, by anyone, changes nothing.

    Args:
        session: Logged in as a role that may read and write the stamp tables.
        table: `keyspace.table`.

    Raises:
        ClaimedTableError: Stamped writes use it.
        NoStampsError: The cluster has no ledger, or not for this role.
        OutcomeUnknownError: Nobody knows whether it is one now; nothing else was done.
    """
    with ledger_access():
        # Once a table is one for claims it stays so, and a read is cheaper than a try.
        row = session.execute(_READ, [table], consistency="SERIAL").one()
        if row is None:
            # When the answer is lost, what the read at SERIAL tells is final.
            with suppress(OutcomeUnknownError):
                session.execute(
                    _MARK,
                    [table, MARK_OF_CLAIMS],
                    idempotent=False,
                    consistency=QUORUM,
                    serial_consistency="SERIAL",
                )
            row = session.execute(_READ, [table], consistency="SERIAL").one()
    if row is None:
        raise OutcomeUnknownError(
            f"it is not known whether {table} could be made a table for claims; nothing was claimed"
        )
    if row["newest"] != MARK_OF_CLAIMS:
        raise ClaimedTableError(f"{table} is written with stamps, so nothing in it can be claimed")
