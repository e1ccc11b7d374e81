"""The stack through its command line, on real processes: every way to start it and to lose it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.local import prefect_services
from prefect_cassandra.local.guard import find_marked, sweep
from prefect_cassandra.local.parts import log_tail
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(sys.executable).with_name("prefect-cassandra")
PATIENCE = 240.0
PORTS = {"cql": 29142, "storage": 27100, "jmx": 27299, "server": 24200}

FLOW = """
import time
from pathlib import Path
from prefect import flow

@flow(log_prints=True)
def quick():
    print("ran")

@flow
def endless(started: str):
    Path(started).touch()
    while True:
        time.sleep(0.1)
"""

DEPLOY = """
import sys
from prefect import flow
for name in ("quick", "endless"):
    flow.from_source(sys.argv[1], entrypoint=f"flows.py:{name}").deploy(
        name, work_pool_name="local", work_queue_name="loads", print_next_steps=False
    )
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def can_listen(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_options(ports: dict[str, int]) -> list[str]:
    return [text for name, port in ports.items() for text in (f"--{name}-port", str(port))]


@dataclass
class CommandLine:
    """The program on one data folder."""

    folder: Path
    out: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    cut_short: str = ""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, *options = arguments
        passed = options[options.index("--") :] if "--" in options else []
        ours = options[: len(options) - len(passed)]
        return subprocess.run(
            [PROGRAM, "local", command, *ours, "--data", self.folder, *passed],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def up(self, *options: str, ports: dict[str, int] = PORTS) -> subprocess.Popen[bytes]:
        """Start in the foreground and return when it says that it is up."""
        messages = self.out / "messages"
        with messages.open("wb") as stderr, (self.out / "data").open("wb") as stdout:
            process = subprocess.Popen(
                [
                    *(PROGRAM, "local", "up", "--data", self.folder, "--heap", "256M"),
                    *("--start-timeout", str(PATIENCE), *port_options(ports), *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                env={**os.environ, "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_DRAIN_TIMEOUT": "2"},
            )
        self.started.append(process)
        eventually(
            lambda: process.poll() is not None or "The stack is up" in self.data,
            "the stack to be up",
            within=PATIENCE,
        )
        assert process.poll() is None, self.messages
        return process

    @property
    def messages(self) -> str:
        return (self.out / "messages").read_text()

    @property
    def data(self) -> str:
        return (self.out / "data").read_text()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--output", "json").stdout)
        return found

    def pid_of(self, part: str) -> int:
        (pid,) = (one["pid"] for one in self.status()["parts"] if one["name"] == part)
        return int(pid)

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        def ask() -> tuple[int, Any] | None:
            answer = prefect_services.request(PORTS["server"], method, f"/api{path}", body)
            assert answer is not None
            # Prefect's answer when SQLite is busy; its own client asks again as well.
            return None if answer[0] == 503 else answer

        code, content = eventually(ask, f"{method} {path}", within=30.0)
        assert code < 300, content
        return content

    def start_flow(self, name: str, **parameters: Any) -> str:
        deployment = self.api("GET", f"/deployments/name/{name}/{name}")
        body = {"parameters": parameters}
        run = self.api("POST", f"/deployments/{deployment['id']}/create_flow_run", body)
        return str(run["id"])

    def flow_state(self, run: str) -> str:
        return str(self.api("GET", f"/flow_runs/{run}")["state"]["type"])

    def wait_for_state(self, run: str, state: str) -> None:
        def ended() -> bool:
            now = self.flow_state(run)
            assert now in {state, "SCHEDULED", "PENDING", "RUNNING"}, now
            return now == state

        eventually(
            ended, f"run {state}; {log_tail(self.folder / 'logs' / 'worker.log')}", within=90.0
        )

    def assert_nothing_left(self) -> None:
        eventually(
            lambda: not find_marked(self.folder), f"{find_marked(self.folder)} to end", within=60.0
        )
        found = self.run("status")
        assert found.returncode == 1
        assert "Nothing is running" in found.stdout
        for port in PORTS.values():
            # The last thread of a process gives its sockets back after the process is gone.
            eventually(lambda port=port: can_listen(port), f"port {port} to be free", within=10.0)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """One data folder for the whole file: each start finds what the one before left."""
    program = CommandLine(
        tmp_path_factory.mktemp("stack") / "data", tmp_path_factory.mktemp("output")
    )
    yield program
    for process in program.started:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
    sweep(program.folder, 5.0)


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flows")
    (folder / "flows.py").write_text(FLOW)
    (folder / "deploy.py").write_text(DEPLOY)
    return folder


def deploy(local: CommandLine, flows: Path) -> None:
    environment = prefect_services.client_environment(local.folder, PORTS["server"], os.environ)
    subprocess.run(
        [sys.executable, flows / "deploy.py", flows], env=environment, check=True, timeout=120
    )


def test_up_runs_everything_and_an_interrupt_ends_everything(
    local: CommandLine, flows: Path, tmp_path: Path
) -> None:
    supervisor = local.up()

    status = local.status()
    assert status["verdict"] == "running"
    assert status["supervisor"] == supervisor.pid
    assert {one["name"] for one in status["parts"]} == {"node1", "guard", "server", "worker"}
    assert all(one["alive"] and one["memory"] > 0 for one in status["parts"])
    queues = local.api("POST", "/work_pools/local/queues/filter", {})
    assert {one["name"] for one in queues} == {"default", "loads"}

    deploy(local, flows)
    run = local.start_flow("quick")
    local.wait_for_state(run, "COMPLETED")

    roles = local.run("cqlsh", "--", "-e", "SELECT role, can_login FROM system_auth.roles")
    assert re.search(r"superuser \| +True", roles.stdout), roles.stderr
    assert re.search(r"cassandra \| +False", roles.stdout)
    password = (local.folder / "secrets" / "superuser" / "password").read_text().strip()
    assert (local.folder / "cqlsh" / "credentials").stat().st_mode & 0o077 == 0
    assert password not in local.messages + local.data

    second = local.run("up", *port_options(PORTS))
    assert second.returncode == 3
    assert f"in use by process {supervisor.pid}" in second.stderr

    neighbour = CommandLine(tmp_path / "other", tmp_path)
    busy = neighbour.run("up", *port_options(PORTS))
    assert busy.returncode == 3
    assert "PC520" in busy.stderr
    assert f"127.0.0.1:{PORTS['cql']}" in busy.stderr
    assert f"pid {local.pid_of('node1')}" in busy.stderr

    sign = tmp_path / "started"
    local.cut_short = local.start_flow("endless", started=str(sign))
    eventually(sign.exists, "the flow to start", within=90.0)
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(PATIENCE) == 130
    order = re.findall(r"^(\w+) stopped", local.messages, re.MULTILINE)
    assert order == ["worker", "server", "cassandra"]
    local.assert_nothing_left()


# The order of the tests is the history of one folder.


def test_a_killed_worker_takes_the_stack_down_and_its_flow_with_it(
    local: CommandLine, flows: Path, tmp_path: Path
) -> None:
    supervisor = local.up()
    before = local.api("GET", f"/flow_runs/{local.cut_short}")["state"]
    assert before["type"] == "CRASHED"
    assert "stack ended" not in before["message"], "it was to report its own end, in time"
    deploy(local, flows)
    sign = tmp_path / "started"
    run = local.start_flow("endless", started=str(sign))
    eventually(sign.exists, "the flow to start", within=90.0)

    os.kill(local.pid_of("worker"), signal.SIGKILL)

    assert supervisor.wait(PATIENCE) == 3
    assert "worker was ended by SIGKILL" in local.messages
    assert "prefect.engine" in local.messages, "the orphaned flow is named before it is ended"
    local.assert_nothing_left()

    # The next start, and what a stop without any supervisor and guard leaves for the one after.
    supervisor = local.up()
    assert local.flow_state(run) == "CRASHED"
    local.wait_for_state(local.start_flow("quick"), "COMPLETED")
    node = local.pid_of("node1")
    guard = local.pid_of("guard")
    os.kill(guard, signal.SIGSTOP)
    os.kill(supervisor.pid, signal.SIGKILL)
    os.kill(guard, signal.SIGKILL)
    supervisor.wait()
    broken = local.run("status")
    assert broken.returncode == 1
    assert "broken" in broken.stdout
    assert str(node) in broken.stdout


def test_up_names_each_leftover_and_a_killed_supervisor_leaves_none(local: CommandLine) -> None:
    left = find_marked(local.folder)
    assert left, "the test before leaves a node, a server and a worker behind"

    supervisor = local.up()

    for process in left:
        assert f"ending a leftover of an earlier start: pid {process.pid}, since" in local.messages
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    local.assert_nothing_left()
    guard = (local.folder / "logs" / "guard.log").read_text()
    assert "the supervisor of" in guard


def test_three_nodes_with_tls_run_detached_until_down(tmp_path: Path) -> None:
    local = CommandLine(tmp_path / "data", tmp_path)
    options = ["--nodes", "3", "--tls", "--no-prefect", "--heap", "192M", "--detach"]
    try:
        up = local.run("up", *options, *port_options(PORTS))
        assert up.returncode == 0, up.stderr
        assert {one["name"] for one in local.status()["parts"]} == {
            *("node1", "node2", "node3", "guard")
        }
        answer = local.run("cqlsh", "--node", "2", "--", "-e", "SELECT peer FROM system.peers_v2")
        assert "127.0.0.1" in answer.stdout, answer.stderr
        assert "127.0.0.3" in answer.stdout
        ring = local.run("nodetool", "--node", "3", "--", "status")
        assert ring.stdout.count("UN  127.0.0.") == 3, ring.stderr

        down = local.run("down")
        assert down.returncode == 0, down.stderr
        local.assert_nothing_left()
        one = local.run("up", "--nodes", "1", *port_options(PORTS))
        assert one.returncode == 3
        assert "holds 3 node(s)" in one.stderr
    finally:
        local.run("down")
