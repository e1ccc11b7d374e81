from __future__ import annotations

from pathlib import Path

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.schema import load_keyspaces
from prefect_cassandra.schema.migrations import read_folder

GOOD = """
environments:
  local: {replication: {dc1: 1}}
  production: {replication: {dc1: 3, dc2: 3}}
keyspaces:
  flights:
    migrations: flights/schema
    replication: {production: {dc1: 5}}
orchestration:
  prefect_state:
    replication: {production: {dc1: 3}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "keyspaces.yaml"
    path.write_text(text)
    return path


def test_replication_is_the_environments_unless_a_keyspace_says_otherwise(tmp_path: Path) -> None:
    keyspaces = load_keyspaces(write(tmp_path, GOOD))
    assert keyspaces.replication("local") == {
        name: {"dc1": 1} for name in ("prefect_state", "prefect_ledger", "flights")
    }
    assert keyspaces.replication("production") == {
        "prefect_state": {"dc1": 3},
        "prefect_ledger": {"dc1": 3, "dc2": 3},
        "flights": {"dc1": 5},
    }


def test_migrations_are_relative_to_the_file(tmp_path: Path) -> None:
    keyspaces = load_keyspaces(write(tmp_path, GOOD))
    assert keyspaces.keyspaces["flights"].migrations == tmp_path / "flights/schema"


def test_an_unknown_environment_names_the_closest(tmp_path: Path) -> None:
    keyspaces = load_keyspaces(write(tmp_path, GOOD))
    with pytest.raises(ConfigurationError, match="did you mean 'production'"):
        keyspaces.replication("prodution")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("environments:", "enviroments:", "enviroments: unknown key .did you mean 'environments'"),
        (
            "    migrations:",
            "    migration:",
            "keyspaces.flights.migration: unknown key .did you mean 'migrations'",
        ),
        ("local: {replication", "local: {replicaton", "did you mean 'replication'"),
        ("    replication: {production: {dc1: 3}}", "    migrations: x", "unknown key"),
        ("{dc1: 1}", "{dc1: 0}", "environments.local.replication.dc1: .*greater than"),
        ("{dc1: 1}", "{dc1: '1'}", "environments.local.replication.dc1: .*integer"),
        ("{dc1: 1}", "{}", "environments.local.replication: .*at least 1"),
        ("  flights:", "  prefect_state:", "belongs to the orchestration"),
        ("  flights:", "  system_auth:", "belongs to the database"),
        ("  flights:", "  system:", "belongs to the database"),
        ("  flights:", "  values:", "word of CQL itself; values_data"),
        ("  flights:", "  Flights:", "lower-case"),
        ("  flights:", f"  {'f' * 49}:", "1 to 48"),
        ("  prefect_state:", "  prefect_stat:", "prefect_state and prefect_ledger"),
        ("{production: {dc1: 5}}", "{producton: {dc1: 5}}", "flights.*did you mean 'production'"),
        (GOOD, "[]", "the file: "),
        (GOOD, "a: [", "is not YAML"),
    ],
)
def test_load_refuses_what_is_unknown_or_wrong_and_says_where(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError, match=message):
        load_keyspaces(write(tmp_path, GOOD.replace(old, new)))


def test_load_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere.yaml: No such file"):
        load_keyspaces(tmp_path / "nowhere.yaml")


def test_the_flows_of_this_repository_have_a_valid_file_and_valid_migrations() -> None:
    keyspaces = load_keyspaces(Path(__file__).parents[3] / "flows/keyspaces.yaml")
    assert set(keyspaces.environments) >= {"local", "local-3", "production"}
    for name, spec in keyspaces.keyspaces.items():
        assert read_folder(spec.migrations, name), name
