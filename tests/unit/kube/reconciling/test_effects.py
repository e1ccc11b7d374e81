"""Observing and acting, through the real clients, against recorded answers of both APIs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import PermissionDeniedError, PlatformError, UnreachableError
from prefect_cassandra.kube.doctor.cluster_api import connected
from prefect_cassandra.kube.doctor.prefect_api import PrefectApi
from prefect_cassandra.kube.reconciling import lease as leases
from prefect_cassandra.kube.reconciling.acting import Actor
from prefect_cassandra.kube.reconciling.decisions import Rules, decide_all
from prefect_cassandra.kube.reconciling.lease import Claim, Lease
from prefect_cassandra.kube.reconciling.loop import Reconciler
from prefect_cassandra.kube.reconciling.observing import Observer, Place
from prefect_cassandra.kube.server import Server
from support.http_server import Answer, LoopbackServer
from support.recorded_cluster import RecordedCluster, job_json, pod_json, use_cluster
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from support.http_server import Asked

RULES = Rules()
OLD = (datetime.now(UTC) - timedelta(hours=1)).isoformat()


def run_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def run_json(number: int, type_: str, **more: Any) -> dict[str, Any]:
    state = {"id": f"s{number}", "type": type_, "name": type_.capitalize(), "timestamp": OLD}
    known = {"id": run_id(number), "name": f"bee-{number}", "state": state, "deployment_id": "d"}
    return known | more


@dataclass
class RecordedPrefect:
    """A server with these runs in its pool, which takes every state unless told otherwise."""

    runs: list[dict[str, Any]]
    status: str = "ACCEPT"
    logs_are_broken: bool = False
    # Called when a state is proposed.
    at_state: Callable[[], None] = lambda: None
    states: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Answer:
        path = asked.path.removeprefix("/api")
        if path == "/flow_runs/filter":
            return self._filter(asked.json())
        if path == "/logs/" and self.logs_are_broken:
            return Answer(500, {"detail": "no logs today"})
        if path.endswith("/set_state"):
            self.at_state()
            self.states.append(asked.json()["state"])
            return Answer(200, {"status": self.status, "details": {"reason": "because"}})
        kept = {"labels": self.labels, "": self.logs, "events": self.events}
        kept[path.rpartition("/")[2]].append(asked.json())
        return Answer(204, b"")

    def _filter(self, body: dict[str, Any]) -> Answer:
        wanted, pools = body["flow_runs"], body["work_pools"]["name"]["any_"]
        assert pools == ["cassandra"]
        ids, state = wanted.get("id"), wanted.get("state", {})
        found = [
            run
            for run in self.runs
            if (ids is None or run["id"] in ids["any_"])
            and run["state"]["type"] in state.get("type", {"any_": [run["state"]["type"]]})["any_"]
            and run["state"]["name"] in state.get("name", {"any_": [run["state"]["name"]]})["any_"]
        ]
        return Answer(200, found[body["offset"] : body["offset"] + body["limit"]])


@dataclass
class Ground:
    """Both APIs and what stands on them."""

    cluster: RecordedCluster
    prefect: RecordedPrefect
    observer: Observer
    actor: Actor
    lease: Lease
    told: list[str]
    asked: list[Asked]

    def reconciler(self, settle: float = 0.0) -> Reconciler:
        return Reconciler(self.observer, self.actor, self.lease, RULES, settle)


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the Kubernetes client speak to one address."""
    return lambda url: use_cluster(url, tmp_path, monkeypatch)


@contextmanager
def served(prefect: RecordedPrefect) -> Iterator[PrefectApi]:
    with LoopbackServer(prefect) as there:
        server = Server(f"{there.url}/api", "")
        try:
            yield PrefectApi(server)
        finally:
            server.close()


@pytest.fixture
def ground(kubeconfig: Callable[[str], None]) -> Callable[..., Any]:
    """Stand on a cluster and a server while a block runs."""

    @asynccontextmanager
    async def stand(cluster: RecordedCluster, *runs: dict[str, Any]) -> AsyncIterator[Ground]:
        prefect, told = RecordedPrefect(list(runs)), list[str]()
        with LoopbackServer(cluster) as there, served(prefect) as api:
            kubeconfig(there.url)
            async with connected() as kubernetes:
                observer = Observer(kubernetes, api, Place("pc", "prefect", "cassandra"))
                claim = Claim("prefect", "pc-reconciler", "me")
                lease = Lease(kubernetes, claim, lambda: 0.0)
                actor = Actor(kubernetes, api, observer, RULES, told.append)
                yield Ground(cluster, prefect, observer, actor, lease, told, there.asked)

    return stand


async def test_everything_is_seen_page_by_page(ground: Any) -> None:
    """Runs of three questions, more Jobs than fit on a page, and a run that has ended."""
    jobs = [job_json(f"job-{n}", run_id(n), OLD) for n in range(7)]
    cluster = RecordedCluster(jobs, [pod_json(job) for job in jobs], page=3)
    cluster.jobs.append(job_json("somebodys", "no-id", OLD))
    runs = [run_json(n, "RUNNING") for n in range(4)]
    runs += [run_json(4, "COMPLETED"), run_json(5, "CRASHED")]
    async with ground(cluster, *runs) as found:
        seen = await found.observer.look(3600)
    assert sorted(seen.runs) == [run_id(n) for n in range(6)]
    assert sorted(seen.jobs) == [run_id(n) for n in range(7)]
    assert all(job.pods[0].works for (job,) in seen.jobs.values())
    # The run that the server does not have is nobody's to decide about.
    assert {action.run.id for action in decide_all(seen, RULES)} == {run_id(4), run_id(5)}


async def test_more_runs_than_a_page_of_the_servers(ground: Any) -> None:
    async with ground(RecordedCluster(), *(run_json(n, "RUNNING") for n in range(401))) as found:
        assert len((await found.observer.look(3600)).runs) == 401


@pytest.mark.parametrize(
    ("status", "error"), [(403, PermissionDeniedError), (410, PlatformError), (404, PlatformError)]
)
@pytest.mark.parametrize("kind", ["jobs", "pods"])
async def test_a_list_that_breaks_off_is_no_list(
    ground: Any, kind: str, status: int, error: type[Exception]
) -> None:
    """Nothing may be taken for gone that was only not seen."""
    cluster = RecordedCluster(refused={kind: (status, "not now")})
    async with ground(cluster, run_json(1, "PENDING")) as found:
        await found.lease.take()
        with pytest.raises(error):
            await found.reconciler().pass_once()
        assert found.prefect.states == []


async def test_a_server_that_is_away_changes_nothing(kubeconfig: Any) -> None:
    job = job_json("job-1", run_id(1), OLD)
    cluster = RecordedCluster([job])
    with LoopbackServer(cluster) as there:
        kubeconfig(there.url)
        server = Server("http://127.0.0.1:1/api", "")
        async with connected() as kubernetes:
            place = Place("pc", "prefect", "cassandra")
            with pytest.raises(UnreachableError):
                await Observer(kubernetes, PrefectApi(server), place).look(3600)
        server.close()
    assert cluster.jobs == [job]


async def test_a_run_is_put_back_counted_and_told(ground: Any) -> None:
    before = datetime.now(UTC)
    labels = {"prefect-cassandra.requeued": "0:1"}
    async with ground(RecordedCluster(), run_json(1, "PENDING", labels=labels)) as found:
        await found.lease.take()
        (outcome,) = (await found.reconciler().pass_once()).outcomes
    prefect = found.prefect
    assert outcome.is_done
    assert prefect.labels == [{"prefect-cassandra.requeued": "0:2"}]
    (state,) = prefect.states
    assert (state["type"], state["name"]) == ("SCHEDULED", "AwaitingRetry")
    due = datetime.fromisoformat(state["state_details"]["scheduled_time"])
    assert timedelta(seconds=20) <= due - before < timedelta(seconds=60)
    ((line,),) = prefect.logs
    assert line["flow_run_id"] == run_id(1)
    assert "put back, due in 20 s: pending without a Job" in line["message"]
    ((event,),) = prefect.events
    assert event["event"] == "prefect-cassandra.reconciler.requeue"
    assert event["resource"]["prefect.resource.id"] == f"prefect.flow-run.{run_id(1)}"


async def test_a_job_that_outlived_its_run_is_deleted_and_no_other(ground: Any) -> None:
    ended, runs = job_json("job-1", run_id(1), OLD), job_json("job-2", run_id(2), OLD)
    cluster = RecordedCluster([ended, runs], [pod_json(ended), pod_json(runs)])
    async with ground(cluster, run_json(1, "CANCELLED"), run_json(2, "RUNNING")) as found:
        await found.lease.take()
        (outcome,) = (await found.reconciler().pass_once()).outcomes
        assert (await found.reconciler().pass_once()).outcomes == ()
    assert outcome.is_done
    assert cluster.jobs == [runs]
    (deletion,) = (one for one in found.asked if one.method == "DELETE")
    assert deletion.json()["propagationPolicy"] == "Foreground"
    assert found.prefect.states == []


async def test_a_crashed_run_that_may_not_start_again_fails_before_its_job_goes(
    ground: Any,
) -> None:
    """The pod asks for the state when it is ended, and Crashed is none that stops it."""
    job = job_json("job-1", run_id(1), OLD)
    cluster = RecordedCluster([job], [pod_json(job)])
    async with ground(cluster, run_json(1, "CRASHED", run_count=1)) as found:
        await found.lease.take()
        jobs_at_state: list[int] = []
        found.prefect.at_state = lambda: jobs_at_state.append(len(cluster.jobs))
        (outcome,) = (await found.reconciler().pass_once()).outcomes
    assert outcome.is_done
    assert [state["type"] for state in found.prefect.states] == ["FAILED"]
    assert jobs_at_state == [1]
    assert cluster.jobs == []
    assert found.prefect.labels == []
    ((line,),) = found.prefect.logs
    assert "set to Failed, Job job-1 deleted: the run is Crashed" in line["message"]


async def test_a_job_stays_when_the_state_before_its_end_is_refused(ground: Any) -> None:
    job = job_json("job-1", run_id(1), OLD)
    cluster = RecordedCluster([job], [pod_json(job)])
    async with ground(cluster, run_json(1, "CRASHED", run_count=1)) as found:
        found.prefect.status = "REJECT"
        await found.lease.take()
        (outcome,) = (await found.reconciler().pass_once()).outcomes
    assert not outcome.is_done
    assert cluster.jobs == [job]


async def test_a_crashed_run_that_may_start_again_is_counted_before_its_job_goes(
    ground: Any,
) -> None:
    job = job_json("job-1", run_id(1), OLD)
    cluster = RecordedCluster([job], [pod_json(job)])
    retries = {"empirical_policy": {"retries": 1}}
    crashed = run_json(1, "CRASHED", run_count=1, **retries)
    # Long enough for the hooks, and not given up yet.
    crashed["state"]["timestamp"] = (datetime.now(UTC) - timedelta(minutes=20)).isoformat()
    async with ground(cluster, crashed) as found:
        await found.lease.take()
        (outcome,) = (await found.reconciler().pass_once()).outcomes
    assert outcome.is_done
    assert found.prefect.labels == [{"prefect-cassandra.requeued": "1:1"}]
    assert found.prefect.states == []
    assert cluster.jobs == []


async def test_what_changed_after_the_look_is_left_alone(ground: Any) -> None:
    async with ground(RecordedCluster(), run_json(1, "PENDING")) as found:
        (action,) = decide_all(await found.observer.look(3600), RULES)
        # The worker was slow, not dead.
        found.cluster.jobs.append(job_json("job-1", run_id(1), OLD))
        found.cluster.pods.append(pod_json(found.cluster.jobs[0]))
        outcome = await found.actor.carry_out(action)
        assert not outcome.is_done
        found.cluster.jobs.clear()
        found.prefect.runs[0]["state"]["id"] = "another"
        assert not (await found.actor.carry_out(action)).is_done
    assert found.prefect.states == []
    assert found.prefect.labels == []


async def test_a_job_of_the_same_name_is_not_the_one_that_was_meant(ground: Any) -> None:
    job = job_json("job-1", run_id(1), OLD)
    cluster = RecordedCluster([job], [pod_json(job)])
    async with ground(cluster, run_json(1, "FAILED")) as found:
        (action,) = decide_all(await found.observer.look(3600), RULES)
        again = json.loads(json.dumps(job))
        again["metadata"]["uid"] = "another"
        cluster.jobs[:] = [again]
        assert not (await found.actor.carry_out(action)).is_done
    assert cluster.jobs == [again]


@pytest.mark.parametrize("status", ["REJECT", "ABORT", "WAIT"])
async def test_what_the_server_refuses_is_said_and_not_told_as_done(
    ground: Any, status: str
) -> None:
    async with ground(RecordedCluster(), run_json(1, "PENDING")) as found:
        found.prefect.status = status
        await found.lease.take()
        (outcome,) = (await found.reconciler().pass_once()).outcomes
    assert not outcome.is_done
    assert outcome.text == "the server refuses: because"
    assert found.prefect.logs == []
    assert found.prefect.events == []


async def test_a_line_that_cannot_be_written_undoes_nothing(ground: Any) -> None:
    async with ground(RecordedCluster(), run_json(1, "PENDING")) as found:
        found.prefect.logs_are_broken = True
        await found.lease.take()
        (outcome,) = (await found.reconciler().pass_once()).outcomes
    assert outcome.is_done
    assert len(found.told) == 1
    assert len(found.prefect.events) == 1


async def test_nothing_is_done_without_the_lease(ground: Any) -> None:
    async with ground(RecordedCluster(), run_json(1, "PENDING")) as found:
        done = await found.reconciler().pass_once()
        assert len(done.actions) == 1
        assert done.outcomes == ()
        assert await found.lease.take()
        assert await found.lease.take()
        other = Lease(found.observer._cluster, Claim("prefect", "pc-reconciler", "you"), lambda: 0)
        assert not await other.take()
        await other.give_up()
        assert found.lease.is_held
        assert not await other.take()
        await found.lease.give_up()
        assert not found.lease.is_held
        assert await other.take()
        assert not await found.lease.take()


async def test_of_two_that_want_it_at_once_one_gets_the_lease(ground: Any) -> None:
    async with ground(RecordedCluster()) as found:
        read = found.observer._cluster.get

        async def stale(path: str, **query: str | int) -> Any:
            """Read, and let somebody else write before the answer is used."""
            seen = await read(path, **query)
            other = Lease(found.observer._cluster, Claim("prefect", "pc-reconciler", "you"), float)
            found.observer._cluster.get = read
            await other.take()
            return seen

        found.observer._cluster.get = stale
        assert not await found.lease.take()
        assert not found.lease.is_held
    assert found.cluster.leases["pc-reconciler"]["spec"]["holderIdentity"] == "you"


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_a_bad_moment_of_the_clusters_does_not_end_the_renewing(
    ground: Any, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(leases, "_RENEWALS", 10_000)
    cluster = RecordedCluster()
    async with ground(cluster) as found:

        def renewals() -> int:
            return int(cluster.leases["pc-reconciler"]["metadata"]["resourceVersion"])

        async def until(condition: Callable[[], bool]) -> None:
            await asyncio.to_thread(eventually, condition, within=20)

        assert await found.lease.take()
        async with found.lease.kept():
            cluster.refused["leases"] = (status, "not now")
            refused = len(found.asked)
            await until(lambda: len(found.asked) > refused + 1)
            cluster.refused.clear()
            before = renewals()
            await until(lambda: renewals() > before)
            # Nor the giving up.
            cluster.refused["leases"] = (status, "not now")
    assert not found.lease.is_held


async def test_a_decision_has_to_stand_for_a_while(ground: Any) -> None:
    async with ground(RecordedCluster(), run_json(1, "PENDING")) as found:
        await found.lease.take()
        reconciler = found.reconciler(settle=3600)
        assert [len((await reconciler.pass_once()).actions) for _ in range(2)] == [1, 1]
    assert found.prefect.states == []
