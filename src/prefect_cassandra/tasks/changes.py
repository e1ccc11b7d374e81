"""The tasks that follow a table: read what was changed, and say that it was taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.tasks.following import TAGS, run_logger
from prefect_cassandra.tasks.provenance import provenance

if TYPE_CHECKING:
    from prefect_cassandra.reads.changes import Changes  # noqa: TC004 -- nobody evaluates it


@task(
    name="read-changes",
    description="Read the rows of a table that were changed.",
    tags=TAGS,
    task_run_name="changes of {table}",
    cache_policy=NO_CACHE,
)
def read_changes(  # noqa: PLR0913 -- each can be left out but the first two
    cluster: CassandraCluster,
    table: str,
    *,
    since_stamp: int | None = None,
    cursor: str | None = None,
    columns: Sequence[str] | None = None,
    consistency: str | None = None,
    in_flight: int = 4,
) -> Changes:
    """Read the rows that loads and statements have changed since a stamp, or since last time.

    Nothing is read behind the lowest load that is not done yet, so nothing is missed: what comes
    later has higher stamps. Deleted rows are not in it, nor what an undoing brought back.

    Args:
        cluster: Where from, with a login that may read the table and the ledger: a flow's.
        table: `keyspace.table`, or a table of the cluster's `keyspace`.
        since_stamp: Microseconds since 1970; what was written up to it is left out. 0 is all.
        cursor: Instead: name of a cursor in the ledger. It stands before everything at first, and
            is moved by `commit_changes` only: changes that were not taken come again.
        columns: Names of the columns whose changes count; all when absent. The key comes always.
        consistency: Consistency level instead of the cluster's.
        in_flight: Ranges read side by side.

    Returns:
        The rows as they are now, as a pyarrow table, and how far they reach.

    Raises:
        ConfigurationError: Not exactly one of stamp and cursor is given, or no column has stamps.
        StatementError: There is no such table.
        NoStampsError: The cluster has no ledger, or not for this login.
        UnreachableError: No node answered.
        DataError: A value is larger or finer than its Arrow type.
    """
    from prefect_cassandra.reads import changes  # noqa: PLC0415 -- brings the driver in
    from prefect_cassandra.reads.query import Selection  # noqa: PLC0415 -- with its users
    from prefect_cassandra.reads.scan import ScanOptions  # noqa: PLC0415 -- brings the driver in

    start = changes.From(since_stamp, cursor)
    options = ScanOptions(Selection(columns), consistency, in_flight)
    found = changes.read_changes(
        cluster.session(), table, start, options, keyspace=cluster.keyspace
    )
    _log(found)
    return found


@task(
    name="aread-changes",
    description="Read the rows of a table that were changed, without blocking the event loop.",
    tags=TAGS,
    task_run_name="changes of {table}",
    cache_policy=NO_CACHE,
)
async def aread_changes(  # noqa: PLR0913 -- each can be left out but the first two
    cluster: CassandraCluster,
    table: str,
    *,
    since_stamp: int | None = None,
    cursor: str | None = None,
    columns: Sequence[str] | None = None,
    consistency: str | None = None,
    in_flight: int = 4,
) -> Changes:
    """Do what `read_changes` does, without blocking the event loop."""
    return await asyncio.to_thread(
        read_changes.fn,
        cluster,
        table,
        since_stamp=since_stamp,
        cursor=cursor,
        columns=columns,
        consistency=consistency,
        in_flight=in_flight,
    )


@task(
    name="commit-changes",
    description="Say that changes were taken, so that they do not come again.",
    tags=TAGS,
    cache_policy=NO_CACHE,
)
def commit_changes(cluster: CassandraCluster, changes: Changes) -> None:
    """Move the cursor that changes were read with. Call it when they are dealt with.

    A cursor never goes back: of two jobs with one cursor the one that got further counts.

    Args:
        cluster: Where, with a login that may write the ledger: a flow's.
        changes: What `read_changes` returned.

    Raises:
        ConfigurationError: They were read without a cursor.
        NoStampsError: The cluster has no ledger, or not for this login.
        UnreachableError: No node answered.
    """
    from prefect_cassandra.reads.changes import commit_changes as commit  # noqa: PLC0415

    commit(cluster.session(), changes, provenance(changes).run)


@task(
    name="acommit-changes",
    description="Say that changes were taken, without blocking the event loop.",
    tags=TAGS,
    cache_policy=NO_CACHE,
)
async def acommit_changes(cluster: CassandraCluster, changes: Changes) -> None:
    """Do what `commit_changes` does, without blocking the event loop."""
    from prefect_cassandra.reads.changes import commit_changes as commit  # noqa: PLC0415

    session = await asyncio.to_thread(cluster.session)
    await asyncio.to_thread(commit, session, changes, provenance(changes).run)


def _log(found: Changes) -> None:
    logger = run_logger()
    logger.info("%s: %s rows changed", found.table, f"{len(found.rows):,}")
    if found.held_by is not None:
        asked = found.held_by.request
        logger.warning(
            "The changes of %s reach up to the load %r of run %s, which is not done. Run it again "
            "to its end, or undo it, to get what comes after it.",
            found.table,
            asked.load_key,
            asked.provenance.run or "(none)",
        )
