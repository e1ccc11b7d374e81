from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import DataFolderError, LocalStackError, PortInUseError
from prefect_cassandra.local import stack as stack_module
from prefect_cassandra.local.guard import MARK, mark_of
from prefect_cassandra.local.jars import read_lock
from prefect_cassandra.local.parts import Child
from prefect_cassandra.local.plan import StackConfig
from prefect_cassandra.local.stack import Event, Stack
from prefect_cassandra.local.state import FolderLock, StackState, read_state, write_state
from support.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    # The JMX port last: two more follow it when there are three nodes.
    cql, storage, server, jmx = free_ports(4)
    return StackConfig(
        data=tmp_path / "data",
        cache=tmp_path / "cache",
        heap="1M",
        maven_repository="",
        cql_port=cql,
        storage_port=storage,
        jmx_port=jmx,
        server_port=server,
        start_timeout=5.0,
        stop_timeout=5.0,
        drain_timeout=1.0,
    )


def used_folder(config: StackConfig, nodes: int) -> StackState:
    """Leave behind what a stopped stack of so many nodes leaves."""
    (config.data / "node1" / "data").mkdir(parents=True)
    state = StackState(
        cassandra=read_lock().cassandra, nodes=nodes, tls=False, prefect=True, ports=config.ports
    )
    write_state(config.data, state)
    return state


def test_up_on_a_folder_of_three_nodes_changes_nothing_in_it(config: StackConfig) -> None:
    before = used_folder(config, nodes=3)
    for _ in range(2):
        with pytest.raises(DataFolderError, match="holds 3 node"):
            Stack(config).up()
    assert read_state(config.data) == before
    with FolderLock(config.data):
        pass


def test_up_may_choose_anew_when_no_node_has_written(config: StackConfig) -> None:
    used_folder(config, nodes=3)
    (config.data / "node1" / "data").rmdir()
    with (
        closing(socket.create_server(("127.0.0.1", config.cql_port))),
        pytest.raises(PortInUseError),
    ):
        Stack(config).up()


def test_up_with_a_busy_port_leaves_a_new_folder_without_state(config: StackConfig) -> None:
    with (
        closing(socket.create_server(("127.0.0.1", config.server_port))),
        pytest.raises(PortInUseError, match="the Prefect server"),
    ):
        Stack(config).up()
    assert read_state(config.data) is None
    with FolderLock(config.data):
        pass


def test_up_names_leftovers_before_anything_else_is_refused(config: StackConfig) -> None:
    events: list[Event] = []
    with (
        subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            env={**os.environ, MARK: mark_of(config.data)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as left,
        closing(socket.create_server(("127.0.0.1", config.cql_port))),
    ):
        assert left.stdout
        left.stdout.readline()
        with pytest.raises(PortInUseError):
            Stack(config, events.append).up()
        assert left.wait(5) != 0
    (event,) = events
    assert event.text.startswith(f"ending a leftover of an earlier start: pid {left.pid}, since")


def test_a_failed_part_calls_the_others_off_and_leaves_nothing(
    config: StackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Stack) -> None:
        raise LocalStackError("node1 did not start")

    monkeypatch.setattr(stack_module.Stack, "_start_cassandra", fail)
    stack = Stack(config)
    with pytest.raises(LocalStackError, match="node1 did not start"):
        stack.up()
    assert all(part.ended() for part in stack.parts)
    assert all(part.stdin.closed for part in stack.parts if isinstance(part, Child))
    state = read_state(config.data)
    assert state is not None
    assert (state.phase, state.parts, state.supervisor) == ("stopped", [], None)
    with FolderLock(config.data):
        pass


def test_down_of_a_stack_that_was_never_up_does_nothing(config: StackConfig) -> None:
    Stack(config).down()
    assert not config.data.exists()


def test_environment_without_prefect_is_ours(config: StackConfig) -> None:
    stack = Stack(replace(config, prefect=False))
    assert stack.environment() == dict(os.environ)
    assert stack.api_url is None
    assert stack.ui_url is None


def test_addresses_of_a_stack(config: StackConfig) -> None:
    stack = Stack(replace(config, nodes=3, tls=True))
    assert stack.contact_points == ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    assert stack.api_url == f"http://127.0.0.1:{config.server_port}/api"
    assert stack.superuser == config.data / "secrets" / "superuser"
    assert stack.ca_file == config.data / "tls" / "ca.crt"
    assert stack.cluster_config().contact_points == stack.contact_points


@pytest.mark.parametrize("store", ["database", "cassandra"])
def test_the_server_keeps_run_logs_where_the_stack_is_told_to(
    config: StackConfig, store: str
) -> None:
    server = Stack(replace(config, log_store=store))._make_services().server
    prefix = "PREFECT_INTEGRATIONS_CASSANDRA_SERVER_"
    told = {name: value for name, value in server.environment.items() if name.startswith(prefix)}
    if store == "database":
        assert told == {}
        assert "prefect.server.api.server:create_app" in server.command
        return
    assert "prefect_cassandra.server.app:create_app" in server.command
    assert told[f"{prefix}LOG_STORE"] == "cassandra"
    assert told[f"{prefix}PORT"] == str(config.cql_port)
    assert told[f"{prefix}LOGIN_FOLDER"] == str(config.data / "secrets" / "prefect_state")
