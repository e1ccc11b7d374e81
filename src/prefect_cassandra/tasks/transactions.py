"""Loads inside of Prefect's transactions: undone when the transaction is rolled back.

The ledger notes such a load before anything of it is written, and forgets it at the commit. So when
the process dies in between, and none of Prefect's hooks runs, `ledger repair` knows what to undo.
"""

from __future__ import annotations

from contextvars import Token
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from prefect.context import TaskRunContext
from prefect.transactions import CommitMode, get_transaction

from prefect_cassandra.errors import PrefectCassandraError, UndoneError
from prefect_cassandra.tasks.following import run_logger

if TYPE_CHECKING:
    from prefect.transactions import BaseTransaction

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.undoing import Content
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

    Raises:
        UndoneError: That transaction was rolled back already, as Prefect does when an attempt of a
            task in it fails; nothing was written.
    """
    around = transaction_around()
    if around is None or stamped is None:
        return
    if around.is_rolled_back():
        raise UndoneError(
            f"the transaction around the load {stamped.key!r} was rolled back already, so the load "
            "could not be committed with it",
            hint="Prefect rolls a transaction back when an attempt of a task in it fails. Retry "
            "the flow, or a task that has the whole transaction inside of it.",
        )
    with _JOINING:
        _loads_of(around).loads.append((session, stamped))


@dataclass(slots=True, eq=False)
class _Loads:
    """The loads that are kept or undone together.

    Their contents are remembered, not asked of the ledger: a commit may still fail behind this
    part of it, and Prefect rolls the transaction back then.

    Attributes:
        loads: Where each goes, and as what it is kept.
    """

    loads: list[tuple[Session, Stamped]] = field(default_factory=list)

    def undo_loads(self, _transaction: Any) -> None:
        """Undo all of them at once, since they may lie on top of each other."""
        from prefect_cassandra.writes.transactional import roll_back  # noqa: PLC0415 -- brings pyarrow in

        logger, mine = run_logger(), self._contents()
        self.loads = []  # transactions around this one are rolled back next
        for session, table, contents in mine:
            try:
                for report in roll_back(session, table, contents):
                    logger.info("Rolled back: %s", report)
            except PrefectCassandraError as error:
                # Raised, it would keep the other hooks of this transaction from running.
                logger.error(  # noqa: TRY400 -- the error says what failed; its traceback does not help
                    "Loads into %s are not undone: %s `prefect-cassandra ledger repair` finishes "
                    "it.",
                    table,
                    error,
                )

    def keep_loads(self, transaction: Any) -> None:
        """Record the loads as kept when the other hooks of the commit are through."""
        # Prefect goes through this list as it is now: what is added to it comes last.
        transaction.on_commit_hooks.append(self.settle_loads)

    def settle_loads(self, transaction: Any) -> None:
        """Record the loads as kept, and sweep what they have replaced.

        Raises what `Session.execute` does; then the transaction is rolled back.
        """
        from prefect_cassandra.writes.transactional import keep, sweep_replaced  # noqa: PLC0415 -- brings pyarrow in

        logger, mine = run_logger(), self._contents()
        for session, table, contents in mine:
            keep(session, table, contents)
        if transaction.store and transaction.key and transaction.write_on_commit:
            return  # its result is still to be kept, and rows that were swept do not come back
        for session, table, contents in mine:
            try:
                for report in sweep_replaced(session, table, contents):
                    logger.info("Replaced content swept: %s", report)
            except PrefectCassandraError as error:
                logger.warning(
                    "What was replaced in %s is still there: %s `prefect-cassandra ledger repair` "
                    "removes it.",
                    table,
                    error,
                )

    def _contents(self) -> list[tuple[Session, str, dict[Content, str]]]:
        """Return what was written: where, into which table, and which contents of which runs."""
        found: dict[tuple[int, str], tuple[Session, str, dict[Content, str]]] = {}
        for session, stamped in self.loads:
            for content in stamped.noted:
                place = found.setdefault((id(session), content.table), (session, content.table, {}))
                place[2][content] = stamped.provenance.run
        return list(found.values())


_JOINING = Lock()


def _loads_of(around: BaseTransaction) -> _Loads:
    """Return the loads that end together with those of a transaction.

    A transaction inside of another one leaves its commit to that, unless it is EAGER; and when it
    is rolled back, so is the one around it.
    """
    chain = [around]
    while chain[-1].commit_mode is not CommitMode.EAGER:
        outer = chain[-1].get_parent()
        if outer is None:
            break
        chain.append(outer)
    settles = chain[-1]
    loads = _found(settles)
    if loads is None:
        loads = _Loads()
        settles.on_commit_hooks.append(loads.keep_loads)
    for one in chain:
        if _found(one) is not loads:
            one.on_rollback_hooks.append(loads.undo_loads)
    return loads


def _found(transaction: BaseTransaction) -> _Loads | None:
    for hook in transaction.on_rollback_hooks:
        loads = getattr(hook, "__self__", None)
        if isinstance(loads, _Loads):
            return loads
    return None


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
