"""The tasks that ask the ledger: who wrote a row, and what a run or a person wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.driver.identifiers import dotted, qualified
from prefect_cassandra.settings import LedgerSettings
from prefect_cassandra.tasks.following import TAGS
from prefect_cassandra.trail.report import RowTrail, Work


@task(
    name="who-wrote",
    description="Find out who wrote a row.",
    tags=TAGS,
    task_run_name="who wrote a row of {table}",
    cache_policy=NO_CACHE,
)
def who_wrote(cluster: CassandraCluster, table: str, key: Mapping[str, Any]) -> RowTrail:
    """Find out who wrote a row: for each column when, which run, with what code, from what input.

    Args:
        cluster: Where, with a login that may read the table and the ledger: a flow's.
        table: `keyspace.table`, or a table of the cluster's `keyspace`.
        key: Values of all columns of its key; those of the partition key alone stand for the static
            columns of the partition.

    Raises:
        ConfigurationError: The key has other columns, or fewer.
        DataError: A value does not fit its column.
        StatementError: There is no such table.
        NoStampsError: The cluster has no ledger, or not for this login.
        UnreachableError: No node answered.
    """
    from prefect_cassandra.trail.who import who_wrote as find_out  # noqa: PLC0415 -- the driver

    full = dotted(*qualified(table, cluster.keyspace))
    window = timedelta(days=LedgerSettings().undo_window)
    return find_out(cluster.session(), full, key, window=window)


@task(
    name="awho-wrote",
    description="Find out who wrote a row, without blocking the event loop.",
    tags=TAGS,
    task_run_name="who wrote a row of {table}",
    cache_policy=NO_CACHE,
)
async def awho_wrote(cluster: CassandraCluster, table: str, key: Mapping[str, Any]) -> RowTrail:
    """Do what `who_wrote` does, without blocking the event loop."""
    return await asyncio.to_thread(who_wrote.fn, cluster, table, key)


@task(
    name="written-by",
    description="Find out what a run wrote, or the runs of a person.",
    tags=TAGS,
    cache_policy=NO_CACHE,
)
def written_by(
    cluster: CassandraCluster,
    *,
    run: str | None = None,
    person: str | None = None,
    since: datetime | None = None,
    table: str | None = None,
) -> list[Work]:
    """Find out what a flow run wrote, or the runs that a person or service started.

    Args:
        cluster: Where, with a login that may read the ledger: a flow's.
        run: Identifier of the flow run.
        person: Instead of a run: who started runs, as Prefect names who created them.
        since: With a person: what was begun before is left out; the last 24 hours when absent.
        table: `keyspace.table`, or a table of the cluster's `keyspace`, to look at that one alone.

    Returns:
        An entry for each load or statement, by table and then by time.

    Raises:
        ConfigurationError: Neither a run nor a person is named, or both, or `since` has no zone.
        NoStampsError: The cluster has no ledger, or not for this login.
        UnreachableError: No node answered.
    """
    from prefect_cassandra.trail.written import written_by as look_up  # noqa: PLC0415 -- the driver

    return look_up(
        cluster.session(),
        run=run,
        person=person,
        since=since,
        table=None if table is None else ".".join(qualified(table, cluster.keyspace)),
    )


@task(
    name="awritten-by",
    description="Find out what a run or a person wrote, without blocking the event loop.",
    tags=TAGS,
    cache_policy=NO_CACHE,
)
async def awritten_by(
    cluster: CassandraCluster,
    *,
    run: str | None = None,
    person: str | None = None,
    since: datetime | None = None,
    table: str | None = None,
) -> list[Work]:
    """Do what `written_by` does, without blocking the event loop."""
    return await asyncio.to_thread(
        written_by.fn, cluster, run=run, person=person, since=since, table=table
    )
