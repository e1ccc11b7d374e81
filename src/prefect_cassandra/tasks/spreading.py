"""One load or unload as several flow runs, each in a Job of its own.

Inside one pod Prefect's own mapping is enough: `load_table.map(unmapped(cluster), table,
Files(...).split(8))`. Across pods each part is a flow run of a deployment: the worker starts it as
it starts every run, with a login, limits and logs of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence  # noqa: TC003 -- Prefect reads the annotations
from dataclasses import asdict, fields, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow

from prefect_cassandra.blocks import CassandraCluster
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.tasks.following import run_logger
from prefect_cassandra.tasks.keys import unload_key
from prefect_cassandra.tasks.loading import load_table
from prefect_cassandra.tasks.parts import report_part, run_parts
from prefect_cassandra.tasks.public_parameters import refuse_secrets
from prefect_cassandra.writes.files import Files
from prefect_cassandra.writes.report import LoadReport, Reject

if TYPE_CHECKING:
    from prefect_cassandra.reads.report import UnloadReport

_RETRY_DELAYS = [2.0, 10.0, 30.0]  # seconds


def load_in_jobs(  # noqa: PLR0913 -- each can be left out but the first four
    deployment: str,
    *,
    cluster: str,
    table: str,
    files: Files,
    jobs: int = 2,
    mode: Literal["unset", "null"] = "unset",
    on_error: Literal["fail", "reject"] = "fail",
    reject_limit: int | None = 10_000,
    retries: int = 2,
) -> LoadReport:
    """Load files by several flow runs of a deployment of `load_part`, and add up what they did.

    Args:
        deployment: `load-part/NAME`, a deployment of the flow `load_part`.
        cluster: Name of the `CassandraCluster` block; each Job loads it and logs in by itself.
        table: `keyspace.table`.
        files: What to load; its parts have about the same number of bytes. It becomes a parameter
            of the runs, which Prefect shows: URLs and storage options with secrets are refused.
        jobs: Most runs.
        mode: What a missing value does.
        on_error: What a row that cannot be written does.
        reject_limit: Most rows that may be rejected in each part.
        retries: Times that one part is started again after it failed.

    Raises:
        PartFailedError: A part failed more often than `retries` allows.
        ConfigurationError: There are no files, or what names them holds a secret.
    """
    urls = [files.urls] if isinstance(files.urls, str) else files.urls
    refuse_secrets(urls, files.storage_options)
    options = {"mode": mode, "on_error": on_error, "reject_limit": reject_limit}
    pieces = [
        {"cluster": cluster, "table": table, "files": asdict(piece), **options}
        for piece in files.split(jobs)
    ]
    reports = run_parts(deployment, pieces, retries=retries)
    return combined([_load_report(report) for report in reports])


def unload_in_jobs(  # noqa: PLR0913 -- each can be left out but the first four
    deployment: str,
    *,
    cluster: str,
    table: str,
    url: str,
    jobs: int = 2,
    options: Mapping[str, Any] | None = None,
    retries: int = 2,
) -> UnloadReport:
    """Unload a table by several flow runs of a deployment of `unload_part`.

    The splits are planned here and dealt out; the manifest is written when all files are there.

    Args:
        deployment: `unload-part/NAME`, a deployment of the flow `unload_part`.
        cluster: Name of the `CassandraCluster` block.
        table: `keyspace.table`.
        url: Folder that every Job can write to.
        jobs: Most runs.
        options: Such as `format` and `columns`: what `unload_table` takes as well. They become
            parameters of the runs, which Prefect shows: storage options with secrets are refused.
        retries: Times that one part is started again after it failed.

    Raises:
        PartFailedError: A part failed more often than `retries` allows.
        ConfigurationError: The URL or an option holds a secret, or what `unload_table` refuses.
    """
    from prefect_cassandra.reads.unload import (  # noqa: PLC0415 -- brings pyarrow in
        UnloadOptions,
        finish_unload,
        finished_unload,
        plan_unload,
    )

    started = time.monotonic()
    chosen = UnloadOptions(**(options or {}))
    refuse_secrets([url], chosen.storage_options)
    block = CassandraCluster.load(cluster)
    if not chosen.run_key:
        # A flow run that is started again goes on where it stopped.
        chosen = replace(chosen, run_key=unload_key(table, url, chosen))
    # A flow run that is started again after its unload was done must not throw it away.
    done = finished_unload(url, chosen)
    if done is not None:
        return done
    splits = plan_unload(block.session(), table, url, chosen, keyspace=block.keyspace)
    shares = [[*range(splits)][job::jobs] for job in range(min(jobs, splits))]
    # What an earlier unload left is thrown away once, by the plan.
    handed_on = {name: value for name, value in (options or {}).items() if name != "overwrite"}
    common = {"cluster": cluster, "url": url, "options": handed_on}
    run_parts(deployment, [{**common, "numbers": share} for share in shares], retries=retries)
    report = finish_unload(url, chosen)
    return replace(report, seconds=time.monotonic() - started)


async def aload_in_jobs(deployment: str, **options: Any) -> LoadReport:
    """Do what `load_in_jobs` does, without blocking the event loop."""
    return await asyncio.to_thread(load_in_jobs, deployment, **options)


async def aunload_in_jobs(deployment: str, **options: Any) -> UnloadReport:
    """Do what `unload_in_jobs` does, without blocking the event loop."""
    return await asyncio.to_thread(unload_in_jobs, deployment, **options)


@flow(name="load-part")
def load_part(  # noqa: PLR0913 -- what load_in_jobs hands on
    cluster: str,
    table: str,
    files: Files,
    *,
    mode: Literal["unset", "null"] = "unset",
    on_error: Literal["fail", "reject"] = "fail",
    reject_limit: int | None = 10_000,
) -> LoadReport:
    """Load some files: one part of `load_in_jobs`.

    Args:
        cluster: Name of the `CassandraCluster` block to write to.
        table: `keyspace.table`.
        files: What to load.
        mode: What a missing value does.
        on_error: What a row that cannot be written does.
        reject_limit: Most rows that may be rejected.
    """
    load = load_table.with_options(retries=len(_RETRY_DELAYS), retry_delay_seconds=_RETRY_DELAYS)
    report = load(
        CassandraCluster.load(cluster),
        table,
        files,
        mode=mode,
        on_error=on_error,
        reject_limit=reject_limit,
    )
    report_part(report)
    return report


@flow(name="unload-part")
def unload_part(
    cluster: str, url: str, numbers: list[int], options: dict[str, Any] | None = None
) -> None:
    """Unload some splits of a planned unload: one part of `unload_in_jobs`.

    Args:
        cluster: Name of the `CassandraCluster` block to read from.
        url: Folder with the plan.
        numbers: Which of its splits.
        options: What `UnloadOptions` takes.
    """
    from prefect_cassandra.reads.unload import (  # noqa: PLC0415 -- brings pyarrow in
        UnloadOptions,
        unload_splits,
    )

    logger = run_logger()
    report = unload_splits(
        CassandraCluster.load(cluster).session(),
        url,
        numbers,
        UnloadOptions(**(options or {})),
        progress=lambda report: logger.debug("%s", report),
    )
    logger.info("%s", report)
    report_part(report)


def combined(reports: Sequence[LoadReport]) -> LoadReport:
    """Add up the reports of the parts of one load; its seconds are those of the slowest.

    Raises:
        ConfigurationError: There is no report, or they are of different tables.
    """
    tables = sorted({report.table for report in reports})
    if len(tables) != 1:
        raise ConfigurationError(
            f"Reports of {len(tables)} tables cannot be added up: {', '.join(tables)}.",
            hint="Give the reports of the parts of one load.",
        )
    found: dict[str, Any] = {"table": tables[0]}
    for name in (field.name for field in fields(LoadReport) if field.name != "table"):
        values = [getattr(report, name) for report in reports]
        if isinstance(values[0], tuple):
            found[name] = tuple(chain.from_iterable(values))
        elif name == "seconds" or isinstance(values[0], bool):
            found[name] = max(values)
        elif isinstance(values[0], str):
            found[name] = "; ".join(sorted({value for value in values if value}))
        else:
            found[name] = sum(values)
    return LoadReport(**found)


def _load_report(told: Mapping[str, Any]) -> LoadReport:
    """Return a report that came through the Prefect server."""
    rejects = tuple(Reject(**reject) for reject in told["rejects"])
    return LoadReport(**{**told, "rejects": rejects})
