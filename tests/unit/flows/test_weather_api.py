"""The weather client: pages, patience, and payloads that are not what they promise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

from flows.weather_api import api, observations

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def feature(at: datetime, **changes: Any) -> dict[str, Any]:
    properties = {
        "timestamp": at.isoformat(),
        "textDescription": "Clear",
        "temperature": {"value": 12.5, "unitCode": "wmoUnit:degC"},
        "windSpeed": {"value": None, "unitCode": "wmoUnit:km_h-1"},
    }
    return {"properties": properties | changes}


def client(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://weather.test", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("86400", api.LONGEST_PAUSE),
        ("Sat, 21 Nov 2026 12:00:07 GMT", 7.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_honoured_within_reason(retry_after: str, seconds: float) -> None:
    assert api.pause_before(1, retry_after, NOW) == seconds


@pytest.mark.parametrize("retry_after", [None, "soon", "-1", "Sat, 21 Nov 2026 12:00:07"])
def test_without_a_usable_retry_after_the_pause_grows_and_stays_bounded(
    retry_after: str | None,
) -> None:
    for attempt, most in ((1, 1.0), (2, 2.0), (4, 8.0), (20, api.LONGEST_PAUSE)):
        pauses = [api.pause_before(attempt, retry_after, NOW) for _ in range(50)]
        assert all(0 <= pause <= most for pause in pauses)
        assert len(set(pauses)) > 1


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(api.time, "sleep", slept.append)
    return slept


@pytest.mark.parametrize("status", sorted(api.BUSY))
def test_a_busy_service_is_asked_again(status: int, pauses: list[float]) -> None:
    answers = iter(
        [httpx.Response(status, headers={"Retry-After": "2"}), httpx.Response(200, json=1)]
    )
    assert api.get_json(client(lambda _: next(answers)), "/x") == 1
    assert pauses == [2.0]


def test_a_broken_connection_is_tried_again(pauses: list[float]) -> None:
    def refuse_once(_request: httpx.Request) -> httpx.Response:
        if not pauses:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"features": []})

    assert api.get_json(client(refuse_once), "/x") == {"features": []}
    assert len(pauses) == 1


def test_a_service_that_stays_busy_is_given_up(pauses: list[float]) -> None:
    with pytest.raises(api.ServiceBusyError, match=r"/x: no answer after 3 attempts.*HTTP 503"):
        api.get_json(client(lambda _: httpx.Response(503)), "/x", attempts=3)
    assert len(pauses) == 2  # nobody waits after the last attempt


def test_a_refusal_is_not_tried_again(pauses: list[float]) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        api.get_json(client(lambda _: httpx.Response(404)), "/x")
    assert pauses == []


def test_an_answer_that_is_not_json_is_a_payload_error() -> None:
    with pytest.raises(api.PayloadError, match="not JSON"):
        api.get_json(client(lambda _: httpx.Response(200, text="<html>")), "/x")


def test_pages_are_followed_to_the_end() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        if "cursor=2" in str(request.url):
            return httpx.Response(200, json={"features": [feature(NOW)]})
        following = "http://weather.test/stations/KJFK/observations?cursor=2"
        page = {"features": [feature(NOW)], "pagination": {"next": following}}
        return httpx.Response(200, json=page)

    with client(answer) as connection:
        found = list(api.pages(connection, "KJFK", NOW, 100))
    assert len(found) == 2
    assert len(seen) == 2
    assert "limit=100" in seen[0]
    assert "start=2026-11-21T12%3A00%3A00%2B00%3A00" in seen[0]


def test_an_empty_page_is_the_last_one_whatever_it_says() -> None:
    page = {"features": [], "pagination": {"next": "http://weather.test/again"}}
    with client(lambda _: httpx.Response(200, json=page)) as connection:
        assert len(list(api.pages(connection, "KJFK", None, 100))) == 1


@pytest.mark.parametrize(
    "following", ["http://elsewhere.test/x", "https://weather.test/x", "http://weather.test:81/x"]
)
def test_a_page_on_another_server_is_not_followed(following: str) -> None:
    page = {"features": [feature(NOW)], "pagination": {"next": following}}
    with (
        client(lambda _: httpx.Response(200, json=page)) as connection,
        pytest.raises(api.PayloadError, match="another server"),
    ):
        list(api.pages(connection, "KJFK", None, 100))


def test_pages_without_an_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MOST_PAGES", 3)
    page = {"features": [feature(NOW)], "pagination": {"next": "/again"}}
    with (
        client(lambda _: httpx.Response(200, json=page)) as connection,
        pytest.raises(api.PayloadError, match="more than 3 pages"),
    ):
        list(api.pages(connection, "KJFK", None, 100))


def test_an_observation_becomes_a_row_in_utc() -> None:
    evening = feature(NOW, timestamp="2026-11-20T23:30:00-05:00")
    (row,) = api.observations({"features": [evening]}, "KJFK")
    assert row["observed_at"] == datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
    assert row["day"].isoformat() == "2026-11-21"
    assert row["temperature_c"] == 12.5
    assert row["wind_speed_kmh"] is None
    assert row["pressure_pa"] is None


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ([], "no list called `features`"),
        ({"items": []}, "no list called `features`"),
        ({"features": {}}, "no list called `features`"),
        ({"features": [{}]}, "KJFK, observation 0: KeyError: 'properties'"),
        ({"features": ["x"]}, "KJFK, observation 0"),
        ({"features": [feature(NOW), {"properties": {}}]}, "observation 1: KeyError: 'timestamp'"),
        ({"features": [feature(NOW, timestamp=None)]}, "observation 0"),
        ({"features": [feature(NOW, timestamp="yesterday")]}, "observation 0: ValueError"),
        ({"features": [feature(NOW, timestamp="2026-11-21T12:00:00")]}, "has no time zone"),
        (
            {"features": [feature(NOW, temperature={"value": 54, "unitCode": "wmoUnit:degF"})]},
            "temperature: the unit is wmoUnit:degF, not wmoUnit:degC",
        ),
        ({"features": [feature(NOW, temperature=54)]}, "observation 0: TypeError"),
        ({"features": [feature(NOW, temperature={"unitCode": "x"})]}, "KeyError: 'value'"),
        (
            {"features": [feature(NOW, temperature={"value": "hot", "unitCode": "wmoUnit:degC"})]},
            "observation 0: ValueError",
        ),
    ],
)
def test_a_malformed_payload_says_what_and_where(page: Any, message: str) -> None:
    with pytest.raises(api.PayloadError) as caught:
        api.observations(page, "KJFK")
    assert message in str(caught.value)


def test_missing_measures_are_missing_in_the_frame() -> None:
    frame = api.as_frame(api.observations({"features": [feature(NOW)]}, "KJFK"))
    assert frame["wind_speed_kmh"].isna().all()
    assert frame["wind_speed_kmh"].dtype == "Float64"
    assert str(frame["observed_at"].dt.tz) == "UTC"


def test_no_rows_make_an_empty_frame_of_the_same_columns() -> None:
    full = api.as_frame(api.observations({"features": [feature(NOW)]}, "KJFK"))
    assert list(api.as_frame([]).columns) == list(full.columns)


def test_only_rows_after_the_cursor_are_new() -> None:
    times = [NOW - timedelta(hours=1), NOW, NOW + timedelta(hours=1)]
    frame = pd.DataFrame({"observed_at": pd.to_datetime(times, utc=True)})
    assert len(observations.newer_than(frame, NOW)) == 1
    assert len(observations.newer_than(frame, None)) == 3
