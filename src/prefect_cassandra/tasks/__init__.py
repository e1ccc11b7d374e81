"""Prefect tasks: query, execute, load, read, unload, and who wrote what.

Each has a twin for asynchronous flows. Inputs are never hashed (`NO_CACHE`): a cache key over a
table of a million rows, or over a block with a password, costs more than it saves.
`with_options(cache_policy=...)` turns it on again.
"""

from __future__ import annotations

from prefect_cassandra.tasks.changes import (
    acommit_changes,
    aread_changes,
    commit_changes,
    read_changes,
)
from prefect_cassandra.tasks.claiming import aclaim, claim
from prefect_cassandra.tasks.loading import aload_table, load_table
from prefect_cassandra.tasks.parts import arun_parts, report_part, run_parts
from prefect_cassandra.tasks.reading import (
    aread_table,
    aunload_table,
    read_table,
    unload_table,
)
from prefect_cassandra.tasks.spreading import (
    aload_in_jobs,
    aunload_in_jobs,
    combined,
    load_in_jobs,
    load_part,
    unload_in_jobs,
    unload_part,
)
from prefect_cassandra.tasks.statements import (
    acassandra_execute,
    acassandra_execute_many,
    acassandra_query,
    cassandra_execute,
    cassandra_execute_many,
    cassandra_query,
)
from prefect_cassandra.tasks.trail import awho_wrote, awritten_by, who_wrote, written_by
from prefect_cassandra.tasks.undoing import aundo_run, undo_run

__all__ = [
    "acassandra_execute",
    "acassandra_execute_many",
    "acassandra_query",
    "aclaim",
    "acommit_changes",
    "aload_in_jobs",
    "aload_table",
    "aread_changes",
    "aread_table",
    "arun_parts",
    "aundo_run",
    "aunload_in_jobs",
    "aunload_table",
    "awho_wrote",
    "awritten_by",
    "cassandra_execute",
    "cassandra_execute_many",
    "cassandra_query",
    "claim",
    "combined",
    "commit_changes",
    "load_in_jobs",
    "load_part",
    "load_table",
    "read_changes",
    "read_table",
    "report_part",
    "run_parts",
    "undo_run",
    "unload_in_jobs",
    "unload_part",
    "unload_table",
    "who_wrote",
    "written_by",
]
