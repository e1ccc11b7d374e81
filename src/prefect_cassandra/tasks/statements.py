"""The tasks for single statements: ask, and change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import TaskRunNameCallbackWithParameters

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.driver.statements import redacted
from prefect_cassandra.tasks.following import TAGS, run_logger

if TYPE_CHECKING:
    import pyarrow as pa  # noqa: TC004 -- costs a quarter of a second; nobody evaluates the annotation

    from prefect_cassandra.driver.session import Options, Session

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
def cassandra_execute(
    cluster: CassandraCluster,
    statement: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    consistency: str | None = None,
    idempotent: bool | None = None,
) -> bool | None:
    """Run one statement that returns no rows.

    Args:
        cluster: Where to.
        statement: CQL with `?` or `:name` markers.
        parameters: A sequence for `?`, a mapping for names; checked before they are sent.
        consistency: Consistency level instead of the cluster's.
        idempotent: Whether it may be sent again after an unclear outcome; judged from the statement
            when not said, and then only what is surely safe is repeated.

    Returns:
        Of a conditional statement (`IF`) whether it was applied, else None.

    Raises:
        OutcomeUnknownError: It may or may not have been applied.
        NotAppliedError: The server did not carry it out, even after repeats.
        StatementError: The server refused it.
        DataError: A parameter does not fit its marker.
    """
    started = time.monotonic()
    result = cluster.session().execute(
        statement, parameters, consistency=consistency, idempotent=idempotent
    )
    _log_applied(result.applied, started)
    return result.applied


@task(
    name="acassandra-execute",
    description="Run one CQL statement, without blocking the event loop.",
    tags=TAGS,
    task_run_name=_StatementName(),
    cache_policy=NO_CACHE,
)
async def acassandra_execute(
    cluster: CassandraCluster,
    statement: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    consistency: str | None = None,
    idempotent: bool | None = None,
) -> bool | None:
    """Do what `cassandra_execute` does, without blocking the event loop."""
    started = time.monotonic()
    session = await asyncio.to_thread(cluster.session)
    result = await session.aexecute(
        statement, parameters, consistency=consistency, idempotent=idempotent
    )
    _log_applied(result.applied, started)
    return result.applied


def _log_rows(rows: int, started: float) -> None:
    run_logger().info("%s rows in %.2f s", f"{rows:,}", time.monotonic() - started)


def _log_applied(applied: bool | None, started: float) -> None:  # noqa: FBT001 -- the answer
    outcome = {None: "Done", True: "Applied", False: "Not applied, its condition did not hold"}
    run_logger().info("%s in %.2f s", outcome[applied], time.monotonic() - started)
