"""What runs of a stack right now, seen from any process."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import psutil

from prefect_cassandra.local.guard import find_marked
from prefect_cassandra.local.state import read_state

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.local.state import PartRecord, StackState

Verdict = Literal["running", "starting", "stopping", "stopped", "broken"]


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part as it is now.

    Args:
        name: Its name.
        pid: Process id.
        since: Unix time of its start.
        address: Where it answers, empty when it only asks.
        log: Its log file.
        memory: Resident bytes; 0 when it is gone.
        alive: Whether the process is there.
    """

    name: str
    pid: int
    since: float
    address: str
    log: str
    memory: int
    alive: bool


@dataclass(frozen=True, slots=True)
class StackStatus:
    """A stack as it is now.

    Args:
        verdict: `running` when all parts are there and looked after; `broken` when only some are,
            or nobody looks after them.
        folder: Data folder.
        supervisor: Pid of the process that looks after it, None when there is none.
        cassandra: Version of the data, None in an empty folder.
        api_url: Prefect's API.
        parts: What was started.
        others: Further processes of the stack: flow runs, tools, or what was left behind.
    """

    verdict: Verdict
    folder: str
    supervisor: int | None
    cassandra: str | None
    nodes: int
    tls: bool
    ports: dict[str, int]
    api_url: str | None
    parts: list[PartStatus]
    others: list[PartStatus]

    @property
    def exit_code(self) -> int:
        """Return 0 when the stack runs, 1 otherwise: a negative finding."""
        return 0 if self.verdict == "running" else 1


def read_status(folder: Path) -> StackStatus:
    """Look at the stack of a data folder.

    Raises:
        DataFolderError: `stack.json` is damaged or of a newer version.
    """
    state = read_state(folder) if folder.exists() else None
    parts = [_part(one) for one in state.parts] if state else []
    known = {one.pid for one in parts}
    others = [
        PartStatus(one.command, one.pid, one.started, "", "", _memory(one.pid), alive=True)
        for one in find_marked(folder)
        if one.pid not in known
    ]
    supervised = state is not None and state.is_supervised()
    # A stopped stack's pids say nothing; what carries its mark does.
    return StackStatus(
        verdict=judge(state, parts, supervised=supervised, others=len(others)),
        folder=str(folder),
        supervisor=state.supervisor.pid if state and state.supervisor and supervised else None,
        cassandra=state.cassandra if state else None,
        nodes=state.nodes if state else 0,
        tls=state.tls if state else False,
        ports=state.ports if state else {},
        api_url=state.api_url if state else None,
        parts=parts if supervised or any(one.alive for one in parts) else [],
        others=others,
    )


def judge(
    state: StackState | None, parts: list[PartStatus], *, supervised: bool, others: int
) -> Verdict:
    """Decide what to call it."""
    if not supervised:
        return "broken" if others or any(one.alive for one in parts) else "stopped"
    if state is None or state.phase == "stopped":
        return "broken" if others else "stopped"
    if state.phase != "running":
        return state.phase
    return "running" if parts and all(one.alive for one in parts) else "broken"


def _part(record: PartRecord) -> PartStatus:
    alive = record.identity.is_alive()
    return PartStatus(
        name=record.name,
        pid=record.identity.pid,
        since=record.identity.started,
        address=record.address,
        log=record.log,
        memory=_memory(record.identity.pid) if alive else 0,
        alive=alive,
    )


def _memory(pid: int) -> int:
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def age(since: float) -> str:
    """Say how long ago a Unix time was."""
    seconds = max(0, int(time.time() - since))
    if seconds < 120:  # noqa: PLR2004 -- minutes below two are better read as seconds
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"  # noqa: PLR2004 -- the same
