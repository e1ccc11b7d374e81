"""The first process of a flow's pod, on a real server: it has to do all that Prefect's own does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelling, Pending

from prefect_cassandra.kube.flow_start import RUN_VARIABLE
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from prefect.client.schemas.objects import State
    from tests.integration.conftest import RunningPrefect

pytestmark = pytest.mark.timeout(300)

PATIENCE = 120
OURS, PREFECTS = "prefect_cassandra.kube.flow_start", "prefect.engine"
# Notes the program that it runs in, then does what it is told.
CODE = """
import os, sys, time
from pathlib import Path

from prefect import flow


def note(name, text=""):
    Path(name).write_text(text)


@flow(on_cancellation=[lambda flow, flow_run, state: note("cancelled")])
def told(what: str) -> None:
    note("began", f"{sys.modules['__main__'].__spec__.name} {sys.path[0]}")
    if what == "crash":
        os._exit(3)
    while what == "wait":
        time.sleep(0.1)
"""


@dataclass
class Runs:
    """Makes runs of one deployment in a folder and starts them."""

    folder: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[str]]

    def make(self, what: str, *steps: dict[str, Any]) -> UUID:
        """Make a run that is pending, as a worker leaves it."""
        go = {"prefect.deployments.steps.set_working_directory": {"directory": str(self.folder)}}
        with get_client(sync_client=True) as client:
            deployment = client.create_deployment(
                flow_id=client.create_flow(told),
                name=self.folder.name,
                entrypoint="told.py:told",
                pull_steps=[go, *steps],
            )
            run = client.create_flow_run_from_deployment(
                deployment, parameters={"what": what}, state=Pending()
            )
        return run.id

    def start(self, run: UUID, **more: str) -> subprocess.Popen[str]:
        """Start the program for a run."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", OURS],
            env=self.environment | {RUN_VARIABLE: str(run)} | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def began(self) -> str:
        """Return what the flow noted, once it began."""
        noted = self.folder / "began"
        return eventually(lambda: noted.exists() and noted.read_text(), within=PATIENCE) or ""


@flow
def told(what: str) -> None:
    """Exist on the server."""


@pytest.fixture
def runs(prefect_api: RunningPrefect, tmp_path: Path) -> Iterator[Runs]:
    (tmp_path / "told.py").write_text(CODE)
    found = Runs(tmp_path, prefect_api.stack.environment(), [])
    yield found
    for process in found.processes:
        process.kill()
        process.communicate()


def state_of(run: UUID) -> State[Any]:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
    assert state is not None
    return state


def test_a_run_completes_in_one_interpreter(runs: Runs) -> None:
    run = runs.make("end")
    process = runs.start(run)
    output, _ = process.communicate(timeout=PATIENCE)
    assert state_of(run).is_completed(), output
    assert process.returncode == 0
    assert runs.began() == f"{OURS} {runs.folder}"
    assert "Finished in state Completed()" in output


def test_a_step_that_may_do_anything_is_followed_by_a_new_interpreter(runs: Runs) -> None:
    run = runs.make("end", {"prefect.deployments.steps.run_shell_script": {"script": "true"}})
    output, _ = runs.start(run).communicate(timeout=PATIENCE)
    assert state_of(run).is_completed(), output
    assert runs.began().startswith(PREFECTS)


def test_without_a_run_prefects_own_command_says_so(runs: Runs) -> None:
    environment = runs.environment | {"PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", OURS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert f"starting as Prefect does: {RUN_VARIABLE} names no run" in done.stderr
    assert "Could not determine the ID of the flow run" in done.stdout


def test_a_flow_that_dies_is_told_of(runs: Runs) -> None:
    run = runs.make("crash")
    output, _ = runs.start(run).communicate(timeout=PATIENCE)
    state = state_of(run)
    assert state.is_crashed(), output
    assert "status code: 3" in (state.message or "")


def test_code_that_cannot_be_fetched_is_told_of(runs: Runs) -> None:
    run = runs.make("end")
    (runs.folder / "told.py").unlink()
    output, _ = runs.start(run).communicate(timeout=PATIENCE)
    assert state_of(run).is_crashed(), output


def test_a_run_that_was_cancelled_before_does_not_begin(runs: Runs) -> None:
    run = runs.make("end")
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Cancelling(), force=True)
    output, _ = runs.start(run).communicate(timeout=PATIENCE)
    assert state_of(run).type is StateType.CANCELLED, output
    assert not (runs.folder / "began").exists()


def test_a_running_run_is_cancelled_and_its_hook_called(runs: Runs) -> None:
    run = runs.make("wait")
    process = runs.start(run)
    runs.began()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Cancelling())
    output, _ = process.communicate(timeout=PATIENCE)
    assert state_of(run).type is StateType.CANCELLED, output
    assert (runs.folder / "cancelled").exists(), output


def test_an_evicted_run_is_handed_back(runs: Runs) -> None:
    run = runs.make("wait")
    process = runs.start(run, PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR="reschedule")
    runs.began()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    state = state_of(run)
    assert (state.type, state.name) == (StateType.SCHEDULED, "AwaitingRetry"), output
    assert process.returncode == 0
