from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import LocalStackError, PortInUseError
from prefect_cassandra.local.node import STACK_VARIABLE, Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.local.config import NodeSpec
    from prefect_cassandra.local.jvm import Runtime

    RuntimeMaker = Callable[[str], Runtime]

LOG = """INFO  [main] 2026-01-01 10:00:00,000 A.java:1 - fine
ERROR [main] 2026-01-01 10:00:01,000 B.java:2 - Port already in use: 7199
java.rmi.server.ExportException: Port already in use: 7199
\tat java.base/sun.Something.call(Something.java:1)
Caused by: java.net.BindException: Address already in use
\tat java.base/sun.Other.call(Other.java:1)
INFO  [main] 2026-01-01 10:00:02,000 A.java:3 - bye
"""


def test_wait_ready_of_a_node_that_died_quotes_its_errors(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    node = Node(spec, runtime_with(f"cat > log/system.log <<'END'\n{LOG}END\nexit 3"))
    node.start()
    with pytest.raises(LocalStackError) as caught:
        node.wait_ready(10)
    message = caught.value.message
    assert f"node1 on 127.0.0.1:{spec.cql_port} ended by itself with exit code 3" in message
    assert "ERROR [main] 2026-01-01 10:00:01,000 B.java:2 - Port already in use: 7199" in message
    assert "Caused by: java.net.BindException: Address already in use" in message
    assert "fine" not in message
    assert str(spec.folder / "log") in caught.value.hint


def test_wait_ready_quotes_only_what_this_start_logged(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    (spec.folder / "log").mkdir(parents=True)
    (spec.folder / "log" / "system.log").write_text(LOG)
    node = Node(spec, runtime_with("echo Unrecognized option >&2; exit 1"))
    node.start()
    with pytest.raises(LocalStackError, match="Unrecognized option") as caught:
        node.wait_ready(10)
    assert "Port already in use" not in caught.value.message


def test_wait_ready_ends_when_time_is_up_or_the_start_is_called_off(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    node = Node(spec, runtime_with("exec sleep 60"))
    node.start()
    try:
        with pytest.raises(LocalStackError, match="did not answer CQL within 0 s"):
            node.wait_ready(0.2)
        with pytest.raises(LocalStackError, match="node1 was called off"):
            node.wait_ready(60, aborted=lambda: True)
    finally:
        node.kill()


def test_start_gives_the_node_a_session_of_its_own(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    node = Node(spec, runtime_with("exec sleep 60"))
    node.start()
    try:
        assert node.pid is not None
        assert os.getsid(node.pid) == node.pid
    finally:
        node.kill()


def test_start_gives_the_node_the_mark_no_input_and_no_foreign_java_options(
    spec: NodeSpec, runtime_with: RuntimeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1M")
    node = Node(spec, runtime_with("env; read line || echo no input"))
    node.start()
    while node.is_running():
        pass
    printed = (spec.folder / "log" / "stdout.log").read_text().splitlines()
    assert f"{STACK_VARIABLE}={spec.stack}" in printed
    assert not [line for line in printed if line.startswith("JAVA_TOOL_OPTIONS")]
    assert printed[-1] == "no input"


def test_stop_of_a_deaf_node_kills_it_and_says_so(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    ready = spec.folder / "log" / "trapped"
    node = Node(spec, runtime_with(f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done"))
    node.start()
    while not ready.exists():
        assert node.is_running()
    assert node.stop(0.3) is False
    assert node.ended() == "was ended by SIGKILL"


def test_stop_of_a_node_that_ends_by_itself_is_clean_and_repeatable(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    node = Node(spec, runtime_with("exec sleep 60"))
    assert node.stop(1)
    node.start()
    assert node.stop(10)
    assert node.poll() == -signal.SIGTERM
    assert node.stop(10)


def test_start_where_something_else_listens_is_refused(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    node = Node(spec, runtime_with("exec sleep 60"))
    with (
        socket.create_server((spec.address, spec.cql_port)),
        pytest.raises(PortInUseError, match=f":{spec.cql_port} is needed for node1") as caught,
    ):
        node.start()
    assert "--cql-port" in caught.value.hint
    assert node.pid is None


def test_start_clears_what_a_killed_node_left_in_its_temporary_folder(
    spec: NodeSpec, runtime_with: RuntimeMaker
) -> None:
    (spec.folder / "tmp").mkdir(parents=True)
    (spec.folder / "tmp" / "libnetty.so").write_bytes(b"old")
    node = Node(spec, runtime_with("exit 0"))
    node.start()
    node.stop(10)
    assert list((spec.folder / "tmp").iterdir()) == []


def test_nodetool_returns_output_and_exit_code(spec: NodeSpec, runtime_with: RuntimeMaker) -> None:
    node = Node(spec, runtime_with('for last; do :; done; echo "ran $last"; exit 2'))
    node.start()
    node.stop(10)
    result = node.nodetool("info")
    assert (result.returncode, result.stdout) == (2, "ran info\n")
