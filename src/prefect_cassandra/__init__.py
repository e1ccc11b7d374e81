"""Prefect pipelines whose every write to Apache Cassandra is safe to retry, provable, and undoable.

What a flow author imports is here and nowhere else. Names are loaded when first used, so that
`import prefect_cassandra` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    DataError,
    NotAppliedError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PrefectCassandraError,
    StatementError,
    UnreachableError,
)

if TYPE_CHECKING:
    from prefect_cassandra.blocks import CassandraCluster as CassandraCluster
    from prefect_cassandra.blocks import CassandraCredentials as CassandraCredentials
    from prefect_cassandra.blocks import CassandraTls as CassandraTls
    from prefect_cassandra.reads.report import UnloadReport as UnloadReport
    from prefect_cassandra.tasks import acassandra_execute as acassandra_execute
    from prefect_cassandra.tasks import acassandra_query as acassandra_query
    from prefect_cassandra.tasks import aload_in_jobs as aload_in_jobs
    from prefect_cassandra.tasks import aload_table as aload_table
    from prefect_cassandra.tasks import aread_table as aread_table
    from prefect_cassandra.tasks import arun_parts as arun_parts
    from prefect_cassandra.tasks import aundo_run as aundo_run
    from prefect_cassandra.tasks import aunload_in_jobs as aunload_in_jobs
    from prefect_cassandra.tasks import aunload_table as aunload_table
    from prefect_cassandra.tasks import cassandra_execute as cassandra_execute
    from prefect_cassandra.tasks import cassandra_query as cassandra_query
    from prefect_cassandra.tasks import combined as combined
    from prefect_cassandra.tasks import load_in_jobs as load_in_jobs
    from prefect_cassandra.tasks import load_part as load_part
    from prefect_cassandra.tasks import load_table as load_table
    from prefect_cassandra.tasks import read_table as read_table
    from prefect_cassandra.tasks import report_part as report_part
    from prefect_cassandra.tasks import run_parts as run_parts
    from prefect_cassandra.tasks import undo_run as undo_run
    from prefect_cassandra.tasks import unload_in_jobs as unload_in_jobs
    from prefect_cassandra.tasks import unload_part as unload_part
    from prefect_cassandra.tasks import unload_table as unload_table
    from prefect_cassandra.writes.files import Files as Files
    from prefect_cassandra.writes.report import LoadReport as LoadReport
    from prefect_cassandra.writes.report import Reject as Reject
    from prefect_cassandra.writes.undo_report import UndoReport as UndoReport

_HOMES = {
    "CassandraCluster": "blocks",
    "CassandraCredentials": "blocks",
    "CassandraTls": "blocks",
    "Files": "writes.files",
    "LoadReport": "writes.report",
    "UndoReport": "writes.undo_report",
    "UnloadReport": "reads.report",
    "Reject": "writes.report",
    "acassandra_execute": "tasks",
    "acassandra_query": "tasks",
    "aload_in_jobs": "tasks",
    "aload_table": "tasks",
    "aread_table": "tasks",
    "aundo_run": "tasks",
    "aunload_table": "tasks",
    "arun_parts": "tasks",
    "aunload_in_jobs": "tasks",
    "cassandra_execute": "tasks",
    "cassandra_query": "tasks",
    "combined": "tasks",
    "load_in_jobs": "tasks",
    "load_part": "tasks",
    "load_table": "tasks",
    "read_table": "tasks",
    "unload_table": "tasks",
    "report_part": "tasks",
    "run_parts": "tasks",
    "undo_run": "tasks",
    "unload_in_jobs": "tasks",
    "unload_part": "tasks",
}

__all__ = [  # noqa: PLE0604 -- the table above is the one list of what is loaded when used
    "AuthenticationError",
    "ConfigurationError",
    "DataError",
    "NotAppliedError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "PrefectCassandraError",
    "StatementError",
    "UnreachableError",
    *_HOMES,
]


def __getattr__(name: str) -> object:
    """Import the module that `name` lives in (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
