"""One month of the real flights, through Prefect into Cassandra, counted and compared there."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from flows.flights import source
from flows.flights.load import flights
from support.waiting import eventually

if TYPE_CHECKING:
    from tests.integration.conftest import RunningPrefect

    from prefect_cassandra.driver.session import Session

pytestmark = [pytest.mark.usefixtures("deployed"), pytest.mark.timeout(300)]

# February 2013, the shortest month; 446 of its flights have no tail number.
NAMELESS = 446
FEBRUARY = {
    "by_origin_day": 24_951,
    "by_tailnum": 24_951 - NAMELESS,
    "weather_by_origin_day": 2_010,
    "delays_by_carrier_month": 15,
    "planes": 3_322,
    "airports": 1_458,
    "airlines": 16,
}
FEBRUARY_ONLY = {
    **dict.fromkeys(
        ("by_origin_day", "by_tailnum", "weather_by_origin_day"),
        "WHERE day >= '2013-02-01' AND day <= '2013-02-28' ALLOW FILTERING",
    ),
    "delays_by_carrier_month": "WHERE month = 2 ALLOW FILTERING",
}


@pytest.fixture(scope="module")
def summaries(deployed: object) -> list[dict[str, dict[str, Any]]]:  # noqa: ARG001 -- makes the tables and the block
    """Load February twice, as after a run that was killed and retried; give both summaries."""
    return [
        {line["table"].removeprefix("flights."): line for line in flights(months=[2])}
        for _ in range(2)
    ]


def artifact(key: str) -> list[dict[str, Any]]:
    """Return the newest table artifact of a key."""
    with get_client(sync_client=True) as client:
        body = {
            "artifacts": ArtifactFilter(key=ArtifactFilterKey(any_=[key])).model_dump(mode="json"),
            "sort": "CREATED_DESC",
            "limit": 1,
        }
        (found,) = client.request("POST", "/artifacts/filter", json=body).json()
    data = found["data"]
    table: list[dict[str, Any]] = json.loads(data) if isinstance(data, str) else data
    return table


@pytest.mark.parametrize("table", FEBRUARY)
def test_every_row_is_in_cassandra_once(
    table: str, summaries: list[dict[str, dict[str, Any]]], superuser: Session
) -> None:
    where = FEBRUARY_ONLY.get(table, "")
    counted = superuser.execute(
        f"SELECT count(*) AS rows FROM flights.{table} {where}",  # noqa: S608 -- names of ours
        timeout=60,
    ).one()
    assert counted == {"rows": FEBRUARY[table]}
    for summary in summaries:
        line = summary[table]
        assert line["loaded"] == FEBRUARY[table]
        assert line["merged"] == 0
        assert line["rejected"] == (NAMELESS if table == "by_tailnum" else 0)
        assert line["source"] == line["loaded"] + line["rejected"]


def test_the_summary_is_an_artifact(summaries: list[dict[str, dict[str, Any]]]) -> None:
    assert artifact("flights-load") == list(summaries[1].values())


def test_every_flight_that_a_table_cannot_hold_is_named(
    summaries: list[dict[str, dict[str, Any]]],
) -> None:
    assert summaries
    month = source.month_of(source.read_flights(source.data_folder()), 2)
    named = artifact("flights-rejected")
    assert len(named) == NAMELESS
    assert named == source.without_tailnum(month)


@pytest.mark.usefixtures("summaries")
def test_a_day_is_in_the_order_of_the_timetable_with_all_its_values(superuser: Session) -> None:
    rows = superuser.execute(
        "SELECT * FROM flights.by_origin_day WHERE origin = ? AND day = ?",
        ["JFK", date(2013, 2, 8)],
    ).rows
    times = [row["sched_dep_time"] for row in rows]
    assert times == sorted(times)
    month = source.month_of(source.read_flights(source.data_folder()), 2).to_pylist()
    expected = [row for row in month if row["origin"] == "JFK" and row["day"] == date(2013, 2, 8)]
    # A snowstorm: cancelled flights have no departure, and missing is missing, not 0.
    assert sum(row["dep_time"] is None for row in rows) > 100
    key = ("sched_dep_time", "carrier", "flight")
    found = [{**row, "sched_departure": as_utc(row["sched_departure"])} for row in rows]
    assert [{name: as_plain(value) for name, value in row.items()} for row in found] == sorted(
        ({name: row[name] for name in rows[0]} for row in expected),
        key=lambda row: [row[name] for name in key],
    )


def as_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def as_plain(value: object) -> object:
    """Return the driver's own date as Python's."""
    to_date = getattr(value, "date", None)
    return to_date() if to_date and not isinstance(value, datetime) else value


@pytest.mark.usefixtures("summaries")
def test_delays_in_cassandra_are_those_of_the_flights_in_cassandra(superuser: Session) -> None:
    flown = superuser.execute(
        "SELECT dep_delay FROM flights.by_origin_day WHERE carrier = ? "
        "AND day >= ? AND day <= ? ALLOW FILTERING",
        ["HA", date(2013, 2, 1), date(2013, 2, 28)],
        timeout=60,
    ).rows
    delays = [row["dep_delay"] for row in flown if row["dep_delay"] is not None]
    stored = superuser.execute(
        "SELECT * FROM flights.delays_by_carrier_month "
        "WHERE carrier = ? AND year = ? AND month = ?",
        ["HA", 2013, 2],
    ).one()
    assert stored is not None
    assert (stored["flights"], stored["cancelled"]) == (len(flown), len(flown) - len(delays))
    assert stored["mean_dep_delay"] == pytest.approx(sum(delays) / len(delays))


MARCH = {"by_origin_day": 28_834, "by_tailnum": 28_834 - 240, "weather_by_origin_day": 2_227}


def test_a_run_killed_in_mid_load_and_retried_ends_with_exact_counts(
    deployed: RunningPrefect, superuser: Session
) -> None:
    run = run_deployment("flights/flights", parameters={"months": [3]}, timeout=0)
    assert isinstance(run, FlowRun)
    eventually(lambda: is_loading(run, "flights.by_tailnum"), within=120)
    os.kill(int((now(run).infrastructure_pid or "").split(":")[-1]), signal.SIGKILL)
    eventually(lambda: ended(run), within=60)
    assert ended(run) == "CRASHED"
    assert counted(superuser, "by_tailnum", 3) < MARCH["by_tailnum"]

    deployed.run("flow-run", "retry", str(run.id))
    eventually(lambda: ended(run) == "COMPLETED", within=180)
    assert {table: counted(superuser, table, 3) for table in MARCH} == MARCH


def now(run: FlowRun) -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run.id)


def ended(run: FlowRun) -> str:
    """Return the type of the state a run ended in, nothing while it goes on."""
    state = now(run).state
    return state.type.value if state is not None and state.is_final() else ""


def is_loading(run: FlowRun, table: str) -> bool:
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        )
    return any(task.name == f"load {table}" and task.state_name == "Running" for task in tasks)


def counted(superuser: Session, table: str, month: int) -> int:
    """Count the rows of one month of 2013 in a table with a column `day`."""
    row = superuser.execute(
        f"SELECT count(*) AS rows FROM flights.{table} "  # noqa: S608 -- names of ours
        "WHERE day >= ? AND day < ? ALLOW FILTERING",
        [date(2013, month, 1), date(2013, month + 1, 1)],
        timeout=60,
    ).one()
    assert row is not None
    return int(row["rows"])
