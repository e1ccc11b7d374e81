"""Prefect tasks: query, execute, load; each with a twin for asynchronous flows.

Inputs are never hashed (`NO_CACHE`): a cache key over a table of a million rows, or over a block
with a password, costs more than it saves. `with_options(cache_policy=...)` turns it on again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from prefect import task
from prefect.artifacts import acreate_table_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger
from prefect.tasks import TaskRunNameCallbackWithParameters

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.driver.statements import redacted
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.settings import DriverSettings
from prefect_cassandra.writes.report import LoadReport

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa  # noqa: TC004 -- costs a quarter of a second; nobody evaluates the annotation

    from prefect_cassandra.driver.answers import Result
    from prefect_cassandra.writes.loader import LoadOptions

# A concurrency limit on this tag bounds how many tasks talk to Cassandra at once.
_TAGS = ["cassandra"]
_NAME_LENGTH = 60
_REJECTS_LOGGED = 10


class _StatementName(TaskRunNameCallbackWithParameters):
    """Names a task run after its statement, without values and without secrets."""

    def __call__(self, parameters: dict[str, Any]) -> str:
        text = redacted(str(parameters.get("query") or parameters.get("statement")))
        return text if len(text) <= _NAME_LENGTH else text[: _NAME_LENGTH - 1] + "…"


@task(
    name="cassandra-query",
    description="Run a CQL query and return its rows.",
    tags=_TAGS,
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
    result = cluster.session().execute(
        query, parameters, consistency=consistency, fetch_size=fetch_size
    )
    rows = _table(result, result) if as_table else result.rows
    _log_rows(len(rows), started)
    return rows


@task(
    name="acassandra-query",
    description="Run a CQL query and return its rows, without blocking the event loop.",
    tags=_TAGS,
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
    result = await session.aexecute(
        query, parameters, consistency=consistency, fetch_size=fetch_size
    )
    rows: Any = await result.arows()
    if as_table:
        rows = await asyncio.to_thread(_table, result, rows)
    _log_rows(len(rows), started)
    return rows


def _table(result: Result, rows: Any) -> pa.Table:
    # pyarrow costs a quarter of a second to import: paid by those who use it.
    from prefect_cassandra.reads.arrow import to_table  # noqa: PLC0415

    return to_table(result.columns, result.types, rows)


@task(
    name="cassandra-execute",
    description="Run one CQL statement.",
    tags=_TAGS,
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
    tags=_TAGS,
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


@task(
    name="load-table",
    description="Write an Arrow table, a pandas frame or an iterator of batches into a table.",
    tags=_TAGS,
    task_run_name="load {table}",
    cache_policy=NO_CACHE,
)
def load_table(  # noqa: PLR0913 -- each can be left out but the first two or three
    cluster: CassandraCluster,
    table: str,
    data: object,
    *,
    mode: Literal["unset", "null"] = "unset",
    consistency: str | None = None,
    in_flight: int | None = None,
    on_error: Literal["fail", "reject"] = "fail",
    reject_limit: int | None = 10_000,
) -> LoadReport:
    """Write rows into a table, many at a time, and say what was done.

    Columns are matched by name. The data may hold some of the table's columns or all, and must hold
    the primary key. Rows are upserts: of two rows with one key the later one wins, in input order.
    In data from pandas NaN is a missing value; in Arrow data only null is missing.

    Args:
        cluster: Where to. In `.map` give `unmapped(cluster)`: Prefect would take a block apart.
        table: `keyspace.table`, or a table of the cluster's `keyspace`.
        data: A pyarrow table, batch or reader, a pandas frame, a list of dicts, anything with
            `__arrow_c_stream__`, an iterator of these, or a function that returns one of these.
            A task with retries needs the function instead of an iterator, which can be read only
            once. Prefect walks through lists of dicts value by value: 10,000 rows cost seconds.
        mode: What a missing value does: `unset` leaves the stored cell as it is, `null` deletes it.
        consistency: Consistency level instead of the cluster's.
        in_flight: Most requests unanswered at one time; the setting when absent.
        on_error: What a row that cannot be written does: `fail` stops the load before anything of
            its chunk of 5,000 rows is sent, `reject` leaves the row out, counts and names it.
        reject_limit: Most rows that may be rejected; None means any number.

    Returns:
        Rows written, merged and rejected, requests, repeats and seconds.

    Raises:
        DataError: The data does not fit the table; names row and column.
        StatementError: There is no such table.
        OutcomeUnknownError: A request may or may not have been applied, even after repeats. A load
            can be run again: writing the same rows twice leaves them as they are.
    """
    from prefect_cassandra.writes.loader import load  # noqa: PLC0415 -- brings pyarrow in

    _refuse_spent_iterator(data)
    options = _options(mode, consistency, in_flight, on_error, reject_limit)
    report = load(
        cluster.session(),
        table,
        data,
        options,
        keyspace=cluster.keyspace,
        progress=_progress_log(),
    )
    _log_report(report)
    if report.rejects and TaskRunContext.get() is not None:
        try:
            create_table_artifact(**_rejects_artifact(report))
        except Exception as error:  # noqa: BLE001 -- the rows are written; a page in the UI is extra
            _logger().warning("The rejected rows could not be shown as an artifact: %s", error)
    return report


@task(
    name="aload-table",
    description="Write rows into a table, without blocking the event loop.",
    tags=_TAGS,
    task_run_name="load {table}",
    cache_policy=NO_CACHE,
)
async def aload_table(  # noqa: PLR0913 -- each can be left out but the first two or three
    cluster: CassandraCluster,
    table: str,
    data: object,
    *,
    mode: Literal["unset", "null"] = "unset",
    consistency: str | None = None,
    in_flight: int | None = None,
    on_error: Literal["fail", "reject"] = "fail",
    reject_limit: int | None = 10_000,
) -> LoadReport:
    """Do what `load_table` does in a thread of its own; cancelling the task stops the load."""
    from prefect_cassandra.writes.loader import aload  # noqa: PLC0415 -- brings pyarrow in

    _refuse_spent_iterator(data)
    options = _options(mode, consistency, in_flight, on_error, reject_limit)
    report = await aload(
        await asyncio.to_thread(cluster.session),
        table,
        data,
        options,
        keyspace=cluster.keyspace,
        progress=_progress_log(),
    )
    _log_report(report)
    if report.rejects and TaskRunContext.get() is not None:
        try:
            await acreate_table_artifact(**_rejects_artifact(report))
        except Exception as error:  # noqa: BLE001 -- the rows are written; a page in the UI is extra
            _logger().warning("The rejected rows could not be shown as an artifact: %s", error)
    return report


def _options(
    mode: Literal["unset", "null"],
    consistency: str | None,
    in_flight: int | None,
    on_error: Literal["fail", "reject"],
    reject_limit: int | None,
) -> LoadOptions:
    from prefect_cassandra.writes.loader import LoadOptions  # noqa: PLC0415 -- brings pyarrow in

    return LoadOptions(
        mode=mode,
        consistency=consistency,
        in_flight=DriverSettings().requests_in_flight if in_flight is None else in_flight,
        on_error=on_error,
        reject_limit=reject_limit,
    )


def _refuse_spent_iterator(data: object) -> None:
    """Refuse to retry with an iterator: the first attempt has read an unknown part of it.

    Raises:
        ConfigurationError: This is a retry and `data` can be read only once.
    """
    context = TaskRunContext.get()
    once = hasattr(data, "__next__") or hasattr(data, "read_next_batch")
    if context is not None and context.task_run.run_count > 1 and once:
        raise ConfigurationError(
            f"A {type(data).__name__} can be read only once, and an earlier attempt has read it.",
            hint="Give load_table a function that returns a new iterator, or a table.",
        )


def _logger() -> Any:
    """Return the run's logger, or a plain one for calls outside of a run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("prefect_cassandra")


def _progress_log() -> Callable[[LoadReport], None]:
    logger = _logger()
    return lambda report: logger.info("%s, going on", report)


def _log_rows(rows: int, started: float) -> None:
    _logger().info("%s rows in %.2f s", f"{rows:,}", time.monotonic() - started)


def _log_applied(applied: bool | None, started: float) -> None:  # noqa: FBT001 -- the answer
    outcome = {None: "Done", True: "Applied", False: "Not applied, its condition did not hold"}
    _logger().info("%s in %.2f s", outcome[applied], time.monotonic() - started)


def _log_report(report: LoadReport) -> None:
    logger = _logger()
    logger.info("%s", report)
    for reject in report.rejects[:_REJECTS_LOGGED]:
        logger.warning("Rejected %s", reject)
    if report.rejected > _REJECTS_LOGGED:
        logger.warning("and %s more rows", f"{report.rejected - _REJECTS_LOGGED:,}")


def _rejects_artifact(report: LoadReport) -> dict[str, Any]:
    # Artifact keys take lower-case letters, digits and dashes only.
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in report.table.lower())
    return {
        "key": f"rejected-{name}",
        "table": [
            {"row": reject.row, "column": reject.column, "reason": reject.reason}
            for reject in report.rejects
        ],
        "description": f"{report.rejected:,} rows of {report.rows + report.rejected:,} were not "
        f"written into `{report.table}`; the first {len(report.rejects)} are listed.",
    }
