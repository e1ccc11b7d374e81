from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Self

import pytest

from prefect_cassandra.errors import ConfigurationError, DataFolderError, LocalStackError
from prefect_cassandra.example.flights import DemoResult, TableCount
from prefect_cassandra.local import demo
from prefect_cassandra.local.demo import claim, perform
from prefect_cassandra.local.plan import StackConfig
from prefect_cassandra.local.project import deploy, environment_of
from prefect_cassandra.local.state import StackState, read_state, write_state
from prefect_cassandra.project.folder import block_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_claim_empties_the_folder_of_an_earlier_demo(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    claim(folder)
    (folder / "node1").mkdir()
    claim(folder)
    assert [path.name for path in folder.iterdir()] == ["demo"]


def test_claim_leaves_the_data_of_a_stack_alone(tmp_path: Path) -> None:
    state = StackState(cassandra="5.0.9", nodes=1, tls=False, prefect=True, ports={})
    write_state(tmp_path, state)
    with pytest.raises(DataFolderError, match="not a demo"):
        claim(tmp_path)
    assert read_state(tmp_path) == state


def test_deploy_names_the_missing_file_before_it_does_anything(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no keyspaces\.yaml"):
        deploy(None, tmp_path, print)  # type: ignore[arg-type]  # must not get as far as the stack


def test_names_follow_from_keyspace_and_size() -> None:
    assert block_name("weather_api") == "weather-api"
    assert (environment_of(1), environment_of(3)) == ("local", "local-3")


class Recorded:
    """Takes the stack's place and notes what it was told, in order."""

    def __init__(self, config: StackConfig) -> None:
        self.config = config
        self.told: list[str] = []

    def __call__(self, _config: StackConfig, _report: object) -> Self:
        return self

    def up(self) -> None:
        self.told.append("up")

    def check(self) -> None:
        pass

    def call_off(self) -> None:
        self.told.append("call_off")

    def hurry(self) -> None:
        self.told.append("hurry")

    def down(self) -> None:
        self.told.append("down")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    stack = Recorded(StackConfig.from_settings(data=tmp_path / "data"))
    monkeypatch.setattr(demo, "Stack", stack)
    monkeypatch.setattr(demo, "deploy", lambda *_: None)
    return stack


def result_with(found: int) -> DemoResult:
    return DemoResult((TableCount("planes", 5, 0, found, 1.0),), (), (), "")


def performs(stack: Recorded, run: Callable[..., DemoResult], patch: pytest.MonkeyPatch) -> int:
    patch.setattr(demo, "run_demo", run)
    folder = stack.config.data
    return perform(stack.config, folder, lambda _: None, lambda _: None, keep=False)


@pytest.mark.parametrize(("found", "code"), [(5, 0), (4, 1)])
def test_data_that_is_deleted_next_is_not_flushed(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, found: int, code: int
) -> None:
    assert performs(recorded, lambda *_: result_with(found), monkeypatch) == code
    assert recorded.told == ["up", "hurry", "down"]
    assert not recorded.config.data.exists()


def test_after_a_failure_the_logs_stay(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> DemoResult:
        raise LocalStackError("the run failed")

    with pytest.raises(LocalStackError):
        performs(recorded, fail, monkeypatch)
    assert recorded.told == ["up", "down"]
    assert recorded.config.data.exists()


def test_an_interrupt_ends_it_with_130(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_stack: object, tell: Callable[[str], None], _check: object) -> DemoResult:
        os.kill(os.getpid(), signal.SIGINT)
        tell("next")
        raise AssertionError("the next line notices the interrupt")

    assert performs(recorded, interrupted, monkeypatch) == 130
    assert recorded.told[-1] == "down"
