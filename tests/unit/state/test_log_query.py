from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.state.log_query import (
    BUCKET,
    EARLIEST,
    HOUR,
    LATEST,
    Levels,
    LineIds,
    LogLine,
    LogQuery,
    Runs,
    Tasks,
    Times,
    Words,
    bucket_of,
    microseconds,
    moment_of,
)
from support.logs import page

RUNS = [UUID(int=n) for n in (1, 2, 3)]
TASKS = [UUID(int=n) for n in (11, 12)]
NOON = microseconds(datetime(2026, 5, 6, 12, tzinfo=UTC))


def a_line(**changes: Any) -> LogLine:
    values: dict[str, Any] = {
        "id": UUID(int=99),
        "at": NOON,
        "level": 20,
        "name": "prefect.flow_runs",
        "message": "Black flag ahead, Captain!",
        "flow_run_id": RUNS[0],
    }
    return LogLine(**(values | changes))


times = st.integers(EARLIEST, LATEST)
lines = st.builds(
    LogLine,
    id=st.uuids(),
    at=st.one_of(times, st.integers(NOON, NOON + 3 * BUCKET)),
    level=st.sampled_from([10, 20, 30, 40]),
    name=st.sampled_from(["a", "b"]),
    message=st.sampled_from(["one", "two", "one two"]),
    flow_run_id=st.sampled_from([None, *RUNS]),
    task_run_id=st.sampled_from([None, *TASKS]),
)
bounds = st.sampled_from([None, 10, 20, 30])
queries = st.builds(
    LogQuery,
    levels=st.none() | st.builds(Levels, bounds, bounds),
    times=st.none() | st.builds(Times, times, times),
    runs=st.none() | st.builds(Runs, st.none() | st.frozensets(st.sampled_from(RUNS))),
    tasks=st.none()
    | st.builds(
        Tasks,
        st.none() | st.frozensets(st.sampled_from(TASKS)),
        st.sampled_from([None, True, False]),
    ),
    words=st.none() | st.builds(Words, st.sampled_from([(), ("ONE",), ("two", "x")])),
    any_of=st.booleans(),
    descending=st.booleans(),
)


@given(times, st.sampled_from([BUCKET, HOUR]))
def test_a_bucket_holds_its_times_and_can_be_said(at: int, length: int) -> None:
    start = bucket_of(at, length)
    assert start <= at < start + length
    assert start % length == 0
    assert microseconds(moment_of(start)) == start


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=-5)))))
def test_times_are_exact_to_the_microsecond(moment: datetime) -> None:
    if EARLIEST <= microseconds(moment) <= LATEST:
        assert moment_of(microseconds(moment)) == moment


@given(lines, queries)
def test_whatever_matches_is_in_reach(line: LogLine, query: LogQuery) -> None:
    if not query.matcher()(line):
        return
    reach = query.reach()
    assert reach.first <= line.at <= reach.last
    assert reach.runs is None or line.flow_run_id in reach.runs
    assert reach.tasks is None or line.task_run_id in reach.tasks


@given(st.lists(lines, max_size=12), queries, st.integers(0, 5))
def test_pages_put_together_are_the_whole(
    some: list[LogLine], query: LogQuery, length: int
) -> None:
    whole = page(some, query)
    assert all(
        (a.order >= b.order) if query.descending else (a.order <= b.order)
        for a, b in pairwise(whole)
    )
    if length:
        pages = [page(some, query, offset, length) for offset in range(0, 15, length)]
        assert [line for one in pages for line in one] == whole


@given(line=lines, descending=st.booleans())
def test_what_follows_a_line_is_left_in_reach(line: LogLine, *, descending: bool) -> None:
    left = LogQuery().reach().after(line.order, descending=descending)
    assert (left.last if descending else left.first) == line.at


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        (LogQuery(), True),
        (LogQuery(levels=Levels()), True),
        (LogQuery(levels=Levels(20, 20)), True),
        (LogQuery(levels=Levels(21)), False),
        (LogQuery(levels=Levels(None, 19)), False),
        (LogQuery(times=Times(NOON, NOON)), True),
        (LogQuery(times=Times(NOON + 1)), False),
        (LogQuery(times=Times(last=NOON - 1)), False),
        (LogQuery(runs=Runs(frozenset())), False),
        (LogQuery(runs=Runs(frozenset(RUNS))), True),
        (LogQuery(tasks=Tasks(missing=True)), True),
        (LogQuery(tasks=Tasks(missing=False)), False),
        (LogQuery(tasks=Tasks(frozenset(TASKS))), False),
        (LogQuery(words=Words(include=("captain", "x"))), True),
        (LogQuery(words=Words(include=("x",))), False),
        (LogQuery(words=Words(include=("FLOW_runs",))), True),
        (LogQuery(words=Words(exclude=("flag",))), False),
        (LogQuery(words=Words(require=("flag", "black"))), True),
        (LogQuery(words=Words(require=("flag", "white"))), False),
        (LogQuery(levels=Levels(50), runs=Runs(frozenset(RUNS))), False),
        (LogQuery(levels=Levels(50), runs=Runs(frozenset(RUNS)), any_of=True), True),
        (LogQuery(levels=Levels(50), words=Words(("x",), ("y",)), any_of=True), True),
        (LogQuery(any_of=True), True),
    ],
)
def test_criteria(query: LogQuery, *, holds: bool) -> None:
    assert query.matcher()(a_line()) is holds


def test_ids_rise_when_the_clock_stands_or_goes_back_and_tell_the_time() -> None:
    clock = iter([1000.0, 1000.0, 999.0, 1000.001, 1000.5])
    ids = LineIds(lambda: next(clock))
    made = [ids.make() for _ in range(5)]
    assert [one.int for one in made] == sorted({one.int for one in made})
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {uuid.RFC_4122}
    taken = [a_line(id=one).taken.timestamp() for one in made]
    assert taken == [1000.0, 1000.0, 1000.0, 1000.001, 1000.5]


def test_ids_stay_unique_and_in_order_when_a_millisecond_is_full() -> None:
    ids = LineIds(lambda: 5.0)
    first = ids.make()
    ids._count = (1 << 26) - 2
    made = [first, *(ids.make() for _ in range(3))]
    assert [one.int for one in made] == sorted({one.int for one in made})
    assert len({one.int & (1 << 48) - 1 for one in made}) == 1
