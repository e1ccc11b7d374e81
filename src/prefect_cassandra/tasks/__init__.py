"""Prefect tasks: query, execute, load; each with a twin for asynchronous flows.

Inputs are never hashed (`NO_CACHE`): a cache key over a table of a million rows, or over a block
with a password, costs more than it saves. `with_options(cache_policy=...)` turns it on again.
"""

from __future__ import annotations

from prefect_cassandra.tasks.loading import aload_table, load_table
from prefect_cassandra.tasks.statements import (
    acassandra_execute,
    acassandra_query,
    cassandra_execute,
    cassandra_query,
)

__all__ = [
    "acassandra_execute",
    "acassandra_query",
    "aload_table",
    "cassandra_execute",
    "cassandra_query",
    "load_table",
]
