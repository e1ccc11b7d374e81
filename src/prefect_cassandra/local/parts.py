"""What a stack is made of: a part is one process with a name, an address and a log."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Protocol

from prefect_cassandra.errors import LocalStackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PAUSE = 0.05
_TAIL_LINES = 12
_TAIL_BYTES = 16_384


class Part(Protocol):
    """One process of a stack."""

    @property
    def name(self) -> str:
        """Return the name people see, such as `server`."""
        ...

    @property
    def address(self) -> str:
        """Return where it answers, empty when it only asks."""
        ...

    @property
    def log(self) -> Path:
        """Return the file it writes its log to."""
        ...

    @property
    def pid(self) -> int | None:
        """Return its process id, None before it was started."""
        ...

    def ended(self) -> str:
        """Say how it ended; empty while it runs and before it was started."""
        ...

    def log_tail(self) -> str:
        """Return the last lines of its log that matter."""
        ...

    def stop(self, timeout: float) -> object:
        """Ask it to end; kill it after `timeout` seconds."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


@dataclass
class Child:
    """A part that is a child process of ours, in a session of its own.

    A session of its own, because Ctrl-C goes to everything in the terminal's foreground group: only
    the supervisor may hear it and end the parts in order.

    Args:
        name: Name people see.
        command: Program and arguments; nothing secret.
        environment: The whole environment.
        log: File for both output streams.
        address: Where it answers, empty when it only asks.
        stop_signal: What asks it to end.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    address: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self) -> None:
        """Start the process; returns at once.

        Standard input is a pipe to us, so that a child may wait for a word or notice our end.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """Return the process id, None before the start."""
        return self._process.pid if self._process else None

    @property
    def stdin(self) -> IO[bytes]:
        """Return our end of the pipe to its standard input."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.stdin

    def say(self, word: bytes, *, last: bool = False) -> None:
        """Write to its standard input; a process that is gone is noticed elsewhere."""
        with suppress(OSError):
            self.stdin.write(word)
            self.stdin.flush()
        if last:
            with suppress(OSError):
                self.stdin.close()

    def ended(self) -> str:
        """Say how it ended; empty while it runs and before it was started."""
        code = self._process.poll() if self._process else None
        return "" if code is None else describe_exit(code)

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        return log_tail(self.log)

    def is_running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self, timeout: float) -> None:
        """Ask the process to end, kill it after `timeout` seconds, and reap it."""
        if self._process is None:
            return
        if self.is_running():
            self._process.send_signal(self.stop_signal)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()

    def kill(self) -> None:
        """End the process at once; `stop` in another thread then returns."""
        if self.is_running() and self._process:
            self._process.kill()


def log_tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])


def describe_exit(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"ended by itself with exit code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def crash(part: Part) -> LocalStackError:
    """Build the error for a part that ended although nobody asked it to."""
    tail = part.log_tail()
    shown = f"; the end of its log:\n{tail}" if tail else " and wrote no log."
    return LocalStackError(f"{part.name} {part.ended()}{shown}", hint=f"The whole log: {part.log}")


def wait_for(
    condition: Callable[[], bool],
    part: Part,
    timeout: float,
    *,
    what: str,
    aborted: Callable[[], bool],
) -> None:
    """Wait until `condition` holds.

    Args:
        condition: Asked again and again; must return quickly.
        part: Whose condition it is; its end ends the wait.
        timeout: Seconds.
        what: What is waited for, for the error: `answer on http://...`.
        aborted: Asked again and again; true ends the wait.

    Raises:
        LocalStackError: The part ended, time ran out or the start was called off.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if part.ended():
            raise crash(part)
        if aborted():
            raise LocalStackError(f"The start of {part.name} was called off.")
        if time.monotonic() > deadline:
            raise LocalStackError(
                f"{part.name} did not {what} within {timeout:.0f} s.\n{part.log_tail()}",
                hint=(
                    f"Read {part.log}; on a slow machine raise "
                    "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_START_TIMEOUT."
                ),
            )
        time.sleep(_PAUSE)
