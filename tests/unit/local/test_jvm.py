from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.local.jvm import (
    NODETOOL,
    SERVER,
    heap_flags,
    nodetool_command,
    runtime_flags,
    server_command,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.local.config import NodeSpec
    from prefect_cassandra.local.jvm import Runtime


@pytest.fixture
def runtime(runtime_with: Callable[[str], Runtime]) -> Runtime:
    return runtime_with("exit 0")


def test_runtime_flags_start_quickly_by_default(spec: NodeSpec, runtime: Runtime) -> None:
    flags = runtime_flags(spec, runtime.java)
    assert "-XX:TieredStopAtLevel=1" in flags
    assert "-XX:+UseSerialGC" in flags


def test_runtime_flags_for_benchmarks_are_cassandras_own(spec: NodeSpec, runtime: Runtime) -> None:
    flags = runtime_flags(replace(spec, compiler="c2", collector="g1"), runtime.java)
    assert "-XX:TieredStopAtLevel=1" not in flags
    assert "-XX:+UseG1GC" in flags


@pytest.mark.parametrize(
    ("collector", "heap", "first"),
    [("serial", "512M", "128M"), ("serial", "128M", "48M"), ("g1", "2G", "2048M")],
)
def test_heap_flags_start_small_unless_benchmarking(
    spec: NodeSpec, collector: str, heap: str, first: str
) -> None:
    flags = heap_flags(replace(spec, collector=collector, heap=heap))  # type: ignore[arg-type] -- parametrised literal
    assert f"-Xms{first}" in flags


def test_server_command_has_only_jars_on_the_class_path(spec: NodeSpec, runtime: Runtime) -> None:
    command = server_command(spec, runtime, ["-Xshare:auto"])
    path = command[command.index("-cp") + 1].split(":")
    assert path == [str(jar) for jar in runtime.jars]
    assert command[-1] == SERVER
    assert "-Xshare:auto" in command
    assert any(part.endswith("jamm-0.4.0.jar") for part in command if "-javaagent" in part)


def test_server_command_names_its_files_by_address(spec: NodeSpec, runtime: Runtime) -> None:
    spaced = replace(spec, folder=spec.folder.parent / "my node")
    command = server_command(spaced, runtime)
    assert any(
        part.startswith("-Dcassandra.config=file:///") and "my%20node" in part for part in command
    )
    assert any("-Dcassandra-rackdc.properties=file:///" in part for part in command)


@pytest.mark.parametrize("trap", ["unsafesystem", "flush_local_schema_changes"])
def test_server_command_never_trades_durability_for_speed(
    spec: NodeSpec, runtime: Runtime, trap: str
) -> None:
    assert not [part for part in server_command(spec, runtime) if trap in part]


def test_nodetool_command_appends_the_shim_and_talks_to_loopback(
    spec: NodeSpec, runtime: Runtime
) -> None:
    shim = runtime.cache_folder / "shim.jar"
    command = nodetool_command(spec, runtime, ["status", "-r"], shim=shim)
    assert command[command.index("-cp") + 1].endswith(f":{shim}")
    assert "-Djava.naming.factory.url.pkgs=prefect_cassandra.jndi" in command
    assert command[command.index(NODETOOL) :] == [
        NODETOOL,
        "-h",
        "127.0.0.1",
        "-p",
        "7199",
        "status",
        "-r",
    ]
