"""The reconciler against a real Prefect server: what it proposes is accepted, and what follows.

Kubernetes is recorded answers here; what its own controllers do is shown on kind.
"""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prefect.cli.flow_run import _final_state_blocking_reschedule
from prefect.client.orchestration import get_client

from prefect_cassandra.errors import PlatformError, UnreachableError
from prefect_cassandra.kube.doctor.cluster_api import connected
from prefect_cassandra.kube.doctor.prefect_api import PrefectApi
from prefect_cassandra.kube.reconciling.acting import Actor
from prefect_cassandra.kube.reconciling.decisions import Kind, Rules
from prefect_cassandra.kube.reconciling.lease import Claim, Lease
from prefect_cassandra.kube.reconciling.loop import Findings, Reconciler
from prefect_cassandra.kube.reconciling.observing import Observer, Place
from prefect_cassandra.kube.server import Server
from support.http_server import LoopbackServer
from support.recorded_cluster import RecordedCluster, job_json, pod_json, use_cluster
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from prefect_cassandra.local.stack import Stack

# Nothing has to last here but the retries: the table's own tests are about time.
RULES = Rules(
    pending_grace=0,
    gone_grace=0,
    leave_grace=0,
    lost_after=0,
    pending_deadline=0,
    cancelling_timeout=0,
    requeues=2,
    backoff=0,
)
POOL = "reconciled"


@dataclass
class Ground:
    """One deployment in a pool that no worker polls, and a cluster that a test fills."""

    api: PrefectApi
    deployment: str
    cluster: RecordedCluster
    reconciler: Reconciler

    def new_run(self, **policy: Any) -> str:
        path = f"/deployments/{self.deployment}/create_flow_run"

        def made() -> dict[str, Any] | None:
            """Ask again while the server's database is busy; one run too many harms nobody."""
            with suppress(PlatformError, UnreachableError):
                answer: dict[str, Any] = self.api.ask("POST", path, {"empirical_policy": policy})
                return answer
            return None

        return str(eventually(made, "a new run", within=60)["id"])

    def set(self, run_id: str, *types: str) -> None:
        for type_ in types:
            body = {"state": {"type": type_}, "force": False}
            answer = self.api.ask("POST", f"/flow_runs/{run_id}/set_state", body)
            assert answer["status"] == "ACCEPT", answer

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.ask("GET", f"/flow_runs/{run_id}")
        return found

    def is_at(self, run_id: str, job: dict[str, Any]) -> None:
        place = {"infrastructure_pid": f"prefect:{job['metadata']['name']}"}
        self.api.ask("PATCH", f"/flow_runs/{run_id}", place)

    def add_job(self, run_id: str, **status: Any) -> dict[str, Any]:
        made = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        job = job_json(f"job-{uuid.uuid4().hex[:6]}", run_id, made, **status)
        self.cluster.jobs.append(job)
        return job

    async def kinds(self, run_id: str) -> list[Kind]:
        """Make a pass, and return what was done about one run."""
        found: Findings = await self.reconciler.pass_once()
        ours = [one for one in found.outcomes if one.action.run.id == run_id]
        assert all(one.is_done for one in ours), ours
        return [one.action.kind for one in ours]


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[PrefectApi]:
    server = Server(stack.api_url, "")
    yield PrefectApi(server)
    server.close()


@pytest.fixture(scope="module")
def deployment(api: PrefectApi) -> str:
    api.ask("POST", "/work_pools/", {"name": POOL, "type": "kubernetes"})
    flow = api.ask("POST", "/flows/", {"name": "reconciled"})
    body = {"name": "reconciled", "flow_id": flow["id"], "work_pool_name": POOL}
    return str(api.ask("POST", "/deployments/", body)["id"])


@pytest.fixture
def ground(
    api: PrefectApi, deployment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    @asynccontextmanager
    async def stand() -> AsyncIterator[Ground]:
        cluster = RecordedCluster()
        with LoopbackServer(cluster) as there:
            use_cluster(there.url, tmp_path, monkeypatch)
            async with connected() as kubernetes:
                observer = Observer(kubernetes, api, Place("pc", "prefect", POOL))
                lease = Lease(kubernetes, Claim("prefect", "pc-reconciler", "me"), lambda: 0.0)
                assert await lease.take()
                told: list[str] = []
                actor = Actor(kubernetes, api, observer, RULES, told.append)
                yield Ground(api, deployment, cluster, Reconciler(observer, actor, lease, RULES, 0))
                assert told == []

    return stand


async def test_a_run_whose_worker_died_is_put_back_so_many_times(ground: Any) -> None:
    async with ground() as here:
        run_id = here.new_run()
        for times in (1, 2):
            here.set(run_id, "PENDING")
            assert await here.kinds(run_id) == [Kind.REQUEUE]
            found = here.run(run_id)
            assert (found["state_type"], found["state_name"]) == ("SCHEDULED", "AwaitingRetry")
            assert found["labels"]["prefect-cassandra.requeued"] == f"0:{times}"
            # What is put back is not touched again.
            assert await here.kinds(run_id) == []
        here.set(run_id, "PENDING")
        assert await here.kinds(run_id) == [Kind.CRASH]
        assert await here.kinds(run_id) == []
        assert here.run(run_id)["state_type"] == "CRASHED"


async def test_it_is_told_in_the_runs_log_and_as_an_event(ground: Any) -> None:
    async with ground() as here:
        run_id = here.new_run()
        here.set(run_id, "PENDING")
        assert await here.kinds(run_id) == [Kind.REQUEUE]
        wanted = {"logs": {"flow_run_id": {"any_": [run_id]}}}
        (line,) = here.api.ask("POST", "/logs/filter", wanted)
        assert "pending without a Job: no Job was made for it" in line["message"]
        resource = {"id": [f"prefect.flow-run.{run_id}"]}
        event = {"name": ["prefect-cassandra.reconciler.requeue"]}
        asked = {"filter": {"resource": resource, "event": event}}

        def is_there() -> bool:
            return bool(here.api.ask("POST", "/events/filter", asked)["events"])

        # The server writes events down a moment later.
        eventually(is_there, within=30)


async def test_a_running_run_without_its_pod_crashes_and_runs_again_as_its_flow_asks(
    ground: Any,
) -> None:
    async with ground() as here:
        run_id = here.new_run(retries=1)
        here.set(run_id, "PENDING", "RUNNING")
        ended = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
        job = here.add_job(run_id, conditions=[condition | {"lastTransitionTime": ended}])
        here.is_at(run_id, job)
        assert await here.kinds(run_id) == [Kind.CRASH]
        assert "BackoffLimitExceeded" in here.run(run_id)["state"]["message"]
        assert await here.kinds(run_id) == [Kind.REQUEUE]
        found = here.run(run_id)
        assert found["state_name"] == "AwaitingRetry"
        # So that a worker takes it, and nobody waits for the process that is gone.
        assert found["empirical_policy"]["retry_type"] == "reschedule"
        # The second start was the last that its flow asks for.
        here.set(run_id, "PENDING", "RUNNING")
        assert [await here.kinds(run_id) for _ in range(2)] == [[Kind.CRASH], []]
        assert here.run(run_id)["run_count"] == 2


async def test_a_retry_that_its_own_process_was_to_make_is_not_waited_for(ground: Any) -> None:
    """No worker takes such a run, so that it would wait for ever."""
    async with ground() as here:
        run_id = here.new_run(retries=1, retry_delay=600)
        here.set(run_id, "PENDING", "RUNNING")
        here.is_at(run_id, job_json("gone", run_id, "2030-01-01T00:00:00Z"))
        body = {"state": {"type": "FAILED"}, "force": False}
        answer = here.api.ask("POST", f"/flow_runs/{run_id}/set_state", body)
        assert answer["status"] == "REJECT"
        assert here.run(run_id)["empirical_policy"]["retry_type"] == "in_process"
        assert await here.kinds(run_id) == [Kind.CRASH]
        assert await here.kinds(run_id) == [Kind.REQUEUE]
        found = here.run(run_id)
        assert found["empirical_policy"]["retry_type"] == "reschedule"
        due = datetime.fromisoformat(found["next_scheduled_start_time"])
        assert due > datetime.now(UTC) + timedelta(seconds=500)


async def test_a_pod_that_cannot_start_fails_its_run_and_its_job_goes(ground: Any) -> None:
    async with ground() as here:
        # Failed by us, a run is not tried again by the server's own rule for failed flows.
        run_id = here.new_run(retries=3)
        here.set(run_id, "PENDING")
        job = here.add_job(run_id, active=1)
        waits = {"reason": "ImagePullBackOff", "message": "pull access denied for flows:9"}
        state = {"name": "prefect-job", "state": {"waiting": waits}}
        here.cluster.pods.append(pod_json(job, phase="Pending", containerStatuses=[state]))
        assert await here.kinds(run_id) == [Kind.FAIL]
        found = here.run(run_id)
        assert found["state_type"] == "FAILED"
        assert "pull access denied for flows:9" in found["state"]["message"]
        assert await here.kinds(run_id) == [Kind.DELETE]
        assert here.cluster.jobs == []


async def test_a_cancelled_run_is_finished_and_its_job_goes(ground: Any) -> None:
    async with ground() as here:
        run_id = here.new_run()
        here.set(run_id, "PENDING", "RUNNING")
        job = here.add_job(run_id, active=1)
        here.cluster.pods.append(pod_json(job))
        here.is_at(run_id, job)
        assert await here.kinds(run_id) == []
        here.set(run_id, "CANCELLING")
        assert await here.kinds(run_id) == [Kind.CANCEL]
        assert await here.kinds(run_id) == [Kind.DELETE]
        assert await here.kinds(run_id) == []
        assert here.run(run_id)["state_type"] == "CANCELLED"
        assert here.cluster.jobs == []


@pytest.mark.usefixtures("prefect_api")
async def test_a_crashed_run_fails_before_its_pod_could_hand_it_back(ground: Any) -> None:
    async with ground() as here:
        run_id = here.new_run()
        here.set(run_id, "PENDING", "RUNNING")
        job = here.add_job(run_id, active=1)
        here.cluster.pods.append(pod_json(job))
        here.is_at(run_id, job)
        here.set(run_id, "CRASHED")
        assert await here.kinds(run_id) == [Kind.FAIL]
        assert here.cluster.jobs == []
        async with get_client() as client:
            # What the pod asks before it hands its run back.
            stops = await _final_state_blocking_reschedule(client, UUID(run_id))
        assert stops is not None
        assert stops.is_failed()
        assert await here.kinds(run_id) == []


@pytest.mark.usefixtures("prefect_api")
async def test_a_crashed_run_that_may_start_again_is_handed_back_and_counted(ground: Any) -> None:
    async with ground() as here:
        run_id = here.new_run(retries=1)
        here.set(run_id, "PENDING", "RUNNING")
        job = here.add_job(run_id, active=1)
        here.cluster.pods.append(pod_json(job))
        here.is_at(run_id, job)
        here.set(run_id, "CRASHED")
        assert await here.kinds(run_id) == [Kind.DELETE]
        assert here.run(run_id)["labels"]["prefect-cassandra.requeued"] == "1:1"
        async with get_client() as client:
            assert await _final_state_blocking_reschedule(client, UUID(run_id)) is None
