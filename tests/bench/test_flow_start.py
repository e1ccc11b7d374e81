"""How long it takes from asking for a run to its first row, beside Prefect's own worker.

All competitors use the same images, the same flow, the same server and the same cluster, one run
at a time and in turns, so that whatever else goes on there meets all of them.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from bench.moments import (
    CREATED,
    ENDED,
    JOB_TO_RUNNING,
    RUNNING,
    TO_JOB,
    TO_RUNNING,
    Moments,
    Watch,
    seconds,
    table,
)
from bench.stock import BLOCK, StockWorker, stock_workers
from prefect_cassandra.driver.session import Session
from prefect_cassandra.kube.cassandra import connected
from prefect_cassandra.kube.deployments import FLOW_COMMAND, FLOWS_ROOT
from prefect_cassandra.kube.server import reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.conftest import Installed

    from prefect_cassandra.kube.server import Server

pytestmark = [pytest.mark.timeout(1800), pytest.mark.bench]

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
OURS, EQUAL, DEFAULTS = "ours", "stock, equal polling", "stock, its defaults"
# Seconds between two questions of our worker: the chart's worker.querySeconds.
POLLING = 0.5
FLOW = "values"
FILE = "flows/values/sample.csv"
# A row that is written again takes the time of the last write.
WRITTEN = "SELECT WRITETIME(value) AS at FROM values_demo.by_file WHERE file = ?"

MOST_TO_JOB = 1.5  # seconds
MOST_OF_STOCK_TO_RUNNING = 0.8
MOST_OF_STOCK_IN_ALL = 0.5


@dataclass(frozen=True)
class Field:
    """What the competitors run on."""

    ask: Server
    watch: Watch
    session: Session
    deployments: dict[str, str]


def deploy(ask: Server, pool: str, block: str, variables: dict[str, Any]) -> str:
    """Make a deployment of the smallest example flow, and return its id."""
    flow = ask("POST", "/api/flows/", {"name": FLOW})["id"]
    found = ask(
        "POST",
        "/api/deployments/",
        {
            "name": f"bench-{pool}",
            "flow_id": flow,
            "entrypoint": f"flows/values/etl.py:{FLOW}",
            "pull_steps": [
                {"prefect.deployments.steps.set_working_directory": {"directory": FLOWS_ROOT}}
            ],
            "parameters": {"path": FILE, "cluster": block, "folder": "/tmp"},  # noqa: S108 -- the pod's
            "work_pool_name": pool,
            "job_variables": variables,
            "enforce_parameter_schema": False,
        },
    )
    return str(found["id"])


@pytest.fixture(scope="module")
def field(installed: Installed) -> Iterator[Field]:
    """Three pools, each with a worker and a deployment of the same flow."""
    release, described = installed.release, installed.described
    equal, defaults = StockWorker("bench-equal", POLLING), StockWorker("bench-defaults", None)
    image = {"image": installed.flows.reference}
    with (
        reached(release, described) as ask,
        Watch(release) as watch,
        stock_workers(release, described, ask, [equal, defaults]) as namespace,
        connected(release, described, "values_demo_reader") as config,
        closing(Session(config)) as session,
    ):
        stock = image | {"namespace": namespace}
        ours = image | {"login": "values-demo-flow", "command": FLOW_COMMAND}
        deployments = {
            OURS: deploy(ask, described.work_pool.name, "values-demo", ours),
            EQUAL: deploy(ask, equal.name, BLOCK, stock),
            DEFAULTS: deploy(ask, defaults.name, BLOCK, stock),
        }
        try:
            yield Field(ask, watch, session, deployments)
        finally:
            for deployment in deployments.values():
                ask("DELETE", f"/api/deployments/{deployment}")


def measure(field: Field, competitor: str) -> Moments:
    """Ask for a run, wait until it is over, and say when what happened."""
    ask, watch = field.ask, field.watch
    path = f"/api/deployments/{field.deployments[competitor]}/create_flow_run"
    triggered = time.time()
    run = ask("POST", path, {"idempotency_key": f"bench-{uuid.uuid4()}"})["id"]
    job = watch.when(run, [CREATED], within=60)
    pod = watch.when(run, [RUNNING, *ENDED], within=60)
    watch.when(run, ENDED, within=120)
    found = ask("GET", f"/api/flow_runs/{run}")
    assert found["state"]["type"] == "COMPLETED", found["state"]
    flow = datetime.fromisoformat(found["start_time"]).timestamp()
    rows = list(field.session.execute(WRITTEN, [FILE]))
    assert rows
    return Moments(triggered, job, pod, flow, min(row["at"] for row in rows) / 1e6)


@pytest.fixture(scope="module")
def measured(field: Field) -> dict[str, list[Moments]]:
    """Rounds in which each competitor comes once, another one first each time."""
    names = list(field.deployments)
    for name in names:  # images are unpacked, files are cached, and all watches have begun
        measure(field, name)
    found: dict[str, list[Moments]] = {name: [] for name in names}
    for turn in range(ROUNDS):
        for at in range(len(names)):
            name = names[(turn + at) % len(names)]
            found[name].append(measure(field, name))
    return found


def test_the_way_from_trigger_to_row(
    measured: dict[str, list[Moments]], capsys: pytest.CaptureFixture[str]
) -> None:
    middle = {
        name: {phase: median(seconds(one, phase)) for phase in (TO_JOB, JOB_TO_RUNNING, TO_RUNNING)}
        for name, one in measured.items()
    }
    of_equal = middle[OURS][JOB_TO_RUNNING] / middle[EQUAL][JOB_TO_RUNNING]
    of_defaults = middle[OURS][TO_RUNNING] / middle[DEFAULTS][TO_RUNNING]
    with capsys.disabled():
        sys.stdout.write(
            f"\n\n{table(measured)}\n\n"
            f"{JOB_TO_RUNNING}: {of_equal:.2f} of stock's at equal polling\n"
            f"{TO_RUNNING}: {of_defaults:.2f} of stock's by its defaults\n"
        )
    assert middle[OURS][TO_JOB] <= MOST_TO_JOB
    assert of_equal <= MOST_OF_STOCK_TO_RUNNING
    assert of_defaults <= MOST_OF_STOCK_IN_ALL
