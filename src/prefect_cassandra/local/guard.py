"""Ends every process of a stack whose supervisor died without doing so itself.

Run as `python -m prefect_cassandra.local.guard FOLDER GRACE` with a pipe from the supervisor on
standard input. The kernel closes that pipe however the supervisor ends, SIGKILL included, and the
end of the file is the alarm. Only the standard library and psutil are imported: this process lives
as long as the stack.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Children inherit it, so a flow run carries it through its worker although nobody noted its pid.
MARK = "PREFECT_CASSANDRA_STACK"
# The worker carries this beside the mark, and so do the flow runs it starts.
BRANCH = "PREFECT_CASSANDRA_BRANCH"
FAREWELL = b"done"

_PAUSE = 0.1
# After SIGKILL only a process stuck in the kernel remains; waiting longer would not help.
_LAST_WAIT = 5.0
_COMMAND_WIDTH = 120


@dataclass(frozen=True, slots=True)
class MarkedProcess:
    """A running process that belongs to a stack.

    Args:
        pid: Process id.
        started: Unix time at which it started; with the pid it names one process for ever.
        command: Its command line, shortened.
        branch: Whose descendant it is, `worker` for flow runs; empty for all others.
    """

    pid: int
    started: float
    command: str
    branch: str = ""

    def describe(self) -> str:
        """Say in one line which process it is and since when."""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started))
        return f"pid {self.pid}, since {since}: {self.command}"


def mark_of(folder: Path) -> str:
    """Return the value of the mark for one data folder."""
    return str(folder.resolve())


def unmarked(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a process that outlives, or does not belong to, the stack."""
    return {name: value for name, value in environment.items() if name not in {MARK, BRANCH}}


def find_marked(folder: Path, *, branch: str = "") -> list[MarkedProcess]:
    """List the running processes that carry the mark of `folder`, oldest first.

    Args:
        folder: Data folder of the stack.
        branch: Only those of this branch; empty means all.
    """
    wanted = mark_of(folder)
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        # Other people's processes and those that end meanwhile cannot be asked, and are not ours.
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            if environment.get(MARK) == wanted:
                found.append(_describe(process, environment.get(BRANCH, "")))
    return sorted((one for one in found if branch in {"", one.branch}), key=lambda one: one.started)


def _describe(process: psutil.Process, branch: str) -> MarkedProcess:
    command = shlex.join(process.cmdline()) or process.name()
    if len(command) > _COMMAND_WIDTH:
        command = command[: _COMMAND_WIDTH - 3] + "..."
    return MarkedProcess(process.pid, process.create_time(), command, branch)


def next_signal(*, asked: bool, overdue: bool) -> signal.Signals | None:
    """Decide what a process gets now: a request, then patience, then the end."""
    if overdue:
        return signal.SIGKILL
    return None if asked else signal.SIGTERM


def sweep(
    folder: Path,
    grace: float,
    *,
    branch: str = "",
    hurry: Callable[[], bool] = lambda: False,
    on_found: Callable[[MarkedProcess], None] = lambda _process: None,
) -> list[MarkedProcess]:
    """End every process with the mark of `folder`, also those that appear meanwhile.

    Args:
        folder: Data folder of the stack.
        grace: Seconds between the request (SIGTERM) and the end (SIGKILL).
        branch: Only processes of this branch; empty means all.
        hurry: Asked again and again; true ends the patience.
        on_found: Told of each process before it gets its first signal.

    Returns:
        What is still there although it was killed; normally nothing.
    """
    asked: dict[int, MarkedProcess] = {}
    began = time.monotonic()
    while running := _running(folder, branch, asked):
        waited = time.monotonic() - began
        if waited > grace + _LAST_WAIT:
            return running
        overdue = waited > grace or hurry()
        for one in running:
            is_asked = asked.get(one.pid) == one
            if not is_asked:
                on_found(one)
                asked[one.pid] = one
            chosen = next_signal(asked=is_asked, overdue=overdue)
            if chosen is not None:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, chosen)
        time.sleep(_PAUSE)
    return []


def _running(folder: Path, branch: str, asked: Mapping[int, MarkedProcess]) -> list[MarkedProcess]:
    """List the marked processes, and those that were found before and are not quite gone.

    A process on its way out has no environment any more and still holds its ports for a moment.
    """
    found = find_marked(folder, branch=branch)
    known = {one.pid for one in found}
    return found + [one for pid, one in asked.items() if pid not in known and _exists(one)]


def _exists(one: MarkedProcess) -> bool:
    with suppress(psutil.Error):
        process = psutil.Process(one.pid)
        # One that only waits for its parent to read its exit code holds nothing.
        is_same = process.create_time() == one.started
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    return False


def main(arguments: list[str]) -> int:
    """Wait for the supervisor's end; sweep unless it said that all is done."""
    folder, grace = Path(arguments[0]), float(arguments[1])
    # A signal to the terminal's processes must not take away the last one who cleans up.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read() == FAREWELL:
        return 0
    _say(f"the supervisor of {folder} is gone; ending what it left")
    remaining = sweep(folder, grace, on_found=lambda one: _say(f"ending {one.describe()}"))
    for one in remaining:
        _say(f"still there: {one.describe()}")
    return 1 if remaining else 0


def _say(text: str) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    sys.stdout.write(f"{now} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
