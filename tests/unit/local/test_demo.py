from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ConfigurationError, DataFolderError
from prefect_cassandra.local.demo import claim
from prefect_cassandra.local.project import deploy, environment_of
from prefect_cassandra.local.state import StackState, read_state, write_state
from prefect_cassandra.project.folder import block_name

if TYPE_CHECKING:
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
