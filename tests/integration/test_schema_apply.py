"""Plans, migrations, drift and passwords on a real node."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.cli.app import run
from prefect_cassandra.driver.config import Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    MigrationChangedError,
    PermissionDeniedError,
    SchemaError,
    StatementError,
)
from prefect_cassandra.schema import apply, plan, rotate, status
from prefect_cassandra.schema.credentials import PasswordFolder
from prefect_cassandra.schema.migrations import read_folder
from support.schema import Ground
from support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig


@pytest.fixture
def ground(node: Any, superuser: Session, tmp_path: Path) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path)
    made.write("0001_first", "a", "b")
    return made


def everything(ground: Ground) -> dict[str, Any]:
    """Return what `apply` can change, in the cluster and in the secrets folder."""
    superuser = ground.superuser
    return {
        "schema": superuser.execute("SELECT schema_version FROM system.local").rows,
        "roles": superuser.execute("SELECT * FROM system_auth.roles").rows,
        "grants": sorted(map(str, superuser.execute("LIST ALL PERMISSIONS"))),
        "records": superuser.execute("SELECT * FROM prefect_ledger.schema_migrations").rows,
        "lock": superuser.execute("SELECT * FROM prefect_ledger.schema_locks").rows,
        "files": {path: path.read_text() for path in ground.secrets.rglob("*") if path.is_file()},
    }


def passwords(ground: Ground) -> list[str]:
    return [path.read_text() for path in ground.secrets.glob("*/password")]


def test_apply_makes_everything_once_and_repeating_it_changes_nothing(ground: Ground) -> None:
    done = apply(ground.config, ground.installation)
    assert done.migrations == (f"{ground.keyspace}/0001_first",)
    assert ground.tables() == {"a", "b"}
    record = ground.records()[1]
    assert (record.state, record.done, record.statements, record.attempts) == ("APPLIED", 2, 2, 1)
    assert (record.applied_by, record.name) == ("prefect_owner", "first")
    assert record.applied_at is not None
    assert status(ground.config, ground.installation).ok

    before = everything(ground)
    again = apply(ground.config, ground.installation)
    assert (again.steps, again.migrations) == ((), ())
    assert everything(ground) == before


def test_later_migrations_are_applied_in_order_and_earlier_ones_left_alone(ground: Ground) -> None:
    apply(ground.config, ground.installation)
    first = ground.records()[1]
    ground.write("0002_second", "c")
    ground.write("0003_third", text=f"ALTER TABLE {ground.keyspace}.c ADD IF NOT EXISTS w int;")
    done = apply(ground.config, ground.installation)
    assert [label.rsplit("/", 1)[1] for label in done.migrations] == ["0002_second", "0003_third"]
    assert ground.records()[1] == first
    assert [record.epoch > first.epoch for record in ground.records().values()] == [0, 1, 1]


def test_dry_run_prints_the_cql_and_changes_nothing(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(ground.config, ground.installation)
    ground.write("0002_second", "c")
    before = everything(ground)
    assert run(["schema", "apply", "--dry-run", *ground.options()]) == 0
    assert f"CREATE TABLE IF NOT EXISTS {ground.keyspace}.c" in capsys.readouterr().out
    assert everything(ground) == before


def test_dry_run_of_a_new_keyspace_names_every_statement_and_no_secret(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(ground)
    assert run(["schema", "apply", "--dry-run", "--output", "json", *ground.options()]) == 0
    shown = capsys.readouterr()
    cql = [step["cql"] for step in json.loads(shown.out)["statements"]]
    assert f"CREATE KEYSPACE IF NOT EXISTS {ground.keyspace}" in cql[0]
    assert any(one.startswith(f"CREATE ROLE IF NOT EXISTS {ground.keyspace}_flow") for one in cql)
    assert f"GRANT SELECT ON KEYSPACE {ground.keyspace} TO {ground.keyspace}_reader" in cql
    assert "$2a$" not in shown.out
    assert everything(ground) == before


def test_no_password_is_shown_when_roles_are_made(
    ground: Ground, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    assert run(["schema", "apply", *ground.options()]) == 0
    shown = capsys.readouterr()
    known = passwords(ground)
    assert len(known) >= 5
    for text in (shown.out, shown.err, caplog.text):
        assert not [one for one in known if one in text and one != "cassandra"]
        assert "$2a$" not in text


def test_status_exits_1_while_something_is_pending_and_0_after(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schema", "status", *ground.options()]) == 1
    assert f"{ground.keyspace}/0001_first  pending" in capsys.readouterr().out
    apply(ground.config, ground.installation)
    assert run(["schema", "status", "--output", "json", *ground.options()]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["guardrails"] == {
        "drop_truncate_table_enabled": True,
        "drop_keyspace_enabled": True,
    }


def test_a_changed_file_is_refused_and_named_by_status(ground: Ground) -> None:
    apply(ground.config, ground.installation)
    recorded = ground.records()[1].checksum
    ground.write("0001_first", "a", "c")
    with pytest.raises(MigrationChangedError, match=recorded):
        apply(ground.config, ground.installation)
    assert ground.tables() == {"a", "b"}
    found = status(ground.config, ground.installation)
    assert [row.state for row in found.migrations] == ["changed"]
    assert not found.ok


def test_a_deleted_file_is_refused(ground: Ground) -> None:
    ground.write("0002_second", "c")
    apply(ground.config, ground.installation)
    (ground.folder / "migrations" / "0002_second.cql").unlink()
    with pytest.raises(SchemaError, match=r"0002_second was begun at .* not in the folder"):
        apply(ground.config, ground.installation)


def test_a_migration_goes_on_behind_the_statement_that_was_refused(ground: Ground) -> None:
    good = f"CREATE TABLE IF NOT EXISTS {ground.keyspace}.c (k int PRIMARY KEY);"
    bad = f"CREATE TABLE IF NOT EXISTS {ground.keyspace}.d (k nonsense PRIMARY KEY);"
    ground.write("0002_second", text=good + bad)
    with pytest.raises(StatementError, match="nonsense"):
        apply(ground.config, ground.installation)
    record = ground.records()[2]
    assert (record.state, record.done, record.attempts) == ("RUNNING", 1, 1)
    states = [row.state for row in status(ground.config, ground.installation).migrations]
    assert states == ["applied", "running"]

    ground.write("0002_second", text=good + bad.replace("nonsense", "int"))
    done = apply(ground.config, ground.installation)
    assert done.migrations == (f"{ground.keyspace}/0002_second",)
    record = ground.records()[2]
    assert (record.state, record.done, record.attempts) == ("APPLIED", 2, 2)
    assert record.checksum == plan_checksum(ground, 2)
    assert ground.tables() == {"a", "b", "c", "d"}


def test_a_refused_last_statement_may_be_taken_out(ground: Ground) -> None:
    good = f"CREATE TABLE IF NOT EXISTS {ground.keyspace}.c (k int PRIMARY KEY);"
    ground.write(
        "0002_second", text=good + f"ALTER TABLE {ground.keyspace}.nowhere WITH cdc = true"
    )
    with pytest.raises(StatementError, match="nowhere"):
        apply(ground.config, ground.installation)
    ground.write("0002_second", text=good)
    apply(ground.config, ground.installation)
    assert (ground.records()[2].state, ground.records()[2].done) == ("APPLIED", 1)


def plan_checksum(ground: Ground, number: int) -> str:
    return read_folder(ground.folder / "migrations", ground.keyspace)[number - 1].checksum


def test_a_table_made_by_hand_is_not_taken_for_the_migrations(ground: Ground) -> None:
    apply(ground.config, ground.installation)
    ground.superuser.execute(f"CREATE TABLE {ground.keyspace}.c (other text PRIMARY KEY)")
    ground.write("0002_second", "c")
    with pytest.raises(SchemaError, match="exists already and no migration made it"):
        apply(ground.config, ground.installation)


def test_drift_is_shown_and_repaired(ground: Ground) -> None:
    apply(ground.config, ground.installation)
    keyspace, superuser = ground.keyspace, ground.superuser
    found = superuser.execute(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?", [keyspace]
    ).rows
    simple = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    for statement in (
        f"ALTER KEYSPACE {keyspace} WITH replication = {simple} AND durable_writes = false",
        f"GRANT CREATE, DROP ON KEYSPACE {keyspace} TO {keyspace}_flow",
        f"GRANT SELECT ON ALL KEYSPACES TO {keyspace}_reader",
        f"REVOKE MODIFY ON KEYSPACE {keyspace} FROM {keyspace}_flow",
        f"GRANT prefect_owner TO {keyspace}_reader",
        f"ALTER ROLE {keyspace}_flow WITH SUPERUSER = true",
    ):
        superuser.execute(statement)
    drifted = status(ground.config, ground.installation)
    faults = {row.name: row.faults for row in drifted.roles if row.faults}
    assert faults == {
        f"{keyspace}_flow": (
            "is a superuser",
            f"lacks MODIFY on KEYSPACE {keyspace}",
            f"has CREATE on KEYSPACE {keyspace}",
            f"has DROP on KEYSPACE {keyspace}",
        ),
        f"{keyspace}_reader": ("inherits from prefect_owner", "has SELECT on ALL KEYSPACES"),
    }
    assert [row.name for row in drifted.keyspaces if row.drifted] == [keyspace]

    apply(ground.config, ground.installation)
    assert status(ground.config, ground.installation).ok
    again = superuser.execute(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?", [keyspace]
    ).rows
    assert again == found


def test_more_copies_than_nodes_are_refused_before_anything_is_done(ground: Ground) -> None:
    datacenter = next(iter(ground.installation.replication[ground.keyspace]))
    ground.write_file(replication={"test": {datacenter: 99}})
    before = everything(ground)
    with pytest.raises(ConfigurationError, match=f"99 copies in {datacenter}"):
        apply(ground.config, ground.installation)
    assert everything(ground) == before


def test_a_login_that_is_no_superuser_is_refused_with_a_hint(ground: Ground) -> None:
    apply(ground.config, ground.installation)
    with pytest.raises(PermissionDeniedError, match="needs a superuser"):
        plan(ground.role("flow"), ground.installation)


def test_a_secrets_folder_without_the_passwords_is_refused_unless_asked_for(
    ground: Ground, tmp_path: Path
) -> None:
    apply(ground.config, ground.installation)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(ground.secrets, elsewhere)
    flow = f"{ground.keyspace}_flow"
    shutil.rmtree(elsewhere / flow)
    before = everything(ground)
    with pytest.raises(ConfigurationError, match=rf"^\[PC100\] {flow}: the role exists"):
        apply(ground.config, ground.with_secrets(elsewhere))
    assert everything(ground) == before

    apply(ground.config, ground.with_secrets(elsewhere), reset_passwords=True)
    new = Session(replace(ground.config, login=Login(folder=elsewhere / flow)))
    assert new.execute(ground.say("SELECT * FROM {keyspace}.a")).rows == []
    new.close()


def test_rotation_keeps_open_sessions_and_lets_new_ones_use_the_new_password(
    ground: Ground, tmp_path: Path
) -> None:
    apply(ground.config, ground.installation)
    flow = f"{ground.keyspace}_flow"
    opened = Session(ground.role("flow"))
    opened.connect()
    old = tmp_path / "old"
    shutil.copytree(ground.secrets / flow, old)

    assert run(["schema", "rotate", flow, *ground.options()]) == 0
    assert (old / "password").read_text() != (ground.secrets / flow / "password").read_text()
    opened.execute(ground.say("INSERT INTO {keyspace}.a (k) VALUES (1)"))
    fresh = Session(ground.role("flow"))
    assert len(fresh.execute(ground.say("SELECT k FROM {keyspace}.a")).rows) == 1
    # The node keeps credentials for two seconds.
    former = replace(ground.config, login=Login(folder=old))
    eventually(lambda: is_refused(former), within=30)
    opened.close()
    fresh.close()


def is_refused(config: ClusterConfig) -> bool:
    probe = Session(config)
    try:
        probe.connect()
    except AuthenticationError:
        return True
    finally:
        probe.close()
    return False


@pytest.mark.parametrize("reached_the_database", [True, False])
def test_an_interrupted_rotation_is_finished_or_forgotten(
    ground: Ground, *, reached_the_database: bool
) -> None:
    apply(ground.config, ground.installation)
    flow = f"{ground.keyspace}_flow"
    folder = PasswordFolder(ground.secrets)
    before = (ground.secrets / flow / "password").read_text()
    hashed = folder.stage(flow)
    if reached_the_database:
        ground.superuser.execute(f"ALTER ROLE {flow} WITH HASHED PASSWORD = '{hashed}'")
    apply(ground.config, ground.installation)
    assert not folder.is_rotating(flow)
    after = (ground.secrets / flow / "password").read_text()
    assert (after != before) is reached_the_database
    assert status(ground.config, ground.installation).ok


def test_rotating_a_role_of_somebody_else_is_refused(ground: Ground) -> None:
    with pytest.raises(ConfigurationError, match="'cassandra' is not a role"):
        rotate(ground.config, ground.installation, "cassandra")
    with pytest.raises(ConfigurationError, match="does not exist yet"):
        rotate(ground.config, ground.installation, f"{ground.keyspace}_flow")
