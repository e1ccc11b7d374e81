"""The program of the reconciler's pod: begins, works, is healthy, ends when it is asked to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic.alias_generators import to_camel

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube.doctor.cluster_api import connected
from prefect_cassandra.kube.kubectl import Release
from prefect_cassandra.kube.reconciling import loop
from prefect_cassandra.settings import ReconcilerSettings
from support.http_server import Answer, LoopbackServer
from support.installed import POOL, SERVER, installed
from support.ports import free_ports
from support.recorded_cluster import RecordedCluster, use_cluster
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.http_server import Asked

QUICK = ReconcilerSettings(interval=0.02, settle=0)
INSIDE = loop.Where(Release("pc", "prefect"), inside=True)
PENDING = {
    "id": "00000000-0000-4000-8000-000000000001",
    "name": "late-bee",
    "state": {"id": "s", "type": "PENDING", "name": "Pending", "timestamp": "2026-01-01T00:00:00Z"},
    "deployment_id": "d",
}


def camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {to_camel(key): camel(item) for key, item in value.items()}
    return value


def prefect(asked: Asked) -> Answer:
    if asked.path.endswith("/filter"):
        wanted = asked.json()["flow_runs"]
        types = wanted.get("state", {}).get("type", {}).get("any_", ())
        return Answer(200, [PENDING] if "id" in wanted or "PENDING" in types else [])
    accepted = {"status": "ACCEPT"}
    return Answer(200, accepted) if asked.path.endswith("/set_state") else Answer(204, b"")


class Ground:
    """A cluster, a server, and what a program beside them told."""

    def __init__(self, cluster: RecordedCluster, server: LoopbackServer) -> None:
        self.cluster = cluster
        self.server = server
        self.told: list[str] = []

    def states(self) -> int:
        return sum(one.path.endswith("/set_state") for one in self.server.asked)


@pytest.fixture
async def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ground]:
    """Stand on recorded answers; the pod's own account is a kubeconfig here."""

    @asynccontextmanager
    async def outside(_context: str = "", **_: Any) -> AsyncIterator[Any]:
        async with connected() as api:
            yield api

    cluster = RecordedCluster()
    with LoopbackServer(cluster) as kubernetes, LoopbackServer(prefect) as server:
        release = installed(server=replace(SERVER, api_url=f"{server.url}/api"))
        cluster.configmaps["pc-installation"] = told(release)
        use_cluster(kubernetes.url, tmp_path, monkeypatch)
        monkeypatch.setattr(loop, "connected", outside)
        yield Ground(cluster, server)


def told(release: Any) -> dict[str, Any]:
    return {"data": {"installation.json": json.dumps(camel(asdict(release)))}}


async def until(condition: Any) -> None:
    await asyncio.to_thread(eventually, condition, within=20)


async def test_it_works_until_it_is_asked_to_stop_and_leaves_the_lease(ground: Ground) -> None:
    (port,) = free_ports(1)
    # One pass, and healthy for longer than any machine takes to ask.
    slow = ReconcilerSettings(interval=60, settle=0)
    working = asyncio.create_task(
        loop.reconcile(INSIDE, slow, ground.told.append, ("127.0.0.1", port))
    )
    await until(lambda: ground.states() >= 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.0\r\n\r\n")
    assert b" 200 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    held = ground.cluster.leases["pc-reconciler"]["spec"]
    assert held["holderIdentity"]
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(working, 20)
    assert "holderIdentity" not in ground.cluster.leases["pc-reconciler"]["spec"]
    assert any("late-bee" in line and "put back" in line for line in ground.told)


async def test_a_pass_that_breaks_off_is_told_and_the_next_goes_on(ground: Ground) -> None:
    ground.cluster.refused["jobs"] = (500, "etcd has no leader")
    (port,) = free_ports(1)
    working = asyncio.create_task(
        loop.reconcile(INSIDE, QUICK, ground.told.append, ("127.0.0.1", port))
    )
    await until(lambda: any("etcd has no leader" in line for line in ground.told))
    assert ground.states() == 0
    ground.cluster.refused.clear()
    await until(lambda: ground.states() >= 2)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(working, 20)


async def test_once_looks_twice_and_does_what_both_came_to(ground: Ground) -> None:
    settings = ReconcilerSettings(settle=0.05)
    found = await loop.reconcile_once(INSIDE, settings, ground.told.append)
    assert [outcome.is_done for outcome in found.outcomes] == [True]
    assert ground.states() == 1
    assert ground.told == ["1 to put right; looking again in 0.05 s"]


async def test_a_dry_run_changes_nothing_not_even_the_lease(ground: Ground) -> None:
    found = await loop.look_once(INSIDE, QUICK)
    assert len(found.actions) == 1
    assert ground.states() == 0
    assert ground.cluster.leases == {}


async def test_beside_another_reconciler_once_does_nothing(ground: Ground) -> None:
    (port,) = free_ports(1)
    working = asyncio.create_task(
        loop.reconcile(INSIDE, QUICK, ground.told.append, ("127.0.0.1", port))
    )
    await until(lambda: ground.cluster.leases)
    with pytest.raises(PlatformError, match="Another reconciler"):
        await loop.reconcile_once(INSIDE, QUICK, ground.told.append)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(working, 20)


async def test_a_release_without_a_worker_has_no_runs_to_put_right(ground: Ground) -> None:
    release = installed(work_pool=replace(POOL, enabled=False))
    ground.cluster.configmaps["pc-installation"] = told(release)
    with pytest.raises(PlatformError, match="has no worker"):
        await loop.look_once(INSIDE, QUICK)
