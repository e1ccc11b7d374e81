"""What must hold before anything is started: ports, loopback addresses, memory, disk.

`look_around` gathers facts and does nothing else; `problems` decides and touches nothing.
"""

from __future__ import annotations

import errno
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from prefect_cassandra.errors import LocalStackError, PortInUseError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MIB = 1024 * 1024
# Resident memory of a node beyond its heap: metaspace, code, network buffers, memory-mapped files.
NODE_OVERHEAD = 600 * _MIB
# Server, worker and one flow run, measured together.
PREFECT_MEMORY = 600 * _MIB
# A node with its commit log and the demo's tables; the jars with their class-data archive.
NODE_DISK = 1024 * _MIB
CACHE_DISK = 150 * _MIB

_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 -- compared with, not bound to

# A process on its way out keeps its ports for a moment in which nobody can tell whose they are.
_PATIENCE = 3.0
_PAUSE = 0.1

# cgroup v1 writes "no limit" as the largest page-aligned number.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address a part is to listen on.

    Args:
        host: Loopback address.
        port: TCP port.
        purpose: What listens there, with the option that moves it.
    """

    host: str
    port: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What a stack needs of its machine; bytes where it is a size."""

    endpoints: tuple[Endpoint, ...]
    memory: int
    data_folder: Path
    data_disk: int
    cache_folder: Path
    cache_disk: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the machine has.

    Args:
        busy: Endpoints where something listens already, with the process if it can be told.
        missing: Addresses this machine does not have.
        memory: Bytes that can still be used, with the limits of our control group in mind.
        data_disk: Free bytes where the data folder is.
        cache_disk: Free bytes where the cache folder is.
    """

    busy: Mapping[Endpoint, str]
    missing: tuple[str, ...]
    memory: int
    data_disk: int
    cache_disk: int


def problems(needs: Needs, facts: Facts) -> list[LocalStackError]:
    """Compare; every problem is named, in the order in which people would mend them."""
    found: list[LocalStackError] = []
    found += [_missing(address) for address in facts.missing]
    found += [_busy(endpoint, holder) for endpoint, holder in sorted(facts.busy.items())]
    if facts.memory < needs.memory:
        found.append(
            ResourceError(
                f"The stack needs about {_size(needs.memory)} of memory, "
                f"{_size(facts.memory)} is available.",
                hint="Close something, use fewer --nodes, a smaller --heap, or --no-prefect.",
            )
        )
    places = [
        (needs.data_folder, needs.data_disk, facts.data_disk, "--data PATH"),
        (
            needs.cache_folder,
            needs.cache_disk,
            facts.cache_disk,
            "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_CACHE_FOLDER",
        ),
    ]
    found += [
        ResourceError(
            f"{folder} needs about {_size(needed)} of disk, {_size(free)} is free.",
            hint=f"Free some, or name a folder on another disk with {way_out}.",
        )
        for folder, needed, free, way_out in places
        if free < needed
    ]
    return found


def check(needs: Needs) -> None:
    """Look around and refuse to start when something is in the way.

    Raises:
        PortInUseError: A port is taken.
        ResourceError: An address, memory or disk is missing.
    """
    deadline = time.monotonic() + _PATIENCE
    facts = look_around(needs)
    while "" in facts.busy.values() and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        facts = look_around(needs)
    found = problems(needs, facts)
    if not found:
        return
    first, *others = found
    also = "".join(f"\n  also: {other.message}" for other in others)
    raise type(first)(first.message + also, hint=first.hint)


def _missing(address: str) -> ResourceError:
    return ResourceError(
        f"This machine has no address {address}, which a node of three needs.",
        hint=f"On macOS: sudo ifconfig lo0 alias {address} up; or use --nodes 1.",
    )


def _busy(endpoint: Endpoint, holder: str) -> PortInUseError:
    return PortInUseError(
        f"{endpoint.host}:{endpoint.port} is needed for {endpoint.purpose} "
        f"and in use by {holder or 'another process'}.",
        hint="End that process, or choose another port with the option named.",
    )


def _size(count: int) -> str:
    return f"{count / _MIB:,.0f} MiB"


def look_around(needs: Needs) -> Facts:
    """Gather the facts; starts nothing and leaves nothing."""
    busy: list[Endpoint] = []
    missing: list[str] = []
    for endpoint in needs.endpoints:
        reason = _refusal(endpoint.host, endpoint.port)
        if reason == errno.EADDRNOTAVAIL:
            missing.append(endpoint.host)
        elif reason == errno.EADDRINUSE:
            busy.append(endpoint)
    return Facts(
        busy={endpoint: listener(endpoint.host, endpoint.port) for endpoint in busy},
        missing=tuple(sorted(set(missing))),
        memory=available_memory(),
        data_disk=_free(needs.data_folder),
        cache_disk=_free(needs.cache_folder),
    )


def _refusal(host: str, port: int) -> int | None:
    """Return why nothing could listen there, None when it could."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that were closed a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno
    return None


def listener(host: str, port: int) -> str:
    """Return who listens on an address, empty when that cannot be told.

    macOS tells only root; others get no name.
    """
    # A wildcard listener takes the port on every address.
    hosts = {host, f"::ffff:{host}", *_WILDCARDS}
    with suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status != psutil.CONN_LISTEN or not one.pid or not one.laddr:
                continue
            if one.laddr.port == port and one.laddr.ip in hosts:
                return f"{psutil.Process(one.pid).name()} (pid {one.pid})"
    return ""


def _free(folder: Path) -> int:
    """Return the free bytes of the file system that `folder` is or will be on."""
    for place in (folder, *folder.parents):
        if place.exists():
            return shutil.disk_usage(place).free
    return 0


def available_memory(root: Path = Path("/")) -> int:
    """Return the bytes that can still be used: the machine's, or less in a container.

    Args:
        root: Where `/proc` and `/sys` are; for tests.
    """
    return min([psutil.virtual_memory().available, *_group_limits(root)])


def _group_limits(root: Path) -> Sequence[int]:
    """Return what our control groups still allow, from the innermost to the outermost."""
    limits = []
    for group in _group_folders(root):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _number(group / limit_name), _number(group / used_name)
            if limit is None or used is None or limit >= _NO_LIMIT:
                continue
            # What only caches files is given back on demand.
            limits.append(max(0, limit - used + _cached(group / "memory.stat")))
    return limits


def _group_folders(root: Path) -> list[Path]:
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        own = top / path.lstrip("/")
        folders += [one for one in (own, *own.parents) if one == top or top in one.parents]
    return folders


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _cached(path: Path) -> int:
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii").splitlines():
            name, value = line.split()
            if name in {"inactive_file", "total_inactive_file"}:
                return int(value)
    return 0
