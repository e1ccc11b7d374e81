"""Fetch what a weather service has that is new, and only that, into Cassandra.

HTTP API -> pandas -> Cassandra. How far each station was fetched is a cursor in the same keyspace.
It moves only after the rows before it are acknowledged, so what a run that dies in between leaves
undone is done by the next one: it fetches the same rows again and writes the same rows again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pandas as pd
from prefect import flow, get_run_logger, task, unmapped
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner

from flows.weather_api import api
from prefect_cassandra import CassandraCluster, LoadReport, load_table

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

# The airports that the flights leave from.
STATIONS = ["KEWR", "KJFK", "KLGA"]
TABLE = "weather_api.by_station_day"
READ_CURSOR = "SELECT position FROM weather_api.cursors WHERE station = ? LIMIT 1"
ADD_CURSOR = (
    "INSERT INTO weather_api.cursors (station, position, reached_at, observations, run_id) "
    "VALUES (?, ?, ?, ?, ?)"
)
RETRY_DELAYS = [5.0, 30.0]  # seconds

load = load_table.with_options(retries=2, retry_delay_seconds=RETRY_DELAYS)


def worth_a_retry(_task: object, _run: object, state: State[Any]) -> bool:
    """Say no to a payload that is wrong or a request that is refused: both would be so again."""
    try:
        state.result()
    except (api.PayloadError, httpx.HTTPStatusError):
        return False
    except Exception:  # noqa: BLE001 -- whatever else went wrong may pass
        return True
    return True


def newer_than(frame: pd.DataFrame, position: datetime | None) -> pd.DataFrame:
    """Return the rows after the cursor; a service may count its `start` in."""
    if position is None:
        return frame
    return frame[frame["observed_at"] > position]


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, cache_policy=NO_CACHE)
def read_cursor(cluster: CassandraCluster, station: str) -> datetime | None:
    """Return up to when a station was fetched, None when it never was."""
    row = cluster.fetch_one(READ_CURSOR, [station])
    return row[0] if row else None


@task(
    retries=2,
    retry_delay_seconds=RETRY_DELAYS,
    retry_condition_fn=worth_a_retry,
    cache_policy=NO_CACHE,
)
def fetch(service: str, station: str, after: datetime | None, page_size: int) -> pd.DataFrame:
    """Return the observations of a station after a moment, from all pages."""
    headers = {"User-Agent": "prefect-cassandra-example", "Accept": "application/geo+json"}
    with httpx.Client(base_url=service, headers=headers, timeout=30) as client:
        rows = [
            row
            for page in api.pages(client, station, after, page_size)
            for row in api.observations(page, station)
        ]
    frame = newer_than(api.as_frame(rows), after)
    get_run_logger().info("%s: %s new observations since %s", station, len(frame), after)
    return frame


@task(retries=2, retry_delay_seconds=RETRY_DELAYS, cache_policy=NO_CACHE)
def advance_cursor(
    cluster: CassandraCluster, station: str, frame: pd.DataFrame, report: LoadReport
) -> None:
    """Note that everything up to the newest row is in Cassandra, as the load's report says.

    Positions are added, never overwritten, and the highest one is read: an older run that comes
    late cannot move the cursor back.
    """
    if not report.rows:
        return
    now = datetime.now(UTC)
    reached_at = now.replace(microsecond=now.microsecond // 1000 * 1000)  # Cassandra keeps ms
    position = frame["observed_at"].max().to_pydatetime()
    run_id = UUID(flow_run.id) if flow_run.id else None
    cluster.execute(ADD_CURSOR, [station, position, reached_at, report.rows, run_id])


@flow(
    name="weather-api",
    task_runner=ThreadPoolTaskRunner(max_workers=4),  # type: ignore[arg-type]  # Prefect's is invariant
)
def weather_api(
    stations: list[str] = STATIONS,
    service: str = "https://api.weather.gov",
    cluster: str = "weather-api",
    page_size: int = 500,
) -> dict[str, int]:
    """Bring every station up to date.

    Args:
        stations: Identifiers of weather stations, four letters each.
        service: Address of the weather service.
        cluster: Name of the `CassandraCluster` block to write to.
        page_size: Observations to ask for at once; the service allows 500.

    Returns:
        New observations by station.
    """
    database = CassandraCluster.load(cluster)
    positions = read_cursor.map(unmapped(database), stations)
    frames = fetch.map(service, stations, positions, page_size)
    loads = load.map(unmapped(database), TABLE, frames)
    # Only a load that was acknowledged lets its cursor go on.
    cursors = advance_cursor.map(unmapped(database), stations, frames, loads)
    # Every station comes to its end before the first error, in the order of the stages, is raised.
    cursors.wait()
    for stage in (frames, loads, cursors):
        stage.result()
    return {station: len(frame) for station, frame in zip(stations, frames.result(), strict=True)}


if __name__ == "__main__":
    weather_api()
