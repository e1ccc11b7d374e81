"""Unloading a table: one file per split of the token ring, each whole or not there at all.

The list of splits is stored beside the files before the first row is read, so an unload that was
killed goes on with the files that are missing, and a change of the ring does not move its borders.
The manifest comes last: without it the folder is unfinished.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.identifiers import qualified
from prefect_cassandra.driver.threads import in_thread
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.destination import Destination
from prefect_cassandra.reads.formats import codec
from prefect_cassandra.reads.query import Selection, range_query
from prefect_cassandra.reads.range_reader import RangeReader
from prefect_cassandra.reads.report import UnloadReport
from prefect_cassandra.reads.scan import ScanOptions, plan_splits
from prefect_cassandra.reads.split_files import SplitFiles
from prefect_cassandra.reads.unload_plan import Plan, Progress
from prefect_cassandra.reads.urls import without_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.reads.formats import Format, Numbers


@dataclass(frozen=True, slots=True)
class UnloadOptions:
    """What to unload and how.

    Args:
        format: Of the files: `parquet`, `csv` or `arrow` (IPC files).
        columns: Names of the columns, in order; all when absent.
        where: Conditions on clustering and indexed columns, as they stand after WHERE in CQL.
        parameters: Values for the markers of `where`.
        writetime: Columns whose write time comes along, as `writetime(column)`.
        ttl: Columns whose remaining seconds come along, as `ttl(column)`.
        per_partition_limit: Most rows of each partition.
        consistency: Level instead of the session's.
        in_flight: Splits read and written side by side.
        splits: Files wanted; from the table's size when absent.
        compression: Codec of the files; the format's usual one when absent, `none` for none.
        numbers: What `decimal` and `varint`, which CQL does not bound, become: `decimal` takes 38
            digits, 18 of a decimal's behind the point, and refuses what does not fit exactly;
            `text` takes all. CSV is text anyway.
        overwrite: Whether to throw away what an earlier unload left in the folder.
        run_key: Who asks, and for what. A finished unload of the same key is answered with its own
            report, so that a repeat after the last file does nothing; any other is refused.
        storage_options: For fsspec, to open the URL.

    Raises:
        ConfigurationError: A value is none of the allowed ones.
    """

    format: Format = "parquet"
    columns: Sequence[str] | None = None
    where: str | None = None
    parameters: Sequence[Any] | Mapping[str, Any] | None = None
    writetime: Sequence[str] = ()
    ttl: Sequence[str] = ()
    per_partition_limit: int | None = None
    consistency: str | None = None
    in_flight: int = 4
    splits: int | None = None
    compression: str | None = None
    numbers: Numbers = "decimal"
    overwrite: bool = False
    run_key: str = ""
    storage_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        codec(self.format, self.compression)
        if self.numbers not in ("decimal", "text"):
            raise ConfigurationError(
                f"{self.numbers!r} is no way to write numbers.", hint="One of decimal, text."
            )
        # Refuses numbers that are too small.
        _ = self.scan

    @property
    def selection(self) -> Selection:
        """Which rows and columns."""
        return Selection(
            self.columns,
            self.where,
            self.parameters,
            self.writetime,
            self.ttl,
            self.per_partition_limit,
        )

    @property
    def scan(self) -> ScanOptions:
        """The same for a scan."""
        return ScanOptions(self.selection, self.consistency, self.in_flight, self.splits)


def unload(  # noqa: PLR0913 -- the last three can be left out
    session: Session,
    table: str,
    url: str,
    options: UnloadOptions | None = None,
    *,
    keyspace: str | None = None,
    progress: Callable[[UnloadReport], None] | None = None,
    cancelled: threading.Event | None = None,
) -> UnloadReport:
    """Write a table's rows into files under a URL.

    Args:
        session: Where from.
        table: `keyspace.table`, or a table of `keyspace`.
        url: Folder on any file system that fsspec knows; a plain path is local.
        options: What and how.
        keyspace: Keyspace of a table named without one.
        progress: Called after a batch, at most four times a second.
        cancelled: Set it, from any thread, to stop; the next call goes on where this one stopped.

    Raises:
        ConfigurationError: The options do not fit the table, or the folder holds something else.
        StatementError: There is no such table, or the server refuses the query.
        DataError: A value is larger or finer than its Arrow type; names the column.
        NotAppliedError: A partition cannot be read, in however small pieces; names it.
        UnreachableError: No node answered.
    """
    options = options or UnloadOptions()
    finished = finished_unload(url, options)
    if finished is not None:
        return finished
    count = plan_unload(session, table, url, options, keyspace=keyspace)
    report = unload_splits(
        session, url, range(count), options, progress=progress, cancelled=cancelled
    )
    return finish_unload(url, options, report) if report.complete else report


async def aunload(  # noqa: PLR0913 -- the last two can be left out
    session: Session,
    table: str,
    url: str,
    options: UnloadOptions | None = None,
    *,
    keyspace: str | None = None,
    progress: Callable[[UnloadReport], None] | None = None,
) -> UnloadReport:
    """Do what `unload` does in a thread of its own; cancelling the task stops it."""
    cancelled = threading.Event()
    work = partial(
        unload,
        session,
        table,
        url,
        options,
        keyspace=keyspace,
        progress=progress,
        cancelled=cancelled,
    )
    return await in_thread(work, cancelled.set)


def plan_unload(
    session: Session,
    table: str,
    url: str,
    options: UnloadOptions | None = None,
    *,
    keyspace: str | None = None,
) -> int:
    """Store the list of splits under `url`, unless it is there already, and return its length.

    For an unload that several processes share: one plans, each calls `unload_splits` with some of
    the numbers from 0 to the length less one, and one calls `finish_unload` after all of them.

    Raises:
        ConfigurationError: The options do not fit the table, or the folder holds something else.
        StatementError: There is no such table, or the server refuses the query.
    """
    options = options or UnloadOptions()
    on_record = Progress(Destination(url, options.storage_options))
    plan = _new_plan(session, *qualified(table, keyspace), options)
    found = on_record.plan()
    mine = found is not None and bool(options.run_key) and found.run_key == options.run_key
    if options.overwrite and not mine:
        _require_no_other_files(url, options, on_record.left())
        on_record.clear()
        found = None
    if found is None:
        _require_no_other_files(url, options)
        found = replace(
            plan, splits=tuple(plan_splits(session, *qualified(table, keyspace), options.scan))
        )
        on_record.start(found)
        # Somebody may have planned at the same moment; whoever came last is followed by all.
        found = on_record.plan() or found
    elif not found.same_content(plan):
        raise _another(without_login(url), found)
    return len(found.splits)


def unload_splits(  # noqa: PLR0913 -- the last two can be left out
    session: Session,
    url: str,
    numbers: Iterable[int],
    options: UnloadOptions | None = None,
    *,
    progress: Callable[[UnloadReport], None] | None = None,
    cancelled: threading.Event | None = None,
) -> UnloadReport:
    """Write the files of some splits of a planned unload; those that are complete are skipped.

    Returns:
        The report of these splits; its `splits` is how many they are.

    Raises what `unload` does, and `ConfigurationError` where table, options or numbers are not
    those of the plan; files that were completed stay.
    """
    options = options or UnloadOptions()
    folder = Destination(url, options.storage_options)
    plan = _planned(folder)
    keyspace, table = qualified(plan.table, None)
    if not plan.same_content(_new_plan(session, keyspace, table, options)):
        raise _another(folder.url, plan)
    wanted = set(numbers)
    beyond = wanted - set(range(len(plan.splits)))
    if beyond:
        raise ConfigurationError(
            f"The unload planned in {folder.url} has no split {min(beyond)}: its "
            f"{len(plan.splits)} splits count from 0.",
            hint="Use the number that plan_unload returned last.",
        )
    return SplitFiles(session, folder, plan, options, cancelled, progress).run(wanted)


def finish_unload(
    url: str, options: UnloadOptions | None = None, report: UnloadReport | None = None
) -> UnloadReport:
    """Write the manifest of a planned unload whose files are all complete.

    Args:
        url: The folder.
        options: For `storage_options` and `run_key`.
        report: What is known of the attempt, to be returned with the final counts.

    Raises:
        ConfigurationError: Files are missing, or nothing was planned.
    """
    options = options or UnloadOptions()
    finished = finished_unload(url, options)
    if finished is not None:
        return finished
    folder = Destination(url, options.storage_options)
    plan = _planned(folder)
    on_record = Progress(folder)
    done = on_record.done(plan)
    missing = sorted(set(range(len(plan.splits))) - set(done))
    if missing:
        raise ConfigurationError(
            f"{len(missing)} of {len(plan.splits)} files are missing in {folder.url}, the first is "
            f"of split {missing[0]}.",
            hint="Unload these splits first.",
        )
    on_record.finish(plan, done)
    report = report or UnloadReport(plan.table, folder.url, plan.format, resumed=len(done))
    return replace(
        report,
        rows=sum(one.rows for one in done.values()),
        bytes=sum(one.bytes for one in done.values()),
        files=len(done),
        splits=len(done),
    )


def finished_unload(url: str, options: UnloadOptions) -> UnloadReport | None:
    """Return the report of a finished unload of the same `run_key`; None when there is none.

    Raises:
        ConfigurationError: The folder holds a finished unload of another run.
    """
    folder = Destination(url, options.storage_options)
    found = Progress(folder).manifest()
    if found is None:
        return None
    if options.run_key and found["run_key"] == options.run_key:
        files = len(found["files"])
        return UnloadReport(
            found["table"],
            folder.url,
            found["format"],
            found["rows"],
            found["bytes"],
            files,
            files,
            files,
        )
    if options.overwrite:
        return None
    raise ConfigurationError(
        f"{folder.url} holds an unload of {found['table']} already, finished {found['finished']}.",
        hint="Give another folder, or overwrite it.",
    )


def _new_plan(session: Session, keyspace: str, table: str, options: UnloadOptions) -> Plan:
    """Return the plan but for its splits, which cost a query."""
    info = session.table(keyspace, table)
    reader = RangeReader(session, info, options.selection, consistency=options.consistency)
    return Plan(
        table=f"{keyspace}.{table}",
        query=range_query(info, options.selection),
        parameters=",".join(reader.bound),
        columns=tuple(zip(reader.names, map(str, reader.kinds), strict=True)),
        format=options.format,
        compression=codec(options.format, options.compression),
        numbers=options.numbers,
        consistency=options.consistency or "",
        run_key=options.run_key,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        splits=(),
    )


def _another(url: str, plan: Plan) -> ConfigurationError:
    """Return the error for a folder whose files would not go together with those asked for."""
    return ConfigurationError(
        f"{url} holds an unfinished unload of {plan.table} with another query, consistency or "
        f"format, begun {plan.started}.",
        hint="Repeat that one with its own options, give another folder, or overwrite it.",
    )


def _planned(folder: Destination) -> Plan:
    plan = Progress(folder).plan()
    if plan is None:
        raise ConfigurationError(
            f"No unload is planned in {folder.url}.", hint="Call plan_unload first."
        )
    return plan


def _require_no_other_files(
    url: str, options: UnloadOptions, ours: frozenset[str] = frozenset()
) -> None:
    """Refuse a folder with files of someone else: who reads it would take them for rows."""
    folder = Destination(url, options.storage_options)
    names = [name for name in folder.names() if not name.startswith((".", "_"))]
    others = sorted(set(names) - ours)
    if others:
        raise ConfigurationError(
            f"{folder.url} holds other files, {others[0]} for one.",
            hint="Give an empty folder, or one that does not exist yet. What an unload that was "
            "to be overwritten left is thrown away by overwriting again.",
        )
