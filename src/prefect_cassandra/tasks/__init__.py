"""Prefect tasks: query, execute, load, read, unload; each with a twin for asynchronous flows.

Inputs are never hashed (`NO_CACHE`): a cache key over a table of a million rows, or over a block
with a password, costs more than it saves. `with_options(cache_policy=...)` turns it on again.
"""

from __future__ import annotations

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
    acassandra_query,
    cassandra_execute,
    cassandra_query,
)
from prefect_cassandra.tasks.undoing import aundo_run, undo_run

__all__ = [
    "acassandra_execute",
    "acassandra_query",
    "aload_in_jobs",
    "aload_table",
    "aread_table",
    "arun_parts",
    "aundo_run",
    "aunload_in_jobs",
    "aunload_table",
    "cassandra_execute",
    "cassandra_query",
    "combined",
    "load_in_jobs",
    "load_part",
    "load_table",
    "read_table",
    "report_part",
    "run_parts",
    "undo_run",
    "unload_in_jobs",
    "unload_part",
    "unload_table",
]
