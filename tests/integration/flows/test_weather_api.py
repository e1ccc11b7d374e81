"""The weather flow against a real HTTP server: all, then only what is new, come what may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from flows.weather_api import api, observations
from flows.weather_api.observations import weather_api
from support.http_server import Answer, Asked, LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.driver.session import Session

pytestmark = pytest.mark.usefixtures("deployed")

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class WeatherService:
    """Stations with hourly observations, served newest first and page by page."""

    def __init__(self) -> None:
        self.hours: dict[str, int] = {}
        self.failures: list[Answer] = []
        self.url = ""

    def answer(self, asked: Asked) -> Answer:
        if self.failures:
            return self.failures.pop(0)
        station = asked.path.split("/")[2]
        times = [START + hour * HOUR for hour in reversed(range(self.hours.get(station, 0)))]
        if since := asked.query.get("start"):
            times = [at for at in times if at >= datetime.fromisoformat(since)]
        skip, limit = int(asked.query.get("skip", 0)), int(asked.query["limit"])
        page: dict[str, Any] = {"features": [self.feature(at) for at in times[skip : skip + limit]]}
        if skip + limit < len(times):
            rest = f"{asked.path}?limit={limit}&skip={skip + limit}"
            rest += f"&start={since}".replace("+", "%2B") if since else ""
            page["pagination"] = {"next": f"{self.url}{rest}"}
        return Answer(body=page)

    @staticmethod
    def feature(at: datetime) -> dict[str, Any]:
        temperature = {"value": float(at.hour), "unitCode": "wmoUnit:degC"}
        wind = {"value": None, "unitCode": "wmoUnit:km_h-1"}
        properties = {"timestamp": at.isoformat(), "temperature": temperature, "windSpeed": wind}
        return {"type": "Feature", "properties": properties}


@pytest.fixture
def service() -> Iterator[tuple[WeatherService, LoopbackServer]]:
    weather = WeatherService()
    with LoopbackServer(weather.answer) as server:
        weather.url = server.url
        yield weather, server


@pytest.fixture
def station(keyspace: str) -> str:
    """Return a station of this test's own."""
    return f"T{keyspace[-12:]}"


def update(server: LoopbackServer, *stations: str) -> dict[str, int]:
    return weather_api(stations=list(stations), service=server.url, page_size=3)


def stored(superuser: Session, station: str) -> list[datetime]:
    """Return the moments in Cassandra, oldest first."""
    return sorted(
        row["observed_at"].replace(tzinfo=UTC)
        for day in (START.date(), (START + 24 * HOUR).date())
        for row in superuser.execute(
            "SELECT observed_at FROM weather_api.by_station_day WHERE station = ? AND day = ?",
            [station, day],
        )
    )


def cursor(superuser: Session, station: str) -> datetime | None:
    row = superuser.execute(observations.READ_CURSOR, [station]).one()
    return row["position"].replace(tzinfo=UTC) if row else None


def test_the_first_run_fetches_all_and_the_second_only_what_is_new(
    service: tuple[WeatherService, LoopbackServer], station: str, superuser: Session
) -> None:
    weather, server = service
    weather.hours[station] = 5
    assert update(server, station) == {station: 5}
    assert [asked.query for asked in server.asked] == [
        {"limit": "3"},
        {"limit": "3", "skip": "3"},
    ]
    assert stored(superuser, station) == [START + hour * HOUR for hour in range(5)]
    assert cursor(superuser, station) == START + 4 * HOUR

    server.asked.clear()
    weather.hours[station] = 7
    assert update(server, station) == {station: 2}
    # The service counts the start in, so three rows come and the known one is left out.
    assert [asked.query for asked in server.asked] == [
        {"limit": "3", "start": (START + 4 * HOUR).isoformat()}
    ]
    assert stored(superuser, station) == [START + hour * HOUR for hour in range(7)]
    assert cursor(superuser, station) == START + 6 * HOUR


def test_a_run_without_anything_new_changes_nothing(
    service: tuple[WeatherService, LoopbackServer], station: str, superuser: Session
) -> None:
    weather, server = service
    weather.hours[station] = 2
    update(server, station)
    assert update(server, station) == {station: 0}
    assert cursor(superuser, station) == START + HOUR


def test_values_arrive_and_missing_ones_stay_missing(
    service: tuple[WeatherService, LoopbackServer], station: str, superuser: Session
) -> None:
    weather, server = service
    weather.hours[station] = 1
    update(server, station)
    row = superuser.execute(
        "SELECT temperature_c, wind_speed_kmh, description FROM weather_api.by_station_day "
        "WHERE station = ? AND day = ?",
        [station, START.date()],
    ).one()
    assert row == {"temperature_c": 22.0, "wind_speed_kmh": None, "description": None}


def test_a_busy_service_is_waited_for(
    service: tuple[WeatherService, LoopbackServer], station: str, superuser: Session
) -> None:
    weather, server = service
    weather.hours[station] = 1
    weather.failures = [
        Answer(429, {}, {"Retry-After": "0"}),
        Answer(503, b"", {"Retry-After": "0"}),
    ]
    assert update(server, station) == {station: 1}
    assert len(server.asked) == 3
    assert stored(superuser, station) == [START]


def test_a_malformed_answer_ends_the_run_once_and_moves_no_cursor(
    service: tuple[WeatherService, LoopbackServer], station: str, superuser: Session
) -> None:
    weather, server = service
    weather.failures = [Answer(body={"features": [{"properties": {}}]})]
    with pytest.raises(api.PayloadError, match=f"{station}, observation 0: KeyError: 'timestamp'"):
        update(server, station)
    assert len(server.asked) == 1
    assert cursor(superuser, station) is None


def test_a_crash_between_load_and_cursor_is_mended_by_the_next_run(
    service: tuple[WeatherService, LoopbackServer],
    station: str,
    superuser: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weather, server = service
    weather.hours[station] = 2

    def die(*_: object, **__: object) -> None:
        raise RuntimeError("the process died here")

    with monkeypatch.context() as patched:
        dying = observations.advance_cursor.with_options(retries=0)
        dying.fn = die
        patched.setattr(observations, "advance_cursor", dying)
        with pytest.raises(RuntimeError, match="died here"):
            update(server, station)
    assert stored(superuser, station) == [START, START + HOUR]
    assert cursor(superuser, station) is None

    server.asked.clear()
    assert update(server, station) == {station: 2}
    assert "start" not in server.asked[0].query
    assert stored(superuser, station) == [START, START + HOUR]
    assert cursor(superuser, station) == START + HOUR


def test_a_slow_older_run_cannot_put_the_cursor_back(
    service: tuple[WeatherService, LoopbackServer], station: str, superuser: Session
) -> None:
    weather, server = service
    weather.hours[station] = 5
    update(server, station)
    superuser.execute(observations.ADD_CURSOR, [station, START, START, 1, None], idempotent=True)
    assert cursor(superuser, station) == START + 4 * HOUR


def test_a_station_that_fails_does_not_hold_up_the_others(
    service: tuple[WeatherService, LoopbackServer], station: str, superuser: Session
) -> None:
    weather, server = service
    broken = f"{station}X"
    weather.hours[station] = 2
    served = weather.answer

    def answer(asked: Asked) -> Answer:
        return Answer(404, {}) if asked.path.split("/")[2] == broken else served(asked)

    server.answer = answer
    with pytest.raises(Exception, match="404"):
        update(server, broken, station)
    assert stored(superuser, station) == [START, START + HOUR]
    assert cursor(superuser, station) == START + HOUR
    assert cursor(superuser, broken) is None
