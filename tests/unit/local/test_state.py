from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_cassandra.errors import DataFolderError
from prefect_cassandra.local.state import (
    LAYOUT,
    FolderLock,
    Identity,
    PartRecord,
    StackState,
    check_fits,
    read_state,
    write_state,
)

PORTS = {"cql": 9042, "storage": 7000, "jmx": 7199, "server": 4200}
STATE = StackState(cassandra="5.0.9", nodes=1, tls=False, prefect=True, ports=PORTS)
FOLDER = Path("/data")


def test_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    part = PartRecord("server", Identity(12, 34.5), "http://127.0.0.1:4200", "/logs/server.log")
    state = replace(STATE, phase="running", supervisor=Identity(11, 33.0), parts=[part])
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert [one.name for one in tmp_path.iterdir()] == ["stack.json"]


def test_read_state_is_none_without_a_file(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layout": 1}', '{"layout": "x"}'])
def test_read_state_names_a_damaged_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(DataFolderError, match=r"stack\.json is damaged"):
        read_state(tmp_path)


def test_read_state_refuses_a_newer_layout(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"layout": LAYOUT + 1, "anything": "else"}))
    with pytest.raises(DataFolderError, match=f"layout {LAYOUT + 1}") as caught:
        read_state(tmp_path)
    assert "Upgrade" in caught.value.hint


@pytest.mark.parametrize(
    ("found", "wanted", "message", "way_out"),
    [
        (replace(STATE, cassandra="4.1.3"), STATE, "written by Cassandra 4.1.3", "4.1.3"),
        (STATE, replace(STATE, nodes=3), "holds 1 node", "--nodes 1"),
        (replace(STATE, nodes=3), STATE, "holds 3 node", "--nodes 3"),
        (replace(STATE, layout=LAYOUT - 1), STATE, "older version", "delete /data"),
        (
            replace(STATE, nodes=3),
            replace(STATE, nodes=3, ports={**PORTS, "storage": 7001}),
            "port 7000, not 7001",
            "--storage-port 7000",
        ),
    ],
)
def test_check_fits_names_what_differs_and_the_way_out(
    found: StackState, wanted: StackState, message: str, way_out: str
) -> None:
    with pytest.raises(DataFolderError, match=message) as caught:
        check_fits(FOLDER, found, wanted)
    assert way_out in caught.value.hint
    assert "--data" in caught.value.hint


@pytest.mark.parametrize(
    "wanted",
    [STATE, replace(STATE, ports={**PORTS, "storage": 1, "cql": 2}), replace(STATE, tls=True)],
)
def test_check_fits_allows_what_can_change(wanted: StackState) -> None:
    check_fits(FOLDER, STATE, wanted)
    check_fits(FOLDER, None, wanted)


def test_identity_is_alive_only_while_the_same_process_runs() -> None:
    own = Identity.of(os.getpid())
    assert own is not None
    assert own.is_alive()
    assert not replace(own, started=own.started - 60).is_alive(), "a pid that was given again"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = Identity.of(child.pid)
        assert identity is not None
        child.kill()
        child.wait()
    assert not identity.is_alive()
    assert Identity.of(child.pid) is None


def test_a_dead_process_is_no_longer_alive_before_it_is_reaped() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Identity.of(child.pid) is None


def test_lock_names_the_process_that_holds_it(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as held:
        assert held.is_held()
        with pytest.raises(
            DataFolderError, match=f"in use by process {os.getpid()} since"
        ) as caught:
            FolderLock(tmp_path).acquire()
        assert f"local down --data {tmp_path}" in caught.value.hint
    assert not held.is_held()
    with FolderLock(tmp_path):
        pass


def test_lock_is_free_again_after_its_holder_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from prefect_cassandra.local.state import FolderLock;"
        "lock = FolderLock(Path(sys.argv[1])); lock.acquire(); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(DataFolderError, match=f"process {child.pid}"):
            FolderLock(tmp_path).acquire()
        child.kill()
    with FolderLock(tmp_path):
        pass
