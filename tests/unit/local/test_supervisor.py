from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import DataFolderError
from prefect_cassandra.local import supervisor
from prefect_cassandra.local.guard import MARK, mark_of
from prefect_cassandra.local.plan import StackConfig
from prefect_cassandra.local.stack import Event, Stack
from prefect_cassandra.local.state import FolderLock, Identity, StackState, write_state

if TYPE_CHECKING:
    from pathlib import Path

STATE = StackState(cassandra="5.0.9", nodes=1, tls=False, prefect=True, ports={})


@pytest.fixture
def config(tmp_path: Path) -> StackConfig:
    return StackConfig(
        data=tmp_path / "data",
        cache=tmp_path / "cache",
        heap="256M",
        maven_repository="",
        cql_port=1,
        storage_port=2,
        jmx_port=3,
        server_port=4,
        start_timeout=5.0,
        stop_timeout=6.0,
        drain_timeout=7.0,
    )


@pytest.mark.parametrize(
    ("received", "exit_code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 0),
        ([signal.SIGHUP], 0),
        ([signal.SIGINT, signal.SIGTERM], 130),
        ([signal.SIGTERM, signal.SIGINT], 0),
    ],
)
def test_the_first_signal_decides_the_exit_code(
    config: StackConfig, received: list[signal.Signals], exit_code: int
) -> None:
    requests = supervisor.Requests(Stack(config))
    for number in received:
        requests.receive(number)
    assert requests.stop.is_set()
    assert requests.exit_code == exit_code


def test_the_second_signal_hurries_and_the_first_does_not(
    config: StackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    monkeypatch.setattr(Stack, "call_off", lambda _self: called.append("call off"))
    monkeypatch.setattr(Stack, "hurry", lambda _self: called.append("hurry"))
    requests = supervisor.Requests(Stack(config))
    requests.receive(signal.SIGINT)
    assert called == ["call off"]
    requests.receive(signal.SIGINT)
    requests.receive(signal.SIGINT)
    assert called == ["call off", "hurry", "hurry"]


def test_listening_gives_the_handlers_back(config: StackConfig) -> None:
    before = signal.getsignal(signal.SIGTERM)
    requests = supervisor.Requests(Stack(config))
    with supervisor.listening(requests):
        signal.raise_signal(signal.SIGTERM)
        assert requests.first is signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_config_survives_the_way_to_a_detached_supervisor(config: StackConfig) -> None:
    changed = replace(config, nodes=3, tls=True, prefect=False, maven_repository="https://mirror")
    assert supervisor._from_json(supervisor._to_json(changed)) == changed


def test_a_detached_start_raises_the_error_of_over_there(config: StackConfig) -> None:
    config.data.mkdir()
    events: list[Event] = []
    with (
        FolderLock(config.data),
        pytest.raises(DataFolderError, match=f"in use by process {os.getpid()}") as caught,
    ):
        supervisor.start_detached(config, events.append)
    assert f"local down --data {config.data}" in caught.value.hint


def test_stop_ends_leftovers_without_a_supervisor_and_names_them(tmp_path: Path) -> None:
    events: list[Event] = []
    environment = {**os.environ, MARK: mark_of(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert supervisor.stop(tmp_path, events.append)
        assert process.wait(5) == -signal.SIGTERM
    assert any(f"ending pid {process.pid}" in event.text for event in events)


@pytest.mark.parametrize("state", [None, STATE], ids=["empty folder", "stopped stack"])
def test_stop_says_that_nothing_was_running(tmp_path: Path, state: StackState | None) -> None:
    if state:
        write_state(tmp_path, state)
    events: list[Event] = []
    assert not supervisor.stop(tmp_path, events.append)
    assert events == []


def test_stop_does_not_signal_a_process_that_got_the_pid_later(tmp_path: Path) -> None:
    own = Identity.of(os.getpid())
    assert own is not None
    stale: Any = replace(own, started=own.started - 3600)
    write_state(tmp_path, replace(STATE, phase="running", supervisor=stale))
    assert not supervisor.stop(tmp_path, lambda _event: None)


def test_require_running_hints_at_the_start(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataFolderError, match="No stack is running") as caught:
            supervisor.require_running(folder)
        assert caught.value.hint == f"prefect-cassandra local up --data {folder}"
