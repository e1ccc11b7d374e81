from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.server.logs.stream import log_matches_filter
from prefect.server.schemas.core import Log
from prefect.server.schemas.filters import LogFilter
from prefect.server.schemas.sorting import LogSort

from prefect_cassandra.server.log_service import as_log, query_of
from prefect_cassandra.state.log_query import LineIds, LogLine, LogQuery, microseconds

RUN, OTHER, TASK = (UUID(int=n) for n in (1, 2, 3))
NOON = microseconds(datetime(2026, 5, 6, 12, tzinfo=UTC))

lines = st.builds(
    LogLine,
    id=st.builds(LineIds().make),
    at=st.integers(NOON - 2, NOON + 2),
    level=st.sampled_from([10, 20, 30]),
    name=st.sampled_from(["prefect.flow_runs", "other"]),
    message=st.text('aAbB "\\-+x', max_size=12),
    flow_run_id=st.sampled_from([None, RUN, OTHER]),
    task_run_id=st.sampled_from([None, TASK]),
)
moments = st.none() | st.integers(NOON - 2, NOON + 2).map(
    lambda at: datetime.fromtimestamp(at / 1e6, tz=UTC)
)
levels = st.none() | st.sampled_from([10, 20, 30])


def given_or_not(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.fixed_dictionaries(fields)


filters = st.fixed_dictionaries(
    {
        "level": given_or_not(ge_=levels, le_=levels),
        "timestamp": given_or_not(before_=moments, after_=moments),
        "flow_run_id": given_or_not(any_=st.none() | st.lists(st.sampled_from([RUN, OTHER]))),
        "task_run_id": given_or_not(
            any_=st.none() | st.lists(st.just(TASK)), is_null_=st.none() | st.booleans()
        ),
    }
)


@given(lines, filters)
def test_a_filter_means_what_it_means_to_prefects_own_stream(
    line: LogLine, fields: dict[str, Any]
) -> None:
    wanted = LogFilter.model_validate(fields)
    ours = query_of(wanted, LogSort.TIMESTAMP_ASC).matcher()(line)
    assert ours == log_matches_filter(as_log(line), wanted)


@given(lines, st.text('abAB "\\-+!x', max_size=12))
def test_text_is_searched_as_prefect_searches_it(line: LogLine, text: str) -> None:
    wanted = LogFilter.model_validate({"text": {"query": text}})
    assert wanted.text is not None
    ours = query_of(wanted, LogSort.TIMESTAMP_ASC).matcher()(line)
    assert ours == wanted.text.includes(as_log(line))


def test_no_filter_is_every_line_and_the_order_is_taken_over() -> None:
    assert query_of(None, LogSort.TIMESTAMP_ASC) == LogQuery()
    assert query_of(None, LogSort.TIMESTAMP_DESC) == LogQuery(descending=True)
    assert query_of(LogFilter(), LogSort.TIMESTAMP_ASC) == LogQuery()
    either = LogFilter.model_validate({"operator": "or_"})
    assert query_of(either, LogSort.TIMESTAMP_ASC) == LogQuery(any_of=True)


def test_a_line_is_shown_as_prefect_shows_one() -> None:
    line = LogLine(LineIds().make(), NOON + 1, 20, "n", "m", RUN, TASK)
    shown = as_log(line).model_dump(mode="json")
    assert set(shown) == set(Log.model_fields)
    assert shown["timestamp"] == "2026-05-06T12:00:00.000001Z"
    assert shown["flow_run_id"] == str(RUN)
    assert shown["created"] == shown["updated"]


@pytest.mark.parametrize("operator", ["and_", "or_"])
def test_equal_questions_are_equal_so_that_their_pages_are_found(operator: str) -> None:
    asked = {"flow_run_id": {"any_": [RUN, OTHER]}, "operator": operator}
    turned = {"flow_run_id": {"any_": [OTHER, RUN]}, "operator": operator}
    one, two = (
        query_of(LogFilter.model_validate(fields), LogSort.TIMESTAMP_ASC)
        for fields in (asked, turned)
    )
    assert one == two
    assert hash(one) == hash(two)
