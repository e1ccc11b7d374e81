"""What a release of three Cassandra nodes stands: lost pods, upgrades, wrong values, its own end.

One release serves all tests, in this order: each leaves it whole, and the last one takes it away
and brings it back.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from e2e.ring import VALUES, Ring, counted, expected, kept_secrets, left
from prefect_cassandra.errors import ToolError
from prefect_cassandra.example import runs
from prefect_cassandra.example.flights import DEPLOYMENT
from prefect_cassandra.kube import images
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.kubectl import Release, read, read_all
from prefect_cassandra.kube.push import put_in_use
from prefect_cassandra.kube.release import helm, make_namespace, values_of
from prefect_cassandra.kube.tools import attempt, run
from prefect_cassandra.schema import load_keyspaces
from support.snippets import ROOT
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Platform

    from prefect_cassandra.kube.server import Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

# A part of the year is enough to be in the middle of, and three nodes are many for one machine.
LOADED, LATER = [1, 2], [3]


@pytest.fixture(scope="module")
def ring(platform: Platform) -> Iterator[Ring]:
    """A second release, of three nodes, with the flows in use; gone after the tests."""
    release = Release("ring", "faults", platform.release.context)
    flows = ROOT / "flows"
    platform_image, flow_image = images.build(ROOT, print)
    values = values_of(platform_image, flow_image, load_keyspaces(flows / "keyspaces.yaml"))
    found = Ring(release, values | VALUES)
    make_namespace(ROOT, release)
    try:
        found.install()
        put_in_use(ROOT, release, read_installation(release), flow_image, print)
        yield found
    finally:
        found.remove()


def started(ask: Server, deployment: str, **parameters: Any) -> str:
    """Create a run of a deployment and return its id."""
    found = ask("GET", f"/api/deployments/name/{deployment}")
    body = {"parameters": parameters, "job_variables": {"cpu_request": "10m"}}
    return str(ask("POST", f"/api/deployments/{found['id']}/create_flow_run", body)["id"])


def state_of(ask: Server, run_id: str) -> str:
    """Return the type of a run's state."""
    return str(ask("GET", f"/api/flow_runs/{run_id}")["state"]["type"])


def loads_done(ask: Server, run_id: str) -> int:
    """Return how many of a run's loads are done; the server hears of them after seconds."""
    query = {
        "flow_runs": {"id": {"any_": [run_id]}},
        "task_runs": {"name": {"like_": "load "}, "state": {"type": {"any_": ["COMPLETED"]}}},
    }
    return int(ask("POST", "/api/task_runs/count", query))


def completed(ring: Ring, ask: Server, run_id: str) -> None:
    """Wait for the end of a run and check that it was reached at once, in one pod."""
    ended = runs.wait(ask, run_id, print, lambda: None)
    assert runs.failure(ask, ended) is None
    assert ended["run_count"] == 1
    history = ask("GET", f"/api/flow_run_states/?flow_run_id={run_id}")
    types = [kind for kind, _ in groupby(state["type"] for state in history)]
    assert types == ["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"]
    assert len(read_all(ring.release, "pods", f"prefect.io/flow-run-id={run_id}")) == 1


def test_a_lost_cassandra_pod_loses_nothing(ring: Ring) -> None:
    with ring.server() as ask:
        run_id = started(ask, DEPLOYMENT, months=LOADED)
        eventually(lambda: loads_done(ask, run_id) > 0, "the first load", within=240)
        # The first one is a seed of all others; it has no time to say goodbye.
        lost = ring.kill("cassandra")
        assert state_of(ask, run_id) == "RUNNING"
        completed(ring, ask, run_id)
    eventually(lambda: ring.is_whole(lost), "the node's return", within=300)
    assert counted(ring.release) == expected(LOADED)


def test_a_lost_worker_changes_nothing(ring: Ring) -> None:
    with ring.server() as ask:
        run_id = started(ask, DEPLOYMENT, months=[1])
        eventually(lambda: state_of(ask, run_id) == "RUNNING", "the run's start", within=120)
        lost = ring.kill("worker")
        # Nobody is there to take it; the successor does.
        meanwhile = started(ask, "values/values")
        completed(ring, ask, run_id)
        completed(ring, ask, meanwhile)
    eventually(lambda: ring.is_whole(lost), "the worker's return", within=120)


def test_an_upgrade_keeps_data_passwords_and_running_flows(ring: Ring) -> None:
    secrets = kept_secrets(ring.release)
    passwords = {name: read(ring.release, "secret", name)["data"] for name in secrets}  # type: ignore[index]
    before = {component: ring.pods(component) for component in ("server", "postgres", "worker")}
    with ring.server() as ask:
        run_id = started(ask, DEPLOYMENT, months=LATER)
        eventually(lambda: state_of(ask, run_id) == "RUNNING", "the run's start", within=120)
        # Restarts everything but Cassandra, as another version of the platform does.
        run(
            ring.upgrade(
                "server.logLevel=WARNING",
                "worker.prefetchSeconds=11",
                "postgres.parameters.work_mem=8MB",
            ),
            timeout=660,
        )
        completed(ring, ask, run_id)
    for component, pods in before.items():
        assert pods[0]["metadata"]["uid"] != ring.pods(component)[0]["metadata"]["uid"], component
    assert kept_secrets(ring.release) == secrets
    assert {name: read(ring.release, "secret", name)["data"] for name in secrets} == passwords  # type: ignore[index]
    assert counted(ring.release) == expected(LOADED + LATER)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("cassandra.replicas=2", "is 2 and 3 nodes are running"),
        ("cassandra.storage.size=6Gi", "is 6Gi and the claims were made for 5Gi"),
        ("cassandra.storage.storageClass=other", 'is "other" and the claims were made with ""'),
        ("postgres.storage.size=2Gi", "is 2Gi and the claims were made for 1Gi"),
        ("postgres.storage.storageClass=other", 'is "other" and the claims were made with ""'),
        ("cassandra.clusterName=other", "is other and the nodes were made with prefect-cassandra"),
        ("cassandra.datacenter=other", "is other and the nodes were made with dc1"),
        ("cassandra.racks={a,b,c}", "is a,b,c and the nodes were made with rack1,rack2,rack3"),
    ],
)
def test_an_upgrade_that_the_data_does_not_stand_is_refused(
    ring: Ring, setting: str, problem: str
) -> None:
    done = attempt(ring.upgrade(setting, dry=True), timeout=120)
    assert done.code != 0
    assert f"{setting.partition('=')[0]}: {problem}" in done.errors


def test_a_lone_node_is_not_made_a_ring(platform: Platform) -> None:
    alone = Ring(platform.release, {})
    done = attempt(alone.upgrade("cassandra.replicas=3", dry=True), timeout=120)
    assert "cassandra.replicas: is 3 and there are the rows of 1" in done.errors


def test_the_same_amount_in_other_units_is_accepted(ring: Ring) -> None:
    """The refusals above come of the values, not of the dry run."""
    done = attempt(ring.upgrade("cassandra.storage.size=5120Mi", dry=True), timeout=120)
    assert done.code == 0, done.tail()


def test_what_an_uninstall_leaves_is_enough_to_come_back(ring: Ring) -> None:
    release = ring.release
    claims = {f"data-ring-cassandra-{ordinal}" for ordinal in range(3)} | {"data-ring-postgres-0"}
    secrets = kept_secrets(release)
    assert {"ring-server-auth", "ring-postgres", "ring-cassandra-superuser"} < secrets
    wanted = {f"secret/{name}" for name in secrets}
    wanted |= {f"persistentvolumeclaim/{name}" for name in claims}
    with ring.server() as ask:
        run_id = started(ask, DEPLOYMENT)
        eventually(lambda: state_of(ask, run_id) == "RUNNING", "the run's start", within=120)
    # While a flow runs: its Job must not stay either.
    run(helm(release, "uninstall", release.name, "--wait"), timeout=400)
    eventually(lambda: left(release) == wanted, "an empty namespace", within=180)

    fewer = Ring(release, ring.values | {"cassandra": {"replicas": 1, "racks": ["rack1"]}})
    with pytest.raises(ToolError, match="is 1 and there are the volumes of 3 nodes"):
        fewer.install()
    ring.install()
    assert kept_secrets(release) == secrets
    assert counted(release) == expected(LOADED + LATER)
    with ring.server() as ask:
        completed(ring, ask, started(ask, "values/values"))
    assert json.loads(run(helm(release, "list", "--output", "json")))[0]["status"] == "deployed"
