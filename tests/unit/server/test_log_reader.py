from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import Log

from prefect_cassandra.cli.logs import text_of
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.server.log_reader import Position, since, turn

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)


def line(number: int, second: int) -> Log:
    return Log.model_validate(
        {
            "id": UUID(int=number),
            "name": "prefect.flow_runs",
            "level": 30,
            "message": f"line {number}",
            "timestamp": NOON + timedelta(seconds=second),
            "flow_run_id": UUID(int=1 << 100),
        }
    )


@given(st.lists(st.integers(0, 4), max_size=14), st.integers(1, 4))
def test_every_line_is_read_once_however_many_share_a_time(seconds: list[int], length: int) -> None:
    stored = [line(number, second) for number, second in enumerate(sorted(seconds))]
    read: list[Log] = []
    position: Position | None = Position()
    asked = 0
    while position is not None:
        after = position.after
        meant = [one for one in stored if after is None or one.timestamp >= after]
        page = meant[position.skip : position.skip + length]
        fresh, position = turn(position, page, length)
        read += fresh
        asked += 1
        assert asked <= 2 * len(stored) + 2
    assert read == stored


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800)]
)
def test_times_to_look_back(text: str, seconds: int) -> None:
    assert since(text, NOON) == NOON - timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "1", "h", "1 h", "-1h", "1w", "1.5h"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no time to look back"):
        since(text)


def test_a_line_for_people() -> None:
    shown = text_of(line(1, 1))
    assert shown == "2026-05-06 12:00:01.000000 WARNING  00000010 prefect.flow_runs | line 1"
