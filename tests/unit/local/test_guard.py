from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.local.guard import (
    BRANCH,
    FAREWELL,
    MARK,
    find_marked,
    mark_of,
    next_signal,
    sweep,
)
from prefect_cassandra.local.node import STACK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

OBEDIENT = "print('here', flush=True); import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"


@contextmanager
def marked(folder: Path, code: str = OBEDIENT, branch: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run a process that carries the mark of a folder."""
    environment = {**os.environ, MARK: mark_of(folder), BRANCH: branch}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "here\n"
        yield process
        process.kill()


def reap(process: subprocess.Popen[str]) -> int:
    return process.wait(5)


@pytest.mark.parametrize(
    ("asked", "overdue", "expected"),
    [
        (False, False, signal.SIGTERM),
        (True, False, None),
        (True, True, signal.SIGKILL),
        (False, True, signal.SIGKILL),
    ],
)
def test_next_signal_asks_once_then_kills(
    *, asked: bool, overdue: bool, expected: signal.Signals | None
) -> None:
    assert next_signal(asked=asked, overdue=overdue) == expected


def test_find_marked_sees_only_the_folder_and_the_branch(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    with marked(mine) as node, marked(mine, branch="worker") as flow, marked(other):
        assert [one.pid for one in find_marked(mine)] == [node.pid, flow.pid]
        assert [one.pid for one in find_marked(mine, branch="worker")] == [flow.pid]


def test_sweep_names_then_ends_an_obedient_process(tmp_path: Path) -> None:
    named: list[str] = []
    with marked(tmp_path) as process:
        assert sweep(tmp_path, 30.0, on_found=lambda one: named.append(one.describe())) == []
        assert reap(process) == -signal.SIGTERM
    assert len(named) == 1
    assert named[0].startswith(f"pid {process.pid}, since {time.strftime('%Y-%m-%d')}")
    assert "time.sleep" in named[0]


def test_sweep_kills_what_ignores_the_request(tmp_path: Path) -> None:
    with marked(tmp_path, STUBBORN) as process:
        assert sweep(tmp_path, 0.2) == []
        assert reap(process) == -signal.SIGKILL


def test_sweep_kills_at_once_in_a_hurry(tmp_path: Path) -> None:
    began = time.monotonic()
    with marked(tmp_path, STUBBORN) as process:
        assert sweep(tmp_path, 60.0, hurry=lambda: True) == []
        assert reap(process) == -signal.SIGKILL
    assert time.monotonic() - began < 30


@contextmanager
def guarded(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "prefect_cassandra.local.guard", str(folder), "0.2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as guard:
        yield guard
        guard.kill()


def test_guard_ends_what_a_vanished_supervisor_left(tmp_path: Path) -> None:
    with marked(tmp_path) as process, guarded(tmp_path) as guard:
        output, _ = guard.communicate(timeout=20)
        assert reap(process) == -signal.SIGTERM
        assert guard.returncode == 0
        assert f"ending pid {process.pid}" in output


def test_guard_leaves_everything_alone_after_the_farewell(tmp_path: Path) -> None:
    with marked(tmp_path) as process, guarded(tmp_path) as guard:
        guard.communicate(FAREWELL.decode(), timeout=20)
        assert guard.returncode == 0
        assert process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads the signal masks of /proc")
def test_guard_outlives_the_signals_of_a_terminal(tmp_path: Path) -> None:
    with marked(tmp_path) as process, guarded(tmp_path) as guard:
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        while not all(_ignored(guard.pid) >> (number - 1) & 1 for number in signals):
            assert guard.poll() is None
        for number in signals:
            guard.send_signal(number)
        guard.communicate(timeout=20)
        assert guard.returncode == 0
        assert reap(process) == -signal.SIGTERM


def _ignored(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("SigIgn:")[2].split()[0], 16)


def test_guard_imports_neither_prefect_nor_the_driver() -> None:
    code = "import sys, prefect_cassandra.local.guard; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "psutil" in modules
    assert not {"prefect", "cassandra", "yaml", "rich", "pydantic"} & set(modules)


def test_nodes_carry_the_mark_the_guard_looks_for() -> None:
    assert STACK_VARIABLE == MARK
