"""Where lines of logs are noted, so that they are found again: the rows of `log_places`. Pure.

A shelf has a name and holds notes: a bucket of ten minutes and a flow run with lines in it. There
is a shelf for each flow run, each task run and each hour, and one that has all hours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from prefect_cassandra.state.log_query import HOUR, NOBODY, bucket_of, moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect_cassandra.state.log_query import LogLine

Note = tuple[str, int, UUID]
"""Shelf, bucket in microseconds since 1970, flow run."""

HOURS = "hours"
"""The shelf of all hours: its buckets are whole hours, its flow run is `NOBODY`."""


def notes_of(lines: Iterable[LogLine]) -> list[Note]:
    """Return the notes that lead to lines, each once."""
    runs: dict[tuple[UUID, int], None] = {}
    tasks: dict[tuple[UUID, UUID, int], None] = {}
    for line in lines:
        run, bucket = line.flow_run_id or NOBODY, bucket_of(line.at)
        runs[run, bucket] = None
        if line.task_run_id is not None:
            tasks[line.task_run_id, run, bucket] = None
    found: dict[Note, None] = {}
    for run, bucket in runs:
        hour = bucket_of(bucket, HOUR)
        found[run_shelf(run), bucket, run] = None
        found[hour_shelf(hour), bucket, run] = None
        found[HOURS, hour, NOBODY] = None
    for task, run, bucket in tasks:
        found[task_shelf(task), bucket, run] = None
    return list(found)


def run_shelf(run: UUID) -> str:
    """Name the shelf with the buckets of a flow run."""
    return f"run {run}"


def task_shelf(task: UUID) -> str:
    """Name the shelf with the flow runs and buckets of a task run."""
    return f"task {task}"


def hour_shelf(hour: int) -> str:
    """Name the shelf with the flow runs and buckets of an hour."""
    return f"hour {moment_of(hour):%Y-%m-%dT%H}"
