"""The tasks for single statements: ask, and change."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.tasks import TaskRunNameCallbackWithParameters

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.driver.statements import redacted
from prefect_cassandra.settings import DriverSettings, LedgerSettings
from prefect_cassandra.tasks.following import TAGS, run_logger
from prefect_cassandra.tasks.provenance import default_key, provenance

if TYPE_CHECKING:
    import pyarrow as pa  # noqa: TC004 -- costs a quarter of a second; nobody evaluates the annotation

    from prefect_cassandra.driver.session import Options, Session
    from prefect_cassandra.writes.statements import StampedStatement, Written

_NAME_LENGTH = 60


class _StatementName(TaskRunNameCallbackWithParameters):
    """Names a task run after its statement, without values and without secrets."""

    def __call__(self, parameters: dict[str, Any]) -> str:
        text = redacted(str(parameters.get("query") or parameters.get("statement")))
        return text if len(text) <= _NAME_LENGTH else text[: _NAME_LENGTH - 1] + "…"


@task(
    name="cassandra-query",
    description="Run a CQL query and return its rows.",
    tags=TAGS,
    task_run_name=_StatementName(),
    cache_policy=NO_CACHE,
)
def cassandra_query(  # noqa: PLR0913 -- each can be left out but the first two or three
    cluster: CassandraCluster,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    as_table: bool = False,
    consistency: str | None = None,
    fetch_size: int = 5000,
) -> list[dict[str, Any]] | pa.Table:
    """Run a query and return its rows.

    Args:
        cluster: Where to.
        query: CQL with `?` or `:name` markers.
        parameters: A sequence for `?`, a mapping for names; checked before they are sent.
        as_table: Return a pyarrow table, typed by the query's columns even when it has no rows.
        consistency: Consistency level instead of the cluster's.
        fetch_size: Rows per page.

    Returns:
        The rows as dictionaries in the order they came, or as one pyarrow table.

    Raises:
        StatementError: The server refused the query.
        UnreachableError: No node answered.
        DataError: A parameter does not fit its marker, or a value does not fit its Arrow type.
    """
    started = time.monotonic()
    options: Options = {"consistency": consistency, "fetch_size": fetch_size}
    if as_table:
        rows = _table(cluster.session(), query, parameters, options)
    else:
        rows = cluster.session().execute(query, parameters, **options).rows
    _log_rows(len(rows), started)
    return rows


@task(
    name="acassandra-query",
    description="Run a CQL query and return its rows, without blocking the event loop.",
    tags=TAGS,
    task_run_name=_StatementName(),
    cache_policy=NO_CACHE,
)
async def acassandra_query(  # noqa: PLR0913 -- each can be left out but the first two or three
    cluster: CassandraCluster,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    as_table: bool = False,
    consistency: str | None = None,
    fetch_size: int = 5000,
) -> list[dict[str, Any]] | pa.Table:
    """Do what `cassandra_query` does, without blocking the event loop."""
    started = time.monotonic()
    session = await asyncio.to_thread(cluster.session)
    options: Options = {"consistency": consistency, "fetch_size": fetch_size}
    rows: Any
    if as_table:
        rows = await asyncio.to_thread(_table, session, query, parameters, options)
    else:
        rows = await (await session.aexecute(query, parameters, **options)).arows()
    _log_rows(len(rows), started)
    return rows


def _table(
    session: Session,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    options: Options,
) -> pa.Table:
    # pyarrow costs a quarter of a second to import: paid by those who use it.
    from prefect_cassandra.reads.arrow import to_table  # noqa: PLC0415

    return to_table(session.pages(query, parameters, **options))


@task(
    name="cassandra-execute",
    description="Run one CQL statement.",
    tags=TAGS,
    task_run_name=_StatementName(),
    cache_policy=NO_CACHE,
)
def cassandra_execute(  # noqa: PLR0913 -- each can be left out but the first two
    cluster: CassandraCluster,
    statement: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    consistency: str | None = None,
    idempotent: bool | None = None,
    stamped: bool = True,
) -> bool | None:
    """Run one statement that returns no rows.

    In a run, and on a cluster with a ledger, an INSERT, UPDATE, DELETE or BATCH of one table
    carries a write stamp: a retry of the task or of the flow finds what an earlier attempt did and
    leaves it as it is. What would not end the same when it is sent again is refused there.

    Args:
        cluster: Where to.
        statement: CQL with `?` or `:name` markers.
        parameters: A sequence for `?`, a mapping for names; checked before they are sent.
        consistency: Consistency level instead of the cluster's.
        idempotent: Whether it may be sent again after an unclear outcome; judged from the statement
            when not said, and then only what is surely safe is repeated. With a stamp it always is.
        stamped: False keeps the statement out of the ledger; counters and conditions need that.

    Returns:
        Of a conditional statement (`IF`) whether it was applied, else None.

    Raises:
        NotRepeatableError: It cannot carry a stamp; says what to write instead.
        OutcomeUnknownError: It may or may not have been applied.
        NotAppliedError: The server did not carry it out, even after repeats.
        StatementError: The server refused it.
        DataError: A parameter does not fit its marker.
    """
    started = time.monotonic()
    session = cluster.session()
    wanted = _kept(statement, stamped=stamped)
    if wanted is not None:
        from prefect_cassandra.writes.statements import write  # noqa: PLC0415 -- brings numpy in

        written = write(session, statement, [parameters or ()], wanted, consistency=consistency)
        if written is not None:
            _log_written(written, started)
            return None
    result = session.execute(statement, parameters, consistency=consistency, idempotent=idempotent)
    _log_applied(result.applied, started)
    return result.applied


@task(
    name="acassandra-execute",
    description="Run one CQL statement, without blocking the event loop.",
    tags=TAGS,
    task_run_name=_StatementName(),
    cache_policy=NO_CACHE,
)
async def acassandra_execute(  # noqa: PLR0913 -- each can be left out but the first two
    cluster: CassandraCluster,
    statement: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    consistency: str | None = None,
    idempotent: bool | None = None,
    stamped: bool = True,
) -> bool | None:
    """Do what `cassandra_execute` does, without blocking the event loop."""
    started = time.monotonic()
    session = await asyncio.to_thread(cluster.session)
    wanted = _kept(statement, stamped=stamped)
    if wanted is not None:
        from prefect_cassandra.writes.statements import awrite  # noqa: PLC0415 -- brings numpy in

        rows = [parameters or ()]
        written = await awrite(session, statement, rows, wanted, consistency=consistency)
        if written is not None:
            _log_written(written, started)
            return None
    result = await session.aexecute(
        statement, parameters, consistency=consistency, idempotent=idempotent
    )
    _log_applied(result.applied, started)
    return result.applied


@task(
    name="cassandra-execute-many",
    description="Run one CQL statement for each of many rows.",
    tags=TAGS,
    task_run_name=_StatementName(),
    cache_policy=NO_CACHE,
)
def cassandra_execute_many(  # noqa: PLR0913 -- each can be left out but the first three
    cluster: CassandraCluster,
    statement: str,
    rows: Sequence[Sequence[Any] | Mapping[str, Any]],
    *,
    consistency: str | None = None,
    in_flight: int | None = None,
    stamped: bool = True,
) -> int:
    """Run one statement for each row, several at a time, with stamps as `cassandra_execute` does.

    All rows are held in memory, and Prefect walks through them value by value: beyond some 10,000,
    `load_table` is for rows to be written. With stamps a later row wins over an earlier one.

    Args:
        cluster: Where to. In `.map` give `unmapped(cluster)`.
        statement: CQL with `?` or `:name` markers.
        rows: A sequence for `?` or a mapping for names, for each time.
        consistency: Consistency level instead of the cluster's.
        in_flight: Most requests unanswered at one time; the setting when absent.
        stamped: False keeps the statement out of the ledger; counters need that.

    Returns:
        How many rows were sent; those that an earlier attempt had sent are not counted.

    Raises:
        NotRepeatableError: It cannot carry a stamp; says what to write instead.
        OutcomeUnknownError: A row may or may not have been applied.
        StatementError: The server refused it.
        DataError: A value does not fit its marker; names the row, from 1. With stamps nothing was
            sent, without them nothing from that row on.
    """
    started = time.monotonic()
    session, width = cluster.session(), _in_flight(in_flight)
    wanted = _kept(statement, stamped=stamped)
    if wanted is not None:
        from prefect_cassandra.writes.statements import write  # noqa: PLC0415 -- brings numpy in

        written = write(session, statement, rows, wanted, consistency=consistency, in_flight=width)
        if written is not None:
            _log_written(written, started)
            return written.rows
    sent = session.execute_many(statement, rows, in_flight=width, consistency=consistency)
    _log_rows(sent, started)
    return sent


@task(
    name="acassandra-execute-many",
    description="Run one CQL statement for each of many rows, without blocking the event loop.",
    tags=TAGS,
    task_run_name=_StatementName(),
    cache_policy=NO_CACHE,
)
async def acassandra_execute_many(  # noqa: PLR0913 -- each can be left out but the first three
    cluster: CassandraCluster,
    statement: str,
    rows: Sequence[Sequence[Any] | Mapping[str, Any]],
    *,
    consistency: str | None = None,
    in_flight: int | None = None,
    stamped: bool = True,
) -> int:
    """Do what `cassandra_execute_many` does in a thread of its own; cancelling it stops it."""
    started = time.monotonic()
    session, width = await asyncio.to_thread(cluster.session), _in_flight(in_flight)
    wanted = _kept(statement, stamped=stamped)
    if wanted is not None:
        from prefect_cassandra.writes.statements import awrite  # noqa: PLC0415 -- brings numpy in

        written = await awrite(
            session, statement, rows, wanted, consistency=consistency, in_flight=width
        )
        if written is not None:
            _log_written(written, started)
            return written.rows
    sent = await session.aexecute_many(statement, rows, in_flight=width, consistency=consistency)
    _log_rows(sent, started)
    return sent


def _kept(statement: str, *, stamped: bool) -> StampedStatement | None:
    """Say as what a statement is kept in the ledger; None outside of a run, or when not wanted."""
    if not stamped or TaskRunContext.get() is None:
        return None
    from prefect_cassandra.writes.statements import StampedStatement  # noqa: PLC0415 -- numpy

    who = dataclasses.replace(provenance(statement), source=redacted(statement))
    return StampedStatement(default_key, who, timedelta(days=LedgerSettings().undo_window))


def _in_flight(wanted: int | None) -> int:
    return DriverSettings().requests_in_flight if wanted is None else wanted


def _log_written(written: Written, started: float) -> None:
    text = f"{written.rows:,} sent with a write stamp in {time.monotonic() - started:.2f} s"
    if written.skipped:
        text += f", {written.skipped:,} skipped: an earlier attempt has sent them"
    run_logger().info("%s", text)


def _log_rows(rows: int, started: float) -> None:
    run_logger().info("%s rows in %.2f s", f"{rows:,}", time.monotonic() - started)


def _log_applied(applied: bool | None, started: float) -> None:  # noqa: FBT001 -- the answer
    outcome = {None: "Done", True: "Applied", False: "Not applied, its condition did not hold"}
    run_logger().info("%s in %.2f s", outcome[applied], time.monotonic() - started)
