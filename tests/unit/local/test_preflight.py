from __future__ import annotations

import os
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import PortInUseError, ResourceError
from prefect_cassandra.local import preflight
from prefect_cassandra.local.preflight import Endpoint, Facts, Needs, problems

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024
CQL = Endpoint("127.0.0.1", 9042, "CQL of node1 (--cql-port)")
JMX = Endpoint("127.0.0.1", 7199, "JMX of node1 (--jmx-port)")
NEEDS = Needs(
    endpoints=(CQL, JMX),
    memory=1000 * MIB,
    data_folder=Path("/data"),
    data_disk=500 * MIB,
    cache_folder=Path("/cache"),
    cache_disk=150 * MIB,
)
ENOUGH = Facts(busy={}, missing=(), memory=1000 * MIB, data_disk=500 * MIB, cache_disk=150 * MIB)


@pytest.mark.parametrize(
    ("facts", "kind", "message", "way_out"),
    [
        (
            replace(ENOUGH, busy={CQL: "java (pid 77)"}),
            PortInUseError,
            "127.0.0.1:9042 is needed for CQL of node1 (--cql-port) and in use by java (pid 77).",
            "another port",
        ),
        (
            replace(ENOUGH, busy={JMX: ""}),
            PortInUseError,
            "127.0.0.1:7199 is needed for JMX of node1 (--jmx-port) and in use by another process.",
            "another port",
        ),
        (
            replace(ENOUGH, missing=("127.0.0.2",)),
            ResourceError,
            "This machine has no address 127.0.0.2, which a node of three needs.",
            "sudo ifconfig lo0 alias 127.0.0.2 up",
        ),
        (
            replace(ENOUGH, memory=999 * MIB),
            ResourceError,
            "The stack needs about 1,000 MiB of memory, 999 MiB is available.",
            "--heap",
        ),
        (
            replace(ENOUGH, data_disk=499 * MIB),
            ResourceError,
            "/data needs about 500 MiB of disk, 499 MiB is free.",
            "--data PATH",
        ),
        (
            replace(ENOUGH, cache_disk=10 * MIB),
            ResourceError,
            "/cache needs about 150 MiB of disk, 10 MiB is free.",
            "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_CACHE_FOLDER",
        ),
    ],
)
def test_problems_name_the_thing_and_the_way_out(
    facts: Facts, kind: type[Exception], message: str, way_out: str
) -> None:
    (problem,) = problems(NEEDS, facts)
    assert type(problem) is kind
    assert problem.message == message
    assert way_out in problem.hint


def test_problems_are_none_when_there_is_just_enough() -> None:
    assert problems(NEEDS, ENOUGH) == []


def test_problems_are_all_named_at_once() -> None:
    facts = Facts(
        busy={CQL: "", JMX: ""}, missing=("127.0.0.2",), memory=0, data_disk=0, cache_disk=0
    )
    assert len(problems(NEEDS, facts)) == 6


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_check_names_the_process_that_listens_on_a_port(taken: int, tmp_path: Path) -> None:
    endpoint = Endpoint("127.0.0.1", taken, "the Prefect server (--server-port)")
    needs = Needs((endpoint,), 0, tmp_path, 0, tmp_path / "not" / "there", 0)
    with pytest.raises(PortInUseError) as caught:
        preflight.check(needs)
    assert f"127.0.0.1:{taken}" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message


def test_check_mentions_the_other_problems(taken: int, tmp_path: Path) -> None:
    endpoint = Endpoint("127.0.0.1", taken, "the Prefect server (--server-port)")
    needs = Needs((endpoint,), 1 << 60, tmp_path, 0, tmp_path, 0)
    with pytest.raises(PortInUseError, match=r"also: The stack needs about .* of memory"):
        preflight.check(needs)


def test_check_passes_on_a_free_port_and_leaves_it_free(taken: int, tmp_path: Path) -> None:
    free = Endpoint("127.0.0.2", taken, "CQL of node2 (--cql-port)")
    preflight.check(Needs((free,), 0, tmp_path, 0, tmp_path, 0))
    with closing(socket.create_server(("127.0.0.2", taken))):
        pass


def test_look_around_reports_an_address_of_another_machine(tmp_path: Path) -> None:
    # TEST-NET-1 of RFC 5737 belongs to nobody.
    foreign = Endpoint("192.0.2.1", 9042, "CQL of node2 (--cql-port)")
    assert preflight.look_around(Needs((foreign,), 0, tmp_path, 0, tmp_path, 0)).missing == (
        "192.0.2.1",
    )


def group(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/app\n", {"app/memory.max": "1000\n", "app/memory.current": "400\n"}, 600),
        ("0::/\n", {"memory.max": "1000\n", "memory.current": "1200\n"}, 0),
        (
            "0::/\n",
            {
                "memory.max": "1000\n",
                "memory.current": "400\n",
                "memory.stat": "anon 300\ninactive_file 100\n",
            },
            700,
        ),
        (
            "0::/pod/app\n",
            {
                "pod/app/memory.max": "max\n",
                "pod/app/memory.current": "1\n",
                "pod/memory.max": "900\n",
                "pod/memory.current": "100\n",
            },
            800,
        ),
        (
            "9:cpu:/x\n5:memory:/docker/a\n",
            {
                "memory/docker/a/memory.limit_in_bytes": "500\n",
                "memory/docker/a/memory.usage_in_bytes": "100\n",
            },
            400,
        ),
    ],
    ids=["v2", "v2 used up", "v2 with file cache", "v2 limit of the parent", "v1"],
)
def test_available_memory_honours_control_groups(
    tmp_path: Path, cgroup: str, files: dict[str, str], expected: int
) -> None:
    assert preflight.available_memory(group(tmp_path, cgroup, files)) == expected


@pytest.mark.parametrize("limit", ["max\n", "9223372036854771712\n"])
def test_available_memory_is_the_machines_without_a_limit(tmp_path: Path, limit: str) -> None:
    root = group(tmp_path, "0::/\n", {"memory.max": limit, "memory.current": "1\n"})
    assert preflight.available_memory(root) > 64 * MIB
