"""The task for the one conditional write that is safe to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.tasks.following import TAGS, run_logger
from prefect_cassandra.writes.report import Claim


@task(
    name="claim",
    description="Write a row on condition, and say whether it holds the wanted values.",
    tags=TAGS,
    task_run_name="claim in {table}",
    cache_policy=NO_CACHE,
)
def claim(
    cluster: CassandraCluster,
    table: str,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    expected: Mapping[str, Any] | None = None,
) -> Claim:
    """Write a row if nobody else has, or if it is as expected; safe to repeat.

    What counts is the row afterwards: when it holds `values`, the claim is won, by this attempt or
    by an earlier one whose answer was lost. So `values` must tell claimants apart.

    Args:
        cluster: Where to.
        table: `keyspace.table`, or a table of the cluster's `keyspace`. It is for claims only from
            the first one on, since a conditional write could lose to a write stamp: loads and
            stamped statements are refused there, and claims where those have written.
        key: The whole primary key, column -> value.
        values: What the row is to hold, in columns of plain types; one names the claimant.
        expected: What the row must hold for that; without it the row must not exist.

    Returns:
        Whether the claim is won, and the row as it is now.

    Raises:
        ClaimedTableError: Stamped writes use the table.
        DataError: A column or a value does not fit; nothing was written.
        StatementError: There is no such table.
        OutcomeUnknownError: The row could not be read after an answer was lost; claim again.
    """
    from prefect_cassandra.writes.claims import claim_row  # noqa: PLC0415 -- brings the driver in

    found = claim_row(
        cluster.session(), table, key, values, expected=expected, keyspace=cluster.keyspace
    )
    _log(table, found)
    return found


@task(
    name="aclaim",
    description="Write a row on condition, without blocking the event loop.",
    tags=TAGS,
    task_run_name="claim in {table}",
    cache_policy=NO_CACHE,
)
async def aclaim(
    cluster: CassandraCluster,
    table: str,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    expected: Mapping[str, Any] | None = None,
) -> Claim:
    """Do what `claim` does, without blocking the event loop."""
    from prefect_cassandra.writes.claims import aclaim_row  # noqa: PLC0415 -- brings the driver in

    session = await asyncio.to_thread(cluster.session)
    found = await aclaim_row(
        session, table, key, values, expected=expected, keyspace=cluster.keyspace
    )
    _log(table, found)
    return found


def _log(table: str, found: Claim) -> None:
    run_logger().info("The claim in %s is %s", table, "won" if found.won else "somebody else's")
