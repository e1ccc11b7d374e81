from __future__ import annotations

import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from prefect_cassandra.kube.flow_child import Prepared, needs_new_interpreter, step_names
from prefect_cassandra.kube.flow_start import TESTED, reason_against
from prefect_cassandra.kube.flow_watch import Child
from support.waiting import eventually

ENGINE = [sys.executable, "-m", "prefect.engine"]
BEFORE = {"PATH": "/usr/bin", "PREFECT_API_URL": "http://server/api"}
# What Prefect adds by itself.
ADDED = {"PYTHONPATH": "/opt/flows", "PREFECT__FLOW_ENTRYPOINT": "flows/a.py:a"}


def test_the_start_is_written_against_the_prefect_that_is_locked() -> None:
    # Another version may be as good, but somebody has to look: what is used of it is private.
    assert version("prefect") == TESTED


@pytest.mark.parametrize(
    ("found", "run_id", "threads", "expected"),
    [
        (TESTED, "an-id", 1, ""),
        ("3.8.9", "an-id", 1, f"Prefect is 3.8.9, not {TESTED}"),
        (TESTED, None, 1, "PREFECT__FLOW_RUN_ID names no run"),
        (TESTED, "", 1, "PREFECT__FLOW_RUN_ID names no run"),
        (TESTED, "an-id", 3, "3 threads are running"),
    ],
)
def test_prefect_starts_it_itself_when_forking_is_not_known_to_work(
    found: str, run_id: str | None, threads: int, expected: str
) -> None:
    assert reason_against(found, run_id, threads) == expected


@pytest.mark.parametrize(
    ("command", "steps", "changes", "expected"),
    [
        (ENGINE, [], {}, False),
        (ENGINE, ["set_working_directory"], {}, False),
        (ENGINE, ["git_clone", "set_working_directory"], {}, False),
        # A step that may install packages or do anything at all.
        (ENGINE, ["pip_install_requirements"], {}, True),
        (ENGINE, ["git_clone", "run_shell_script"], {}, True),
        # What was read at the start would be read differently now.
        (ENGINE, [], {"PREFECT_API_URL": "http://other/api"}, True),
        (ENGINE, [], {"LD_LIBRARY_PATH": "/opt/lib"}, True),
        # A project with an interpreter of its own.
        (["uv", "run", "python", "bootstrap.py", "engine", "a.py:a"], [], {}, True),
    ],
)
def test_a_new_interpreter_is_taken_when_this_one_may_be_stale(
    command: list[str], steps: list[str], changes: dict[str, str], *, expected: bool
) -> None:
    prepared = Prepared(command, Path("/opt"), BEFORE | ADDED | changes, steps)
    assert needs_new_interpreter(prepared, BEFORE) is expected


def test_steps_are_known_by_their_short_names() -> None:
    steps = [
        {"prefect.deployments.steps.git_clone": {"repository": "r", "id": "clone"}},
        {"prefect.deployments.steps.utility.run_shell_script": {"script": "true"}},
    ]
    assert step_names(steps) == ["git_clone", "run_shell_script"]


def forked(code: int) -> Child:
    """Return a process that ends with a code when it is let through, else with 0."""
    gate, opener = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", f"import sys; sys.exit({code} if sys.stdin.read() else 0)"],
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, gate, 0)],
    )
    os.close(gate)
    return Child(pid, opener)


async def test_a_child_ends_with_its_exit_code() -> None:
    child = forked(7)
    assert child.returncode is None
    child.go({"PREFECT__CONTROL_PORT": "1"})
    await child.wait()
    assert child.returncode == 7
    child.dismiss()


def test_a_child_that_is_not_wanted_ends() -> None:
    child = forked(7)
    child.dismiss()
    assert eventually(lambda: child.returncode is not None, within=10)
    assert child.returncode == 0


def test_leave_for_a_child_that_is_gone_is_no_error() -> None:
    child = forked(7)
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: child.returncode is not None, within=10)
    child.go({"PREFECT__CONTROL_PORT": "1"})
    assert child.returncode == -signal.SIGKILL
