"""The task that writes a table's rows."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.settings import DriverSettings, LedgerSettings
from prefect_cassandra.tasks.artifacts import ashow, show
from prefect_cassandra.tasks.following import TAGS, run_logger
from prefect_cassandra.tasks.load_artifacts import follower, known_rows, table_artifacts
from prefect_cassandra.tasks.provenance import default_key, provenance
from prefect_cassandra.tasks.transactions import transaction_around, undo_with_transaction
from prefect_cassandra.writes.report import LoadReport

if TYPE_CHECKING:
    from prefect_cassandra.writes.loader import LoadOptions

_REJECTS_LOGGED = 10
_PROGRESS_SECONDS = 5.0


@task(
    name="load-table",
    description="Write an Arrow table, a pandas frame or an iterator of batches into a table.",
    tags=TAGS,
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
    key: str | None = None,
    replace: bool = False,
    key_filter: bool = True,
    before_image: bool = False,
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
            its chunk is sent (5,000 to 25,000 rows, up to 100,000 where the rows of a partition are
            scattered), `reject` leaves the row out, counts and names it.
        reject_limit: Most rows that may be rejected; None means any number.
        key: Name of this load of this table, in all runs: it is done exactly once. Without one, a
            load is the same in each attempt of its task and each restart of its flow run.
        replace: Write other content than before under the same `key` whole, at newer stamps,
            instead of refusing it, and remove the rows that only the old content had. Without a
            `key` new content is always written whole, and the rows of a load that was finished
            stay: only those of one that was not are removed.
        key_filter: Whether the ledger keeps, for the undo window, a filter of the keys that each
            chunk wrote, 1.25 bytes a row. With it `who` proves that a row is of this load; without
            it, it can only tell that the row has a stamp of this load.
        before_image: Keep in the ledger, for the undo window, what the rows held before, so that
            undoing this load brings it back; each row is read before it is written. Inside of a
            Prefect transaction it is always kept.

    Returns:
        Rows and bytes written, rows merged and rejected, requests, repeats and seconds. In a run
        they are also an artifact, and so is the progress of a table or frame that takes long.

    Raises:
        DataError: The data does not fit the table; names row and column.
        StatementError: There is no such table.
        OutcomeUnknownError: A request may or may not have been applied, even after repeats. A load
            can be run again: writing the same rows twice leaves them as they are.
        ContentChangedError: A load with this `key` had other content; nothing of it was sent.
        SupersededError: Newer content of the same load was taken up elsewhere.
        UndoneError: The load was undone while it was under way; nothing of it stays.
        CannotUndoError: The load may have to be undone, which this table does not allow; nothing
            was written.
        LedgerError: A `key` is given, and the cluster has no ledger that can keep it.
    """
    from prefect_cassandra.writes.loader import load  # noqa: PLC0415 -- brings pyarrow in

    _refuse_spent_iterator(data)
    options = _options(mode, consistency, in_flight, on_error, reject_limit)
    options = _kept(
        options,
        table,
        data,
        key,
        replace=replace,
        key_filter=key_filter,
        before_image=before_image,
    )
    session = cluster.session()
    undo_with_transaction(session, options.stamped)
    report = load(
        session,
        table,
        data,
        options,
        keyspace=cluster.keyspace,
        progress=follower(known_rows(data)),
        progress_every=_PROGRESS_SECONDS,
    )
    _log_report(report)
    show(table_artifacts(report))
    return report


@task(
    name="aload-table",
    description="Write rows into a table, without blocking the event loop.",
    tags=TAGS,
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
    key: str | None = None,
    replace: bool = False,
    key_filter: bool = True,
    before_image: bool = False,
) -> LoadReport:
    """Do what `load_table` does in a thread of its own; cancelling the task stops the load."""
    from prefect_cassandra.writes.loader import aload  # noqa: PLC0415 -- brings pyarrow in

    _refuse_spent_iterator(data)
    options = _options(mode, consistency, in_flight, on_error, reject_limit)
    options = _kept(
        options,
        table,
        data,
        key,
        replace=replace,
        key_filter=key_filter,
        before_image=before_image,
    )
    session = await asyncio.to_thread(cluster.session)
    undo_with_transaction(session, options.stamped)
    report = await aload(
        session,
        table,
        data,
        options,
        keyspace=cluster.keyspace,
        progress=follower(known_rows(data)),
        progress_every=_PROGRESS_SECONDS,
    )
    _log_report(report)
    await ashow(table_artifacts(report))
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


def _kept(  # noqa: PLR0913 -- the parameters of the task that are about the ledger
    options: LoadOptions,
    table: str,
    data: object,
    key: str | None,
    *,
    replace: bool,
    key_filter: bool,
    before_image: bool,
) -> LoadOptions:
    """Say as what the load is kept in the ledger.

    A flow that runs again may well fetch other rows than before: so without a key of one's own, new
    content is written whole. It may also have other loads to do than before, one whose rows are
    there already left out, and then a place is another load's: so what was finished is kept.
    """
    from prefect_cassandra.writes.stamped import Stamped  # noqa: PLC0415 -- brings pyarrow in

    name = default_key(table) if key is None else key
    if name is None:
        return options
    own, transactional = key is not None, transaction_around() is not None
    keep = timedelta(days=LedgerSettings().undo_window)
    stamped = Stamped(
        name,
        provenance(data),
        replace=replace or not own,
        keep_finished=not own,
        # What may have to be undone has to be kept.
        optional=not own and not before_image and not transactional,
        keep_images=keep if before_image or transactional else None,
        transactional=transactional,
        keep_filters=keep if key_filter else None,
    )
    return dataclasses.replace(options, stamped=stamped)


def _refuse_spent_iterator(data: object) -> None:
    """Refuse to retry with an iterator: the first attempt has read an unknown part of it.

    Raises:
        ConfigurationError: This is a retry and `data` can be read only once.
    """
    context = TaskRunContext.get()
    if context is None or context.task_run.run_count <= 1:
        return
    from prefect_cassandra.writes.sources import read_only_once  # noqa: PLC0415 -- brings pyarrow in

    if read_only_once(data):
        raise ConfigurationError(
            f"A {type(data).__name__} can be read only once, and an earlier attempt has read it.",
            hint="Give load_table a function that returns a new iterator, or a table.",
        )


def _log_report(report: LoadReport) -> None:
    logger = run_logger()
    logger.info("%s", report)
    if not report.stamped and TaskRunContext.get() is not None:
        logger.warning("This load is not kept in the ledger: a retry sends all rows again.")
    for reject in report.rejects[:_REJECTS_LOGGED]:
        logger.warning("Rejected %s", reject)
    if report.rejected > _REJECTS_LOGGED:
        logger.warning("and %s more rows", f"{report.rejected - _REJECTS_LOGGED:,}")
