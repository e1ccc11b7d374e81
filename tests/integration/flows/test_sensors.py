"""One load in several flow runs: by the worker, on the real server, counted in Cassandra."""

from __future__ import annotations

import uuid
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from prefect import flow

from flows.sensors import series
from flows.sensors.load import START, sensor_series
from prefect_cassandra import Files, arun_parts, load_in_jobs, run_parts, unload_in_jobs
from prefect_cassandra.errors import PartFailedError
from support.prefect_server import DROPPED_SOCKETS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import RunningPrefect

    from prefect_cassandra.driver.session import Session

pytestmark = [pytest.mark.usefixtures("deployed"), pytest.mark.timeout(300), DROPPED_SOCKETS]

OTHER = date(2026, 2, 1)
# A part that fails as often as it is told to, and counts its tries.
PART = """
from pathlib import Path

from prefect import flow

from prefect_cassandra import report_part


@flow(name="{name}")
def part(folder: str, number: int, failures: int = 0) -> None:
    tries = Path(folder) / str(number)
    with tries.open("a") as file:
        file.write("x")
    if len(tries.read_text()) <= failures:
        raise RuntimeError(f"part {{number}} fails on purpose")
    report_part({{"number": number}})
"""
YAML = """
pull:
  - prefect.deployments.steps.set_working_directory:
      directory: {folder}
deployments:
  - name: part
    entrypoint: {folder}/part.py:part
    work_pool: {{name: local, work_queue_name: loads}}
"""


@pytest.fixture(scope="module")
def part(deployed: RunningPrefect, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Deploy a part of this run's own; return its deployment."""
    folder = tmp_path_factory.mktemp("part")
    name = f"part-{uuid.uuid4().hex[:8]}"
    (folder / "part.py").write_text(PART.format(name=name), encoding="utf-8")
    (folder / "prefect.yaml").write_text(YAML.format(folder=folder), encoding="utf-8")
    deployed.run("deploy", "--all", "--prefect-file", str(folder / "prefect.yaml"))
    return f"{name}/part"


def tries(folder: Path) -> dict[str, int]:
    return {one.name: len(one.read_text()) for one in sorted(folder.iterdir())}


def parameters(folder: Path, *failures: int) -> list[dict[str, Any]]:
    return [
        {"folder": str(folder), "number": number, "failures": each}
        for number, each in enumerate(failures)
    ]


def test_a_series_is_loaded_by_two_runs(superuser: Session) -> None:
    summary = sensor_series(sensors=3, days=1, jobs=2)
    assert summary["rows"] == 3 * series.MINUTES
    rows = superuser.execute("SELECT sensor, celsius FROM sensors.by_day").rows
    assert len(rows) == 3 * series.MINUTES
    (second,) = series.readings(1, 1, 1, START, 1)
    of_second = [row["celsius"] for row in rows if row["sensor"] == "sensor-000001"]
    assert of_second == second["celsius"].to_pylist()


def test_files_are_dealt_out_and_the_reports_added_up(superuser: Session, tmp_path: Path) -> None:
    for number, table in enumerate(series.readings(10, 4, 1, START, 1)):
        pa_csv.write_csv(table, tmp_path / f"{number}.csv")

    @flow
    def work() -> Any:
        return load_in_jobs(
            "load-part/load-part",
            cluster="sensors",
            table="sensors.by_day",
            files=Files(str(tmp_path)),
            jobs=2,
        )

    report = work()
    assert (report.table, report.rows) == ("sensors.by_day", 4 * series.MINUTES)
    query = "SELECT COUNT(*) AS n FROM sensors.by_day WHERE sensor = 'sensor-000013' AND day = ?"
    assert superuser.execute(query, [START]).rows == [{"n": series.MINUTES}]


def test_a_table_is_unloaded_by_two_runs(tmp_path: Path) -> None:
    sensor_series(sensors=2, days=1, jobs=1, start=OTHER)
    reports: list[Any] = []

    # The parent runs again after the manifest was written, and gets the same answer.
    @flow(retries=1)
    def work() -> None:
        reports.append(
            unload_in_jobs(
                "unload-part/unload-part",
                cluster="sensors",
                table="sensors.by_day",
                url=str(tmp_path / "out"),
                jobs=2,
                options={"splits": 4},
            )
        )
        if len(reports) == 1:
            raise RuntimeError("after the unload")

    work()
    report, again = reports
    table = pq.read_table([*(tmp_path / "out").glob("*.parquet")])
    assert report.rows == again.rows == table.num_rows
    assert table.filter(pc.field("day") == OTHER).num_rows == 2 * series.MINUTES
    assert report.files == again.resumed == len([*(tmp_path / "out").glob("*.parquet")])


def test_a_flow_spreads_two_pieces_of_work(part: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    @flow
    def work() -> None:
        run_parts(part, parameters(first, 0), poll=0.2)
        run_parts(part, parameters(second, 0), poll=0.2)

    work()
    assert tries(first) == tries(second) == {"0": 1}


def test_a_part_that_fails_is_started_again_by_itself(part: str, tmp_path: Path) -> None:
    @flow
    def work() -> list[dict[str, Any]]:
        return run_parts(part, parameters(tmp_path, 0, 1, 0), poll=0.2)

    assert work() == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert tries(tmp_path) == {"0": 1, "1": 2, "2": 1}


def test_a_parent_that_is_started_again_repeats_only_what_is_not_done(
    part: str, tmp_path: Path
) -> None:
    @flow(retries=1)
    def work() -> list[dict[str, Any]]:
        return run_parts(part, parameters(tmp_path, 0, 2), retries=1, poll=0.2)

    assert work() == [{"number": 0}, {"number": 1}]
    assert tries(tmp_path) == {"0": 1, "1": 3}


async def test_an_asynchronous_flow_waits_for_parts_too(part: str, tmp_path: Path) -> None:
    @flow
    async def work() -> list[dict[str, Any]]:
        return await arun_parts(part, parameters(tmp_path, 0), poll=0.2)

    assert await work() == [{"number": 0}]


def test_a_part_that_fails_too_often_is_named(part: str, tmp_path: Path) -> None:
    @flow
    def work() -> object:
        return run_parts(part, parameters(tmp_path, 0, 9), retries=0, poll=0.2)

    with pytest.raises(PartFailedError, match=r"Part 1 .* failed 1 times.*on purpose"):
        work()
