"""Takes Prefect's log models to the store and back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from prefect.server.schemas.core import Log
from prefect.server.schemas.filters import LogFilter, LogFilterTextSearch, Operator
from prefect.server.schemas.sorting import LogSort
from prefect.server.utilities.text_search_parser import parse_text_search_query
from prometheus_client import Counter

from prefect_cassandra.state.log_buffer import Counts
from prefect_cassandra.state.log_query import (
    EARLIEST,
    LATEST,
    Levels,
    LineIds,
    LogLine,
    LogQuery,
    Runs,
    Tasks,
    Times,
    Words,
    microseconds,
    moment_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from prefect.server.schemas.actions import LogCreate

    from prefect_cassandra.state.log_buffer import LogBuffer
    from prefect_cassandra.state.logs import CassandraLogs

# On Prefect's own `/api/metrics`, when PREFECT_SERVER_METRICS_ENABLED is set.
_TAKEN = Counter("prefect_cassandra_log_lines_taken", "Lines of run logs that were accepted.")
_WRITTEN = Counter("prefect_cassandra_log_lines_written", "Lines of run logs in Cassandra.")
_DROPPED = Counter("prefect_cassandra_log_lines_dropped", "Lines of run logs that are lost.")

# Seconds that lines which still wait get when the server is stopped.
_GRACE = 5.0


class LogService:
    """What the routes of run logs stand on, for one server process.

    Args:
        store: Reads and deletes lines.
        buffer: Writes them to the store.
    """

    def __init__(self, store: CassandraLogs, buffer: LogBuffer) -> None:
        self.store = store
        self.buffer = buffer
        self._ids = LineIds()
        self._shown = Counts()

    def start(self) -> None:
        """Begin to write."""
        self.buffer.start()

    async def close(self) -> None:
        """Write what still waits, for a few seconds at most."""
        await self.buffer.close(_GRACE)
        self._show()

    async def take(self, logs: Iterable[LogCreate]) -> list[LogLine]:
        """Take new lines; returns when they are written, or kept while the store is away."""
        lines = [self.line(log) for log in logs]
        await self.buffer.put(lines)
        self._show()
        return lines

    def _show(self) -> None:
        """Bring the metrics up to what the buffer has counted."""
        counts, shown = self.buffer.counts, self._shown
        _TAKEN.inc(counts.taken - shown.taken)
        _WRITTEN.inc(counts.written - shown.written)
        _DROPPED.inc(counts.dropped - shown.dropped)
        self._shown = replace(counts)

    def line(self, log: LogCreate) -> LogLine:
        """Give a new line its id; NUL characters go, as Prefect does for Postgres."""
        return LogLine(
            id=self._ids.make(),
            at=microseconds(log.timestamp),
            level=log.level,
            name=log.name.replace("\0", ""),
            message=log.message.replace("\0", ""),
            flow_run_id=log.flow_run_id,
            task_run_id=log.task_run_id,
        )

    async def read(
        self, wanted: LogFilter | None, sort: LogSort, offset: int, limit: int
    ) -> Sequence[Log]:
        """Return a page of lines as Prefect's API does.

        Raises:
            PrefectCassandraError: The store does not answer.
        """
        lines = await self.store.read(query_of(wanted, sort), offset, limit)
        return [as_log(line) for line in lines]


def as_log(line: LogLine) -> Log:
    """Return a line as the API shows it."""
    return Log.model_validate(
        {
            "id": line.id,
            "created": line.taken,
            "updated": line.taken,
            "name": line.name,
            "level": line.level,
            "message": line.message,
            "timestamp": moment_of(line.at),
            "flow_run_id": line.flow_run_id,
            "task_run_id": line.task_run_id,
        }
    )


def query_of(wanted: LogFilter | None, sort: LogSort) -> LogQuery:
    """Turn Prefect's filter and order into the store's question. Pure."""
    descending = sort == LogSort.TIMESTAMP_DESC
    if wanted is None:
        return LogQuery(descending=descending)
    level, timestamp, runs, tasks = (
        wanted.level,
        wanted.timestamp,
        wanted.flow_run_id,
        wanted.task_run_id,
    )
    return LogQuery(
        levels=None if level is None else Levels(level.ge_, level.le_),
        times=None
        if timestamp is None
        else Times(_time(timestamp.after_, EARLIEST), _time(timestamp.before_, LATEST)),
        runs=None if runs is None else Runs(_set(runs.any_)),
        tasks=None if tasks is None else Tasks(_set(tasks.any_), tasks.is_null_),
        words=None if wanted.text is None else _words(wanted.text),
        any_of=wanted.operator == Operator.or_,
        descending=descending,
    )


def _set(values: Iterable[UUID] | None) -> frozenset[UUID] | None:
    return None if values is None else frozenset(values)


def _time(moment: datetime | None, default: int) -> int:
    return default if moment is None else microseconds(moment)


def _words(text: LogFilterTextSearch) -> Words:
    parsed = parse_text_search_query(text.query)
    return Words(tuple(parsed.include), tuple(parsed.exclude), tuple(parsed.required))
