"""A flow run that is killed in the middle of a load, and what becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.local import prefect_services
from prefect_cassandra.local.demo import Source
from prefect_cassandra.reads.scan import count_rows
from support.waiting import eventually

if TYPE_CHECKING:
    from prefect_cassandra.local.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MONTHS = [1, 2, 3]
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def ask(stack: Stack, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    answer = prefect_services.request(stack.config.server_port, method, path, body)
    assert answer is not None
    assert answer[0] < 400, answer
    return answer[1]


def trigger(stack: Stack, deployment: str, parameters: dict[str, Any]) -> str:
    found = ask(stack, "GET", f"/api/deployments/name/{deployment}")
    path = f"/api/deployments/{found['id']}/create_flow_run"
    return str(ask(stack, "POST", path, {"parameters": parameters})["id"])


def state(stack: Stack, run: str) -> str:
    return str(ask(stack, "GET", f"/api/flow_runs/{run}")["state"]["type"])


def end_of(stack: Stack, run: str, *, within: float = 240) -> str:
    eventually(lambda: state(stack, run) in ENDED, within=within)
    return state(stack, run)


def processes_of(run: str) -> list[psutil.Process]:
    """Return the processes that carry out a flow run, however deep below the worker."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if run in process.environ().get("PREFECT__FLOW_RUN_ID", ""):
                found.append(process)
    return found


def rows_expected() -> dict[str, int]:
    flights = [row for row in Source().rows("flights") if int(row["month"]) in MONTHS]
    return {
        "by_origin_day": len(flights),
        "by_tailnum": sum(row["tailnum"] not in ("", "NA") for row in flights),
    }


def test_a_run_killed_in_mid_load_is_crashed_and_its_retry_ends_with_exact_counts(
    stack: Stack,
) -> None:
    reader = shared_session(stack.cluster_config("flights_reader"))
    first_row = "SELECT origin FROM flights.by_origin_day LIMIT 1"
    run = trigger(stack, "flights/flights", {"months": MONTHS})
    eventually(lambda: reader.execute(first_row).one() is not None, within=180)
    for process in processes_of(run):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    partial = count_rows(reader, "flights", "by_origin_day")
    assert end_of(stack, run) == "CRASHED"

    expected = rows_expected()
    assert 0 < partial < expected["by_origin_day"], "the kill came too late to prove anything"
    subprocess.run(
        [sys.executable, "-m", "prefect", "flow-run", "retry", run],
        env=stack.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    eventually(lambda: state(stack, run) not in ENDED, within=60)
    assert end_of(stack, run) == "COMPLETED"
    for table, rows in expected.items():
        assert count_rows(reader, "flights", table) == rows


def test_what_the_demo_deploys_is_deployed(stack: Stack) -> None:
    deployed = {one["name"] for one in ask(stack, "POST", "/api/deployments/filter", {})}
    assert deployed >= {"values", "flights", "weather-api", "failing"}
