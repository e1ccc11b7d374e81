"""Loads inside of Prefect's transactions: undone when the transaction is rolled back.

The ledger notes such a load before anything of it is written, and forgets it at the commit. So when
the process dies in between, and none of Prefect's hooks runs, `ledger repair` knows what to undo.
"""

from __future__ import annotations

from contextvars import Token
from typing import TYPE_CHECKING, Any

from prefect.context import TaskRunContext
from prefect.transactions import get_transaction

from prefect_cassandra.errors import PrefectCassandraError
from prefect_cassandra.tasks.following import run_logger

if TYPE_CHECKING:
    from prefect.transactions import BaseTransaction

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.undoing import Owed
    from prefect_cassandra.writes.stamped import Stamped


def transaction_around() -> BaseTransaction | None:
    """Return the transaction that the running task stands in; None when the flow opened none.

    Prefect opens one for each task run as well, so there must be more of them than of those.
    """
    own = get_transaction()
    if own is None or TaskRunContext.get() is None:
        return None
    transactions, parent = 1, own.get_parent()
    while parent is not None:
        transactions, parent = transactions + 1, parent.get_parent()
    return own.get_parent() if transactions > _task_runs() else None


def undo_with_transaction(session: Session, stamped: Stamped | None) -> None:
    """Have a load undone when the transaction around this task is rolled back.

    Args:
        session: Where the load goes.
        stamped: As what it is kept in the ledger.
    """
    around = transaction_around()
    if around is None or stamped is None:
        return
    key, run = stamped.key, stamped.provenance.run

    def undo_load(_transaction: Any) -> None:
        from prefect_cassandra.writes.undo import undo_contents  # noqa: PLC0415 -- brings pyarrow in

        logger = run_logger()
        try:
            contents = [one.content for one in _owed(session, key, run)]
            for report in undo_contents(session, contents, reason="ROLLBACK", run=run):
                logger.info("Rolled back: %s", report)
        except PrefectCassandraError as error:
            # Raised, it would keep the other hooks of this transaction from running.
            logger.error(  # noqa: TRY400 -- the error says what failed; its traceback does not help
                "The load %r is not undone: %s `prefect-cassandra ledger repair` finishes it.",
                key,
                error,
            )

    def keep_load(_transaction: Any) -> None:
        from prefect_cassandra.ledger.undoing import CassandraUndoings  # noqa: PLC0415 -- the driver

        undoings = CassandraUndoings(session)
        for one in _owed(session, key, run):
            undoings.settle(one.content)

    around.on_rollback_hooks.append(undo_load)
    around.on_commit_hooks.append(keep_load)


def _owed(session: Session, key: str, run: str) -> list[Owed]:
    """Return what is noted of a load; nothing once it was undone or committed."""
    from prefect_cassandra.ledger.undoing import CassandraUndoings  # noqa: PLC0415 -- the driver

    return [
        one
        for one in CassandraUndoings(session).owed()
        if (one.content.key, one.run, one.reason) == (key, run, "ROLLBACK")
    ]


def _task_runs() -> int:
    """Return how many task runs this code stands in, one inside of the other."""
    context, found = TaskRunContext.get(), set()
    while context is not None:
        # Prefect enters the context of one task run several times.
        found.add(context.task_run.id)
        token = context._token  # noqa: SLF001 -- Prefect has no name for the context around one
        before = token.old_value if token is not None else Token.MISSING
        context = before if isinstance(before, TaskRunContext) else None
    return len(found)
