"""The tasks that read whole tables: into memory, batch by batch, or into files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.reads.report import UnloadReport
from prefect_cassandra.tasks.artifacts import artifact_key, ashow, show
from prefect_cassandra.tasks.following import TAGS, run_logger
from prefect_cassandra.tasks.keys import unload_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.reads.query import Selection
    from prefect_cassandra.reads.scan import Scan

As = Literal["table", "batches", "pandas", "polars"]
_PROGRESS_SECONDS = 5.0


@task(
    name="read-table",
    description="Read a table: every row once, many ranges side by side.",
    tags=TAGS,
    task_run_name="read {table}",
    cache_policy=NO_CACHE,
)
def read_table(  # noqa: PLR0913 -- each can be left out but the first two
    cluster: CassandraCluster,
    table: str,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    writetime: Sequence[str] = (),
    ttl: Sequence[str] = (),
    per_partition_limit: int | None = None,
    as_: As = "table",
    consistency: str | None = None,
    in_flight: int = 4,
) -> Any:
    """Read a table's rows, in no order. It is no snapshot: rows written meanwhile may be in it.

    Args:
        cluster: Where from. In `.map` give `unmapped(cluster)`.
        table: `keyspace.table`, or a table of the cluster's `keyspace`.
        columns: Names of the columns, in order; all when absent.
        where: Conditions on clustering and indexed columns, as they stand after WHERE in CQL.
        parameters: Values for the markers of `where`.
        writetime: Columns whose write time comes along, as `writetime(column)`, in microseconds
            since 1970. Of a collection it is a list, one for each element.
        ttl: Columns whose remaining seconds come along, as `ttl(column)`.
        per_partition_limit: Most rows of each partition.
        as_: `table` is a pyarrow table, `batches` a `Scan` that yields record batches as they come
            and holds a few of them only, `pandas` and `polars` are frames of these packages.
        consistency: Consistency level instead of the cluster's.
        in_flight: Ranges read side by side.

    Raises:
        ConfigurationError: A column is not there, or `where` cannot be split over the ring.
        StatementError: There is no such table, or the server refuses the query.
        NotAppliedError: A partition cannot be read, in however small pieces; names it.
        UnreachableError: No node answered.
        DataError: A value is larger or finer than its Arrow type.
    """
    from prefect_cassandra.reads.frames import collect, require  # noqa: PLC0415 -- brings pyarrow

    require(as_)
    selection = _selection(columns, where, parameters, writetime, ttl, per_partition_limit)
    started = time.monotonic()
    scan = _scan(cluster, table, selection, consistency, in_flight)
    found = collect(scan, as_)
    _log_read(scan.table, found, started)
    return found


@task(
    name="aread-table",
    description="Read a table, without blocking the event loop.",
    tags=TAGS,
    task_run_name="read {table}",
    cache_policy=NO_CACHE,
)
async def aread_table(  # noqa: PLR0913 -- each can be left out but the first two
    cluster: CassandraCluster,
    table: str,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    writetime: Sequence[str] = (),
    ttl: Sequence[str] = (),
    per_partition_limit: int | None = None,
    as_: As = "table",
    consistency: str | None = None,
    in_flight: int = 4,
) -> Any:
    """Do what `read_table` does without blocking; of `batches` use `async for`."""
    from prefect_cassandra.reads.frames import acollect, require  # noqa: PLC0415 -- brings pyarrow

    require(as_)
    selection = _selection(columns, where, parameters, writetime, ttl, per_partition_limit)
    started = time.monotonic()
    scan = await asyncio.to_thread(_scan, cluster, table, selection, consistency, in_flight)
    found = await acollect(scan, as_)
    _log_read(scan.table, found, started)
    return found


@task(
    name="unload-table",
    description="Write a table's rows into files.",
    tags=TAGS,
    task_run_name="unload {table}",
    cache_policy=NO_CACHE,
)
def unload_table(  # noqa: PLR0913 -- each can be left out but the first three
    cluster: CassandraCluster,
    table: str,
    url: str,
    *,
    format: Literal["parquet", "csv", "arrow"] = "parquet",  # noqa: A002 -- what it is
    columns: Sequence[str] | None = None,
    where: str | None = None,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    writetime: Sequence[str] = (),
    ttl: Sequence[str] = (),
    per_partition_limit: int | None = None,
    consistency: str | None = None,
    in_flight: int = 4,
    splits: int | None = None,
    compression: str | None = None,
    numbers: Literal["decimal", "text"] = "decimal",
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> UnloadReport:
    """Write a table's rows into a folder of files, and a manifest when all of them are there.

    A repeat of the task, or of the flow run, goes on with the files that are missing.

    Args:
        cluster: Where from. In `.map` give `unmapped(cluster)`.
        table: `keyspace.table`, or a table of the cluster's `keyspace`.
        url: Folder on any file system that fsspec knows; a plain path is local.
        format: Of the files.
        columns: Names of the columns, in order; all when absent.
        where: Conditions on clustering and indexed columns, as they stand after WHERE in CQL.
        parameters: Values for the markers of `where`.
        writetime: Columns whose write time comes along, as `writetime(column)`.
        ttl: Columns whose remaining seconds come along, as `ttl(column)`.
        per_partition_limit: Most rows of each partition.
        consistency: Consistency level instead of the cluster's.
        in_flight: Files read and written side by side.
        splits: Files wanted; from the table's size when absent.
        compression: Codec of the files; the format's usual one when absent, `none` for none.
        numbers: `text` where decimals or varints may have more digits than Arrow's decimals hold.
        overwrite: Whether to throw away what an earlier unload left in the folder.
        storage_options: For fsspec, to open the URL.

    Raises:
        ConfigurationError: The options do not fit the table, or the folder holds something else.
        StatementError: There is no such table, or the server refuses the query.
        NotAppliedError: A partition cannot be read, in however small pieces; names it.
        UnreachableError: No node answered.
        DataError: A value is larger or finer than its Arrow type.
    """
    from prefect_cassandra.reads.unload import UnloadOptions, unload  # noqa: PLC0415 -- pyarrow

    options = UnloadOptions(
        format=format,
        columns=columns,
        where=where,
        parameters=parameters,
        writetime=writetime,
        ttl=ttl,
        per_partition_limit=per_partition_limit,
        consistency=consistency,
        in_flight=in_flight,
        splits=splits,
        compression=compression,
        numbers=numbers,
        overwrite=overwrite,
        storage_options=storage_options or {},
    )
    options = replace(options, run_key=unload_key(table, url, options))
    report = unload(
        cluster.session(), table, url, options, keyspace=cluster.keyspace, progress=_progress_log()
    )
    run_logger().info("%s", report)
    show([_artifact(report)])
    return report


@task(
    name="aunload-table",
    description="Write a table's rows into files, without blocking the event loop.",
    tags=TAGS,
    task_run_name="unload {table}",
    cache_policy=NO_CACHE,
)
async def aunload_table(  # noqa: PLR0913 -- each can be left out but the first three
    cluster: CassandraCluster,
    table: str,
    url: str,
    *,
    format: Literal["parquet", "csv", "arrow"] = "parquet",  # noqa: A002 -- what it is
    columns: Sequence[str] | None = None,
    where: str | None = None,
    parameters: Sequence[Any] | Mapping[str, Any] | None = None,
    writetime: Sequence[str] = (),
    ttl: Sequence[str] = (),
    per_partition_limit: int | None = None,
    consistency: str | None = None,
    in_flight: int = 4,
    splits: int | None = None,
    compression: str | None = None,
    numbers: Literal["decimal", "text"] = "decimal",
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> UnloadReport:
    """Do what `unload_table` does in a thread of its own; cancelling the task stops it."""
    from prefect_cassandra.reads.unload import UnloadOptions, aunload  # noqa: PLC0415 -- pyarrow

    options = UnloadOptions(
        format=format,
        columns=columns,
        where=where,
        parameters=parameters,
        writetime=writetime,
        ttl=ttl,
        per_partition_limit=per_partition_limit,
        consistency=consistency,
        in_flight=in_flight,
        splits=splits,
        compression=compression,
        numbers=numbers,
        overwrite=overwrite,
        storage_options=storage_options or {},
    )
    options = replace(options, run_key=unload_key(table, url, options))
    session = await asyncio.to_thread(cluster.session)
    report = await aunload(
        session, table, url, options, keyspace=cluster.keyspace, progress=_progress_log()
    )
    run_logger().info("%s", report)
    await ashow([_artifact(report)])
    return report


def _selection(  # noqa: PLR0913, PLR0917 -- what the two reading tasks have in common
    columns: Sequence[str] | None,
    where: str | None,
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    writetime: Sequence[str],
    ttl: Sequence[str],
    per_partition_limit: int | None,
) -> Selection:
    from prefect_cassandra.reads.query import Selection  # noqa: PLC0415 -- with its users

    return Selection(columns, where, parameters, writetime, ttl, per_partition_limit)


def _scan(
    cluster: CassandraCluster,
    table: str,
    selection: Selection,
    consistency: str | None,
    in_flight: int,
) -> Scan:
    from prefect_cassandra.reads.scan import Scan, ScanOptions  # noqa: PLC0415 -- brings pyarrow

    options = ScanOptions(selection, consistency, in_flight)
    return Scan(cluster.session(), table, options, keyspace=cluster.keyspace)


def _progress_log() -> Callable[[UnloadReport], None]:
    logger = run_logger()
    told = time.monotonic()

    def tell(report: UnloadReport) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= _PROGRESS_SECONDS:
            told = now
            logger.info("%s, going on: %s of %s files", report, report.files, report.splits)

    return tell


def _log_read(table: str, found: Any, started: float) -> None:
    if hasattr(found, "__len__"):
        seconds = time.monotonic() - started
        run_logger().info("%s: %s rows read in %.1f s", table, f"{len(found):,}", seconds)


def _artifact(report: UnloadReport) -> dict[str, Any]:
    return {
        "key": artifact_key("unloaded", report.table),
        "table": [
            {
                "table": report.table,
                "folder": report.url,
                "rows": report.rows,
                "files": report.files,
                "bytes": report.bytes,
                "seconds": round(report.seconds, 1),
                "rows per second": round(report.rows_per_second),
                "requests repeated": report.retries,
            }
        ],
        "description": f"{report.rows:,} rows of `{report.table}` in {report.files:,} "
        f"{report.format} files at `{report.url}`.",
    }
