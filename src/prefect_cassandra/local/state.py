"""What the data folder knows about its stack: `stack.json`, and the lock of who runs it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from typing import IO, TYPE_CHECKING, Literal, Self

import psutil

from prefect_cassandra.errors import DataFolderError

if TYPE_CHECKING:
    from pathlib import Path

# Raised when a newer version of this package can no longer use a folder an older one made.
LAYOUT = 1
STATE_FILE = "stack.json"
LOCK_FILE = "lock"

Phase = Literal["starting", "running", "stopping", "stopped"]

# A start time is the same number whoever asks; the slack is for clocks that were set meanwhile.
_SLACK = 2.0


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for ever: a pid alone is given to another process some day.

    Args:
        pid: Process id.
        started: Unix time at which it started.
    """

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Return the identity of a running process, None when there is none."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, process.create_time())
        except psutil.Error:
            return None

    def is_alive(self) -> bool:
        """Tell whether this very process still runs."""
        now = Identity.of(self.pid)
        return now is not None and abs(now.started - self.started) < _SLACK


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One part of a running stack, as written to `stack.json`."""

    name: str
    identity: Identity
    address: str
    log: str


@dataclass(frozen=True, slots=True)
class StackState:
    """The content of `stack.json`.

    What describes the data (versions, number of nodes, ports) stays after the stack was stopped, so
    that the next start can tell whether it fits.
    """

    cassandra: str
    nodes: int
    tls: bool
    prefect: bool
    ports: dict[str, int]
    api_url: str | None = None
    phase: Phase = "stopped"
    supervisor: Identity | None = None
    parts: list[PartRecord] = field(default_factory=list)
    layout: int = LAYOUT

    def stopped(self) -> StackState:
        """Return the same data without anything that runs."""
        return replace(self, phase="stopped", supervisor=None, parts=[])

    def is_supervised(self) -> bool:
        """Tell whether the process that wrote it still looks after the stack."""
        return self.supervisor is not None and self.supervisor.is_alive()


def read_state(folder: Path) -> StackState | None:
    """Read `stack.json`; None when the folder has none.

    Raises:
        DataFolderError: The file is damaged or of a newer layout.
    """
    path = folder / STATE_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["layout"] > LAYOUT:
            raise DataFolderError(
                f"{folder} has layout {raw['layout']}, this version knows layouts up to {LAYOUT}.",
                hint="Upgrade prefect-cassandra, or use another folder with --data.",
            )
        supervisor = raw.pop("supervisor")
        parts = raw.pop("parts")
        return StackState(
            **raw,
            supervisor=Identity(**supervisor) if supervisor else None,
            parts=[PartRecord(**{**one, "identity": Identity(**one["identity"])}) for one in parts],
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DataFolderError(
            f"{path} is damaged: {error}.",
            hint=f"Use another folder with --data, or delete {folder} with all its data.",
        ) from error


def write_state(folder: Path, state: StackState) -> None:
    """Write `stack.json` so that a reader sees the old file or the new one, never half of one."""
    path = folder / STATE_FILE
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    draft.replace(path)


def check_fits(folder: Path, found: StackState | None, wanted: StackState) -> None:
    """Compare what a folder holds with what is to be started on it.

    Raises:
        DataFolderError: Another Cassandra, number of nodes or layout; the hint has the way out.
    """
    if found is None:
        return
    elsewhere = f"use another folder with --data, or delete {folder} with all its data."
    if found.layout < LAYOUT:
        raise DataFolderError(
            f"{folder} has layout {found.layout} of an older version of this package.",
            hint=f"Layout {LAYOUT} is needed: {elsewhere}",
        )
    if found.cassandra != wanted.cassandra:
        raise DataFolderError(
            f"{folder} was written by Cassandra {found.cassandra}, this is {wanted.cassandra}.",
            hint=f"Use the version of this package that has {found.cassandra}, {elsewhere}",
        )
    if found.nodes != wanted.nodes:
        raise DataFolderError(
            f"{folder} holds {found.nodes} node(s), {wanted.nodes} were asked for.",
            hint=f"Start it with --nodes {found.nodes}, {elsewhere}",
        )
    # Three nodes know each other by address and port; with other ports they would be strangers.
    if found.nodes > 1 and found.ports.get("storage") != wanted.ports.get("storage"):
        raise DataFolderError(
            f"The nodes in {folder} speak to each other on port {found.ports.get('storage')}, "
            f"not {wanted.ports.get('storage')}.",
            hint=f"Start it with --storage-port {found.ports.get('storage')}, {elsewhere}",
        )


class FolderLock:
    """Held by whoever runs the stack of a folder; the kernel lets go of it with the process.

    Args:
        folder: Data folder; must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock at once or not at all.

        Raises:
            DataFolderError: Another process holds it; the message has its pid.
        """
        file = (self._folder / LOCK_FILE).open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise DataFolderError(
                f"{self._folder} is in use by {holder}.",
                hint=(
                    f"prefect-cassandra local status --data {self._folder} shows it, "
                    f"local down --data {self._folder} stops it; or use another folder."
                ),
            ) from error
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"process {os.getpid()} since {since}")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let go; does nothing when it is not held."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def is_held(self) -> bool:
        """Tell whether this object holds it."""
        return self._file is not None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
