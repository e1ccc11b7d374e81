from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.local.plan import (
    StackConfig,
    cassandra_config,
    data_folder,
    needs_of,
)

MIB = 1024 * 1024


def config(**changes: Any) -> StackConfig:
    values: dict[str, Any] = {
        "data": Path("/data"),
        "cache": Path("/cache"),
        "heap": "256M",
        "maven_repository": "",
        "cql_port": 9042,
        "storage_port": 7000,
        "jmx_port": 7199,
        "server_port": 4200,
        "start_timeout": 1.0,
        "stop_timeout": 1.0,
        "drain_timeout": 1.0,
    }
    return StackConfig(**{**values, **changes})


def test_config_refuses_two_nodes() -> None:
    with pytest.raises(ConfigurationError, match="1 node or 3, not 2"):
        config(nodes=2)


@pytest.mark.parametrize(
    "changes",
    [{"server_port": 9042}, {"jmx_port": 7000}, {"nodes": 3, "server_port": 7201}],
    ids=["server on CQL", "JMX on storage", "server on the third node's JMX"],
)
def test_config_refuses_colliding_ports(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="collide") as caught:
        config(**changes)
    assert "--server-port" in caught.value.hint


def test_config_ignores_the_servers_port_without_prefect() -> None:
    assert "server" not in config(prefect=False, server_port=9042).ports


def test_needs_list_every_endpoint_of_three_nodes() -> None:
    needs = needs_of(config(nodes=3))
    assert {(one.host, one.port) for one in needs.endpoints} == {
        *((f"127.0.0.{number}", port) for number in (1, 2, 3) for port in (9042, 7000)),
        *(("127.0.0.1", port) for port in (7199, 7200, 7201)),
        ("127.0.0.1", 4200),
    }


@pytest.mark.parametrize(
    ("changes", "megabytes"),
    [
        ({}, 256 + 600 + 600),
        ({"prefect": False}, 256 + 600),
        ({"prefect": False, "nodes": 3, "heap": "1G"}, 3 * (1024 + 600)),
    ],
)
def test_needs_count_memory_by_node_and_heap(changes: dict[str, Any], megabytes: int) -> None:
    assert needs_of(config(**changes)).memory == megabytes * MIB


def test_from_settings_takes_what_is_given_before_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_CQL_PORT", "9999")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_SERVER_PORT", "4999")
    monkeypatch.setenv("PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_DATA_FOLDER", str(tmp_path / "a"))
    chosen = StackConfig.from_settings(nodes=3, cql_port=9998, server_port=None, data=None)
    assert (chosen.nodes, chosen.cql_port, chosen.server_port) == (3, 9998, 4999)
    assert chosen.data == tmp_path / "a"
    assert data_folder() == tmp_path / "a"
    assert data_folder(tmp_path / "b") == tmp_path / "b"


def test_nodes_get_all_they_share_with_the_stack() -> None:
    stack = config(nodes=3, tls=True, heap="1G", maven_repository="https://mirror", cql_port=1)
    nodes = cassandra_config(stack)
    shared = {one.name for one in dataclasses.fields(nodes)} & {
        one.name for one in dataclasses.fields(stack)
    }
    assert {"nodes", "tls", "heap", "maven_repository", "cql_port", "jmx_port"} <= shared
    for name in shared:
        assert getattr(nodes, name) == getattr(stack, name), name
    assert (nodes.data_folder, nodes.cache_folder) == (stack.data, stack.cache)
