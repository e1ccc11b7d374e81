"""Runs a stack from its start to its end for the command line: signals, foreground, background.

Run as `python -m prefect_cassandra.local.supervisor FD` it is what `local up --detach` starts.
It reads its configuration as JSON from standard input, because a mirror's address in it may hold a
password, which no argument list should show. It reports what happens as lines of JSON on the pipe
`FD`, and lets go of the pipe when the stack is up.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from prefect_cassandra import errors
from prefect_cassandra.errors import (
    INTERRUPTED,
    DataFolderError,
    LocalStackError,
    PrefectCassandraError,
)
from prefect_cassandra.local.guard import find_marked, sweep
from prefect_cassandra.local.parts import log_tail
from prefect_cassandra.local.stack import Event, Stack, StackConfig
from prefect_cassandra.local.state import read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from prefect_cassandra.local.guard import MarkedProcess
    from prefect_cassandra.local.state import StackState

_PAUSE = 0.1
# Flows, worker, server and nodes, each with its own patience, one after the other.
_STOP_TIMEOUT = 180.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Requests:
    """What signals asked for: the first to stop, each further one to hurry."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.stop = threading.Event()
        self.first: signal.Signals | None = None

    def receive(self, number: int, _frame: FrameType | None = None) -> None:
        """Note a signal; safe to run between any two lines of the main thread."""
        if self.first is None:
            self.first = signal.Signals(number)
            self._stack.call_off()
            self.stop.set()
        else:
            self._stack.hurry()

    @property
    def exit_code(self) -> int:
        """Return what a command ends with that did as it was told.

        A Ctrl-C is an interruption; SIGTERM is how `local down` and service managers ask.
        """
        return INTERRUPTED if self.first is signal.SIGINT else 0


@contextmanager
def listening(requests: Requests) -> Iterator[None]:
    """Hear signals while the block runs; the handlers from before come back after it."""
    before = {one: signal.signal(one, requests.receive) for one in _STOP_SIGNALS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def run(
    config: StackConfig,
    report: Callable[[Event], None],
    on_up: Callable[[Stack], None],
) -> int:
    """Start a stack, stay with it until it is asked to stop, stop it.

    Args:
        config: What to start and where.
        report: Told of each event, from several threads.
        on_up: Called once when everything answers.

    Returns:
        The exit code: 0 when asked by SIGTERM, 130 after an interrupt.

    Raises:
        PrefectCassandraError: It did not start, or a part ended by itself; all is stopped.
    """
    stack = Stack(config, report)
    requests = Requests(stack)
    with listening(requests):
        try:
            stack.up()
            on_up(stack)
            stack.watch(requests.stop)
        except PrefectCassandraError:
            # Whatever broke because everything was told to stop is not news.
            if requests.first is None:
                raise
        finally:
            stack.down()
    return requests.exit_code


def start_detached(config: StackConfig, report: Callable[[Event], None]) -> int:
    """Start a stack that outlives this process and return when everything answers.

    Returns:
        The pid of the process that looks after it.

    Raises:
        PrefectCassandraError: As raised over there.
    """
    logs = config.data / "logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = logs / "supervisor.log"
    reading, writing = os.pipe()
    with log.open("ab") as output, os.fdopen(reading, encoding="utf-8") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(writing)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[writing],
        )
        os.close(writing)
        _hand_over(process, config)
        try:
            return _follow(lines, process, report, log)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise


def _hand_over(process: subprocess.Popen[bytes], config: StackConfig) -> None:
    """Write the configuration to a supervisor; one that ended already is noticed elsewhere."""
    if process.stdin is None:
        raise RuntimeError("the supervisor was started without a pipe")
    with suppress(OSError), process.stdin as pipe:
        pipe.write(_to_json(config).encode())


def _follow(
    lines: TextIO,
    process: subprocess.Popen[bytes],
    report: Callable[[Event], None],
    log: Path,
) -> int:
    for line in lines:
        word = json.loads(line)
        if word["kind"] == "event":
            report(Event(**word["event"]))
        elif word["kind"] == "error":
            process.wait()
            raise _rebuild(word)
        elif word["kind"] == "up":
            return process.pid
    code = process.wait()
    raise LocalStackError(
        f"The stack's supervisor ended with exit code {code}.\n{log_tail(log)}",
        hint=f"The whole log: {log}",
    )


def _rebuild(word: dict[str, Any]) -> PrefectCassandraError:
    found = getattr(errors, word["type"], LocalStackError)
    error: PrefectCassandraError = found(word["message"], hint=word["hint"])
    return error


def _to_json(config: StackConfig) -> str:
    return json.dumps(asdict(config), default=str)


def _from_json(text: str) -> StackConfig:
    raw = json.loads(text)
    return StackConfig(**{**raw, "data": Path(raw["data"]), "cache": Path(raw["cache"])})


def stop(folder: Path, report: Callable[[Event], None], timeout: float = _STOP_TIMEOUT) -> bool:
    """Stop the stack of a folder from outside and wait until all of it is gone.

    Args:
        folder: Data folder.
        report: Told of each event.
        timeout: Seconds until the supervisor is killed; the guard then ends the rest.

    Returns:
        Whether anything was running.
    """
    if not folder.exists():
        return False
    state = read_state(folder)
    supervisor = state.supervisor if state else None
    was_running = supervisor is not None and supervisor.is_alive()
    if supervisor is not None and was_running:
        report(Event("stack", "stopping", f"asking pid {supervisor.pid}"))
        with suppress(ProcessLookupError):
            os.kill(supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while supervisor.is_alive() and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        if supervisor.is_alive():
            report(Event("stack", "note", f"pid {supervisor.pid} did not end; killing it"))
            with suppress(ProcessLookupError):
                os.kill(supervisor.pid, signal.SIGKILL)
    leftovers = find_marked(folder)

    def name(one: MarkedProcess) -> None:
        report(Event("stack", "note", f"ending {one.describe()}"))

    remaining = sweep(folder, timeout, on_found=name)
    if remaining:
        raise LocalStackError(
            f"A process of {folder} does not end: {remaining[0].describe()}.",
            hint="It is stuck in the kernel; only a restart of the machine ends it.",
        )
    if was_running or leftovers:
        report(Event("stack", "stopped"))
    return was_running or bool(leftovers)


def require_running(folder: Path) -> StackState:
    """Return the state of the stack that runs on `folder`.

    Raises:
        DataFolderError: Nothing runs there; the hint has the command that starts it.
    """
    state = read_state(folder) if folder.exists() else None
    if state is None or not state.is_supervised():
        raise DataFolderError(
            f"No stack is running on {folder}.",
            hint=f"prefect-cassandra local up --data {folder}",
        )
    return state


def main(arguments: list[str]) -> int:
    """Be the process behind `--detach`."""
    config = _from_json(sys.stdin.read())
    pipe = os.fdopen(int(arguments[0]), "w", encoding="utf-8")
    lock = threading.Lock()

    def tell(**word: Any) -> None:
        # After the start nobody reads any more.
        with lock, suppress(OSError, ValueError):
            print(json.dumps(word), file=pipe, flush=True)

    def on_up(_stack: Stack) -> None:
        tell(kind="up")
        pipe.close()

    try:
        return run(config, lambda event: tell(kind="event", event=asdict(event)), on_up)
    except PrefectCassandraError as error:
        tell(kind="error", type=type(error).__name__, message=error.message, hint=error.hint)
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
