from __future__ import annotations

import json
import os
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from prefect_cassandra.cli.app import run
from prefect_cassandra.cli.output import Progress
from prefect_cassandra.local import supervisor, tools
from prefect_cassandra.local.stack import Event
from prefect_cassandra.local.state import Identity, PartRecord, StackState, write_state

if TYPE_CHECKING:
    from prefect_cassandra.local.plan import StackConfig


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[StackConfig]:
    """Collect the configs that `up` would start."""
    configs: list[StackConfig] = []

    def fake_run(config: StackConfig, *_: Any) -> int:
        configs.append(config)
        return 0

    monkeypatch.setattr(supervisor, "run", fake_run)
    return configs


def test_up_hands_every_option_to_the_stack(started: list[StackConfig], tmp_path: Path) -> None:
    options = "--nodes 3 --tls --no-prefect --cql-port 1 --storage-port 2 --jmx-port 3 --heap 1G"
    code = run(["local", "up", "--data", str(tmp_path), "--server-port", "9", *options.split()])
    assert code == 0
    (config,) = started
    assert (config.nodes, config.tls, config.prefect, config.heap) == (3, True, False, "1G")
    assert (config.cql_port, config.storage_port, config.jmx_port) == (1, 2, 3)
    assert config.server_port == 9
    assert config.data == tmp_path


def test_up_takes_defaults_from_the_settings(
    started: list[StackConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_CQL_PORT", "19999")
    assert run(["local", "up"]) == 0
    (config,) = started
    assert (config.nodes, config.tls, config.prefect, config.cql_port) == (1, False, True, 19999)


@pytest.mark.parametrize("word", ["cqlsh", "nodetool"])
@pytest.mark.parametrize(
    ("tokens", "handed_on"),
    [
        ([], ()),
        (["status"], ("status",)),
        (["--", "-e", "DESCRIBE KEYSPACES"], ("-e", "DESCRIBE KEYSPACES")),
        (["--", "--data", "x", "-v"], ("--data", "x", "-v")),
    ],
)
def test_tools_get_the_words_of_the_user(
    word: str, tokens: list[str], handed_on: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tools, word, lambda *arguments: calls.append(arguments))
    assert run(["local", word, "--data", "/data", "--node", "2", *tokens]) == 0
    (call,) = calls
    assert (call[0], *call[-2:]) == (Path("/data"), 2, handed_on)


def test_status_of_nothing_is_a_clear_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["local", "status", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"Nothing is running on {tmp_path}.\n"


def running_state(folder: Path) -> None:
    own = Identity.of(os.getpid())
    assert own is not None
    state = StackState(cassandra="5.0.9", nodes=1, tls=False, prefect=False, ports={"cql": 9042})
    part = PartRecord("node1", own, "127.0.0.1:9042", "/log")
    write_state(folder, replace(state, phase="running", supervisor=own, parts=[part]))


def test_status_as_json_is_only_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running_state(tmp_path)
    assert run(["local", "status", "--data", str(tmp_path), "--output", "json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert (found["verdict"], found["ports"]) == ("running", {"cql": 9042})
    (part,) = found["parts"]
    assert (part["name"], part["pid"], part["alive"]) == ("node1", os.getpid(), True)
    assert part["since"].endswith("+00:00")


def test_status_as_a_table_names_pid_and_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running_state(tmp_path)
    assert run(["local", "status", "--data", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for word in ("node1", "running", str(os.getpid()), "MiB", "127.0.0.1:9042"):
        assert word in out


def test_status_names_a_damaged_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stack.json").write_text("{")
    assert run(["local", "status", "--data", str(tmp_path)]) == 3
    assert "PC530" in capsys.readouterr().err


def test_down_of_nothing_says_so_and_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["local", "down", "--data", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"Nothing is running on {tmp_path}.\n"


def console(*, terminal: bool) -> Console:
    return Console(file=StringIO(), force_terminal=terminal, width=80, highlight=False)


def text_of(one: Console) -> str:
    assert isinstance(one.file, StringIO)
    return one.file.getvalue()


def test_progress_without_a_terminal_is_a_line_for_each_change() -> None:
    plain = console(terminal=False)
    with Progress(plain) as progress:
        progress(Event("server", "starting"))
        progress(Event("server", "ready", "http://127.0.0.1:4200"))
        progress(Event("stack", "note", "ending pid 7: [bold]x"))
    lines = text_of(plain).splitlines()
    assert lines[0] == "server starting"
    assert lines[1].startswith("server ready (0.0 s)  http://127.0.0.1:4200")
    assert lines[2] == "stack: ending pid 7: [bold]x"


def test_progress_on_a_terminal_is_a_table_that_stays() -> None:
    terminal = console(terminal=True)
    with Progress(terminal) as progress:
        progress(Event("server", "starting"))
        progress(Event("server", "ready", "http://127.0.0.1:4200"))
        progress.finish()
        shown = text_of(terminal)
        progress(Event("server", "stopping"))
    assert "server" in shown
    assert "ready" in shown
    assert "http://127.0.0.1:4200" in shown
    assert "server stopping" in text_of(terminal)[len(shown) :]
