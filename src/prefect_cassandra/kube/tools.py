"""Runs docker, kind, helm, kubectl and git: found on the PATH, quoted when they fail."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError, PlatformTimeoutError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_TAIL = 25
_TICK = 5.0
_WHAT_FOR = {
    "docker": "builds the images and runs kind's nodes",
    "kind": "makes a Kubernetes cluster on this machine",
    "helm": "installs the chart",
    "kubectl": "speaks to the cluster",
}


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended.

    Args:
        code: Exit code.
        output: What it wrote to standard output.
        errors: What it wrote to standard error.
    """

    code: int
    output: str
    errors: str

    def tail(self) -> str:
        """Return the last lines of what it said, errors last."""
        lines = [*self.output.strip().splitlines(), *self.errors.strip().splitlines()]
        return "\n".join(lines[-_TAIL:])


def find(tool: str) -> str:
    """Return the path of a tool.

    Raises:
        ConfigurationError: It is not on the PATH.
    """
    path = shutil.which(tool)
    if path is None:
        purpose = f", which {_WHAT_FOR[tool]}," if tool in _WHAT_FOR else ""
        raise ConfigurationError(
            f"{tool}{purpose} is not on the PATH.", hint=f"Install {tool} and try again."
        )
    return path


def require(*tools: str) -> None:
    """Check that all tools are there, before anything is done.

    Raises:
        ConfigurationError: One is not; the message names it.
    """
    for tool in tools:
        find(tool)


def attempt(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120.0,
    folder: Path | None = None,
    tick: Callable[[], None] | None = None,
) -> Done:
    """Run a command and return how it ended, well or not.

    Args:
        command: Tool and arguments.
        stdin: What it reads.
        timeout: Seconds it may take.
        folder: Folder to run in.
        tick: Called every few seconds while it runs; when it raises, the command is ended.

    Raises:
        PlatformTimeoutError: It took too long and was ended.
    """
    deadline = time.monotonic() + timeout
    with subprocess.Popen(
        [find(command[0]), *command[1:]],
        cwd=folder,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            while True:
                left = max(0.0, deadline - time.monotonic())
                try:
                    output, errors = process.communicate(stdin, timeout=min(left, _TICK))
                except subprocess.TimeoutExpired:
                    if time.monotonic() >= deadline:
                        raise
                    stdin = None  # is on its way already, and may not be given twice
                    if tick is not None:
                        tick()
                    continue
                return Done(process.returncode, output, errors)
        except subprocess.TimeoutExpired as error:
            raise PlatformTimeoutError(
                f"`{_shown(command)}` did not end within {timeout:.0f} s."
            ) from error
        finally:
            # Left by an exception; ended politely, because helm releases its lock on the way out.
            if process.poll() is None:
                _end(process)


def run(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120.0,
    folder: Path | None = None,
    tick: Callable[[], None] | None = None,
) -> str:
    """Run a command and return its standard output; the arguments are those of `attempt`.

    Raises:
        ToolError: It failed; the message quotes its last lines.
        PlatformTimeoutError: It took too long and was ended.
    """
    done = attempt(command, stdin=stdin, timeout=timeout, folder=folder, tick=tick)
    if done.code:
        raise ToolError(f"`{_shown(command)}` failed with exit code {done.code}:\n{done.tail()}")
    return done.output


def _shown(command: Sequence[str]) -> str:
    words = [word for word in command if not word.startswith("-")]
    return f"{' '.join(words[:4])} ..." if len(command) > len(words[:4]) else " ".join(command)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
