from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from prefect.workers.base import BaseWorker
from prefect_kubernetes.worker import KubernetesWorker

from prefect_cassandra.kube.worker import PlatformWorker
from prefect_cassandra.project.environment import prefect_environment
from support.ports import free_ports
from support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path


def status_of(port: int) -> int | None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status
        except OSError:
            return None


def test_prefects_own_worker_keeps_its_place() -> None:
    assert BaseWorker.get_worker_class_from_type("kubernetes") is KubernetesWorker


async def test_a_draining_worker_takes_no_runs() -> None:
    worker = PlatformWorker(work_pool_name="cassandra")
    worker.is_draining = True
    assert await worker.get_and_submit_flow_runs() == []
    assert not worker.is_submitting


def test_a_worker_that_waits_for_its_pool_is_healthy_and_can_be_stopped(tmp_path: Path) -> None:
    nobody, port = free_ports(2)
    code = "from prefect_cassandra.cli.app import main; main()"
    command = [sys.executable, "-c", code, "platform", "worker", "--port", str(port)]
    environment = prefect_environment(tmp_path, f"http://127.0.0.1:{nobody}/api", os.environ)
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("waiting for work pool cassandra: ")
            eventually(lambda: status_of(port) == 200, within=20)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
