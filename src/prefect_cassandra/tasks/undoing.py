"""The tasks that undo what flow runs wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.settings import LedgerSettings
from prefect_cassandra.tasks.following import TAGS, run_logger
from prefect_cassandra.writes.undo_report import UndoReport


@task(
    name="undo-run",
    description="Undo what a flow run wrote: later writes and those of others stay.",
    tags=TAGS,
    cache_policy=NO_CACHE,
)
def undo_run(
    cluster: CassandraCluster,
    runs: str | UUID | Sequence[str | UUID],
    *,
    table: str | None = None,
    dry_run: bool = False,
) -> list[UndoReport]:
    """Undo what flow runs wrote, table by table; again, it changes nothing.

    Rows that only these runs wrote vanish. Columns they overwrote get back what they held before,
    with the time to live they had left, where the load was made with `before_image=True` or in a
    transaction; else they are cleared. Everything written later stays.

    Args:
        cluster: Where they wrote to; its role has to read and write the tables.
        runs: Identifier of the flow run, or of several whose writes lie on top of each other.
        table: `keyspace.table`, or a table of the cluster's `keyspace`, to undo that one alone.
        dry_run: Only count what would be done. The tables are read as a whole for that, too.

    Returns:
        One report for each load: rows removed, cells restored and cleared, and how many of its
        chunks have images of what was there before.

    Raises:
        ConfigurationError: The ledger knows nothing that a run wrote.
        CannotUndoError: Undoing cannot be exact in one of the tables: it has materialised views or
            only key columns. Nothing was done.
        NoStampsError: The cluster has no ledger, or not for this role.
    """
    from prefect_cassandra.driver.identifiers import qualified  # noqa: PLC0415 -- brings the driver in
    from prefect_cassandra.ledger.overview import open_below, said_of_open  # noqa: PLC0415 -- the same
    from prefect_cassandra.writes.undo import undo_contents  # noqa: PLC0415 -- brings pyarrow in
    from prefect_cassandra.writes.undo_lookup import contents_of_runs  # noqa: PLC0415 -- the same

    wanted = [runs] if isinstance(runs, str | UUID) else runs
    name = None if table is None else ".".join(qualified(table, cluster.keyspace))
    session = cluster.session()
    contents = contents_of_runs(session, map(str, wanted), name)
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    logger = run_logger()
    window = timedelta(days=LedgerSettings().undo_window)
    for line in said_of_open(open_below(session, contents, window)):
        logger.warning("%s", line)
    done = undo_contents(session, contents, run=str(run.id) if run else "", dry_run=dry_run)
    for report in done:
        logger.info("%s", report)
        if report.blind and not dry_run:
            logger.warning("%s: what it overwrote was not kept and is lost.", report.table)
    return done


@task(
    name="aundo-run",
    description="Undo what a flow run wrote, without blocking the event loop.",
    tags=TAGS,
    cache_policy=NO_CACHE,
)
async def aundo_run(
    cluster: CassandraCluster,
    runs: str | UUID | Sequence[str | UUID],
    *,
    table: str | None = None,
    dry_run: bool = False,
) -> list[UndoReport]:
    """Do what `undo_run` does in a thread of its own.

    Cancelling the task does not stop it; what is half done is finished when it is undone again.
    """
    return await asyncio.to_thread(undo_run.fn, cluster, runs, table=table, dry_run=dry_run)
