"""Run logs in Cassandra: the tables `run_logs` and `log_places` of `prefect_state`.

A line goes into the partition of its flow run and its ten minutes, so that no run and no time makes
a partition without bound. Where lines are is noted beside them, on shelves: of a flow run its
buckets, of a task run its flow runs and buckets, of an hour both, and one shelf of all hours. A
question is answered bucket by bucket in the order of time, from the partitions that can hold its
lines, and no further than its page.

Lines and places are written with a time to live. A place outlives the lines it leads to: it lives a
day longer and is written again when the last time was an hour ago.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import OrderedDict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.frames import frame_request, routing_key, row_head
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.state.access import state_access
from prefect_cassandra.state.log_query import (
    EARLIEST,
    HOUR,
    LATEST,
    NOBODY,
    LogLine,
    LogQuery,
    Reach,
    bucket_of,
    microseconds,
    moment_of,
)
from prefect_cassandra.state.log_rows import INSERT, pack
from prefect_cassandra.state.log_shelves import (
    HOURS,
    hour_shelf,
    notes_of,
    run_shelf,
    task_shelf,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from datetime import timedelta
    from uuid import UUID

    from prefect_cassandra.driver.answers import Result, Row
    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.state.log_shelves import Note

Group = tuple[int, tuple["UUID", ...]]
"""A bucket and the flow runs that may have lines in it."""

_NOTE = """INSERT INTO prefect_state.log_places (shelf, bucket, flow_run_id) VALUES (?, ?, ?)
 USING TTL {ttl}"""
_PLACES = """SELECT bucket, flow_run_id FROM prefect_state.log_places
 WHERE shelf = ? AND bucket >= ? AND bucket <= ?"""
_LINES = """SELECT flow_run_id, at, id, level, task_run_id, name, message
 FROM prefect_state.run_logs WHERE flow_run_id = ? AND bucket = ? AND at >= ? AND at <= ?"""
_BACKWARDS = " ORDER BY at DESC, id DESC"
_FORGET_LINE = """DELETE FROM prefect_state.run_logs
 WHERE flow_run_id = ? AND bucket = ? AND at = ? AND id = ?"""
_FORGET_LINES = "DELETE FROM prefect_state.run_logs WHERE flow_run_id = ? AND bucket = ?"
_FORGET_SHELF = "DELETE FROM prefect_state.log_places WHERE shelf = ?"

_IN_FLIGHT = 32
# Rows asked for at a time: of one run a page and some more, of a thousand runs at once not all.
_ROWS_PER_PAGE, _FEWEST_ROWS = 500, 20
# Partitions asked at one time: few while the first may have the whole page, then more.
_FEWEST, _MOST = 2, 32
_DAY = 86_400
_NOTED_FOR = 3600.0
_NOTES_KEPT = 200_000
# How long the place where a page ended stands for its offset: somebody who turns pages is quicker.
_PLACE_STANDS = 60.0
_PLACES_KEPT = 4096


class CassandraLogs:
    """The log store of one server process.

    Every method raises what `Session.execute` does; reading raises a `StatementError` when the
    tables are not there, which `schema apply` makes, and writing a `StateError`.

    Args:
        session: Logged in as `prefect_state`, or as whoever may read and write that keyspace.
        retention: How long lines are kept.
    """

    def __init__(self, session: Session, retention: timedelta) -> None:
        self.session = session
        seconds = int(retention.total_seconds())
        self._insert = INSERT.format(ttl=seconds)
        self._note = _NOTE.format(ttl=seconds + _DAY)
        self._noted: OrderedDict[Note, float] = OrderedDict()
        self._ends: OrderedDict[tuple[LogQuery, int], tuple[float, tuple[int, int]]] = OrderedDict()

    async def write(self, lines: Sequence[LogLine]) -> None:
        """Write lines; writing some of them again changes nothing.

        Raises:
            OutcomeUnknownError: Some may be written and some not; write them all again.
            StateError: The tables are not there, or not for this role.
            StatementError: One of the lines was refused.
        """
        with state_access():
            insert = await self.session.aprepare(self._insert)
            note = await self.session.aprepare(self._note)
        notes = self._fresh(lines)
        requests = self._requests(insert, note, lines, notes)
        await Pump(self.session, _IN_FLIGHT).arun(requests)
        now = time.monotonic()
        for one in notes:
            self._noted[one] = now
            self._noted.move_to_end(one)
        _shorten(self._noted, _NOTES_KEPT)

    async def read(
        self, query: LogQuery, offset: int = 0, limit: int | None = None
    ) -> list[LogLine]:
        """Return a page of lines.

        Who asks for the page behind one that was just returned gets what follows its last line.
        """
        if limit == 0:
            return []
        end = self._end_of(query, offset)
        skip = 0 if end is not None else offset
        found: list[LogLine] = []
        async for line in self._matching(query, end):
            if skip:
                skip -= 1
                continue
            found.append(line)
            if len(found) == limit:
                self._ends[query, offset + limit] = time.monotonic(), line.order
                _shorten(self._ends, _PLACES_KEPT)
                break
        return found

    async def delete_runs(self, runs: Iterable[UUID]) -> None:
        """Delete every line of these flow runs."""
        for run in runs:
            shelf = run_shelf(run)
            rows = await self._shelf(shelf, Reach())
            for bucket, _ in rows:
                await self.session.aexecute(_FORGET_LINES, [run, moment_of(bucket)])
                self._noted.pop((shelf, bucket, run), None)
            await self.session.aexecute(_FORGET_SHELF, [shelf])

    async def delete_tasks(self, tasks: Iterable[UUID]) -> None:
        """Delete every line of these task runs."""
        for task in tasks:
            shelf = task_shelf(task)
            for bucket, run in await self._shelf(shelf, Reach()):
                where = [run, moment_of(bucket)]
                result = await self.session.aexecute(_LINES, [*where, EARLIEST, LATEST])
                async for row in result:
                    if row["task_run_id"] == task:
                        key = [*where, row["at"], row["id"]]
                        await self.session.aexecute(_FORGET_LINE, key)
                self._noted.pop((shelf, bucket, run), None)
            await self.session.aexecute(_FORGET_SHELF, [shelf])

    # Writing.

    def _fresh(self, lines: Iterable[LogLine]) -> list[Note]:
        """Return the notes that lead to these lines and were not written lately."""
        due = time.monotonic() - _NOTED_FOR
        return [one for one in notes_of(lines) if self._noted.get(one, due) <= due]

    @staticmethod
    def _single(session: Session, prepared: Prepared, note: Note) -> Request:
        shelf, bucket, run = note
        return session.single(prepared, prepared.check([shelf, moment_of(bucket), run]))

    def _requests(
        self, insert: Prepared, note: Prepared, lines: Iterable[LogLine], notes: Iterable[Note]
    ) -> Iterator[Request]:
        """Make requests as they are wanted, in the thread that sends them."""
        for one in notes:
            yield self._single(self.session, note, one)
        for batch in pack(row_head(insert), lines):
            body = memoryview(b"".join(batch.rows))
            key = routing_key(batch.key)
            yield frame_request(self.session, insert, body, len(batch.rows), key)

    # Reading.

    def _end_of(self, query: LogQuery, offset: int) -> tuple[int, int] | None:
        """Return the place of the line before a page that begins at `offset`, if it is known."""
        known = self._ends.get((query, offset))
        if known is None or time.monotonic() - known[0] > _PLACE_STANDS:
            return None
        return known[1]

    async def _matching(
        self, query: LogQuery, end: tuple[int, int] | None
    ) -> AsyncIterator[LogLine]:
        matches = query.matcher()
        reach = query.reach().after(end, descending=query.descending)
        async for line in self._lines(reach, descending=query.descending):
            if end is not None and (line.order >= end if query.descending else line.order <= end):
                continue
            if matches(line):
                yield line

    async def _lines(self, reach: Reach, *, descending: bool) -> AsyncIterator[LogLine]:
        """Yield every line in reach, in order."""
        width = _FEWEST
        waiting: list[Group] = []
        async for group in self._groups(reach, descending=descending):
            waiting.append(group)
            if sum(len(runs) for _, runs in waiting) >= width:
                async for line in self._of_groups(waiting, reach, descending=descending):
                    yield line
                waiting, width = [], min(_MOST, 2 * width)
        async for line in self._of_groups(waiting, reach, descending=descending):
            yield line

    async def _of_groups(
        self, groups: Sequence[Group], reach: Reach, *, descending: bool
    ) -> AsyncIterator[LogLine]:
        """Ask all partitions of some buckets for their first rows, then yield bucket by bucket."""
        cql = _LINES + (_BACKWARDS if descending else "")
        room = asyncio.Semaphore(_IN_FLIGHT)

        async def ask(bucket: int, run: UUID, rows: int) -> Result:
            parameters = [run, moment_of(bucket), reach.first, reach.last]
            async with room:
                return await self.session.aexecute(cql, parameters, fetch_size=rows)

        answers = await asyncio.gather(
            *(
                asyncio.gather(*(ask(bucket, run, _page_of(len(runs))) for run in runs))
                for bucket, runs in groups
            )
        )
        for results in answers:
            async for line in _merged(results, descending=descending):
                yield line

    async def _groups(self, reach: Reach, *, descending: bool) -> AsyncIterator[Group]:
        """Yield the buckets in reach that may have lines, in order, with their flow runs."""
        if reach.runs is not None:
            shelves = [run_shelf(run) for run in reach.runs]
        elif reach.tasks is not None:
            shelves = [task_shelf(task) for task in reach.tasks]
        else:
            hours = await self._shelf(HOURS, reach, HOUR)
            for hour, _ in sorted(hours, reverse=descending):
                for group in _grouped(await self._shelf(hour_shelf(hour), reach), descending):
                    yield group
            return
        found = await asyncio.gather(*(self._shelf(shelf, reach) for shelf in shelves))
        places = {place for places in found for place in places}
        for group in _grouped(places, descending):
            yield group

    async def _shelf(
        self, shelf: str, reach: Reach, length: int | None = None
    ) -> list[tuple[int, UUID]]:
        """Return bucket and flow run of the notes on a shelf that are in reach."""
        first = bucket_of(reach.first, length) if length else bucket_of(reach.first)
        parameters = [shelf, moment_of(first), moment_of(reach.last // 1000 * 1000)]
        rows = await self.session.aexecute(_PLACES, parameters)
        return [(microseconds(row["bucket"]), row["flow_run_id"]) async for row in rows]


def _page_of(runs: int) -> int:
    return max(_FEWEST_ROWS, _ROWS_PER_PAGE // max(1, runs))


def _grouped(places: Iterable[tuple[int, UUID]], descending: bool) -> Iterator[Group]:  # noqa: FBT001 -- said at every call by a variable of that name
    ordered = sorted(places, reverse=descending)
    for bucket, group in groupby(ordered, key=lambda place: place[0]):
        yield bucket, tuple(run for _, run in group)


async def _merged(results: Sequence[Result], *, descending: bool) -> AsyncIterator[LogLine]:
    """Yield the lines of partitions that are each in order, all in order."""
    sign = -1 if descending else 1
    heap: list[tuple[tuple[int, int], int, LogLine]] = []
    streams = [aiter(result) for result in results]

    async def advance(number: int) -> None:
        row = await anext(streams[number], None)
        if row is not None:
            line = _line(row)
            at, arrival = line.order
            heapq.heappush(heap, ((sign * at, sign * arrival), number, line))

    for number in range(len(streams)):
        await advance(number)
    while heap:
        _, number, line = heapq.heappop(heap)
        yield line
        await advance(number)


def _line(row: Row) -> LogLine:
    run = row["flow_run_id"]
    return LogLine(
        id=row["id"],
        at=row["at"],
        level=row["level"],
        name=row["name"],
        message=row["message"],
        flow_run_id=None if run == NOBODY else run,
        task_run_id=row["task_run_id"],
    )


def _shorten(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
