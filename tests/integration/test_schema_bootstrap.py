"""What a platform does at its install, as superuser, and at each new image, as owner."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.cli.app import run
from prefect_cassandra.driver.config import Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    SchemaError,
)
from prefect_cassandra.schema import bootstrap, load_keyspaces, migrate
from prefect_cassandra.schema.superuser import is_refused, refusal
from support.schema import Ground

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ground(node: Any, superuser: Session, tmp_path: Path) -> Ground:
    """An installation whose migrations come later, in an image of flows."""
    made = Ground.make(node.config("superuser"), superuser, tmp_path)
    made.write("0001_first", "a", "b")
    made.write_file(migrations=None)
    return made


def boot(ground: Ground, said: list[str] | None = None, *, nodes: int = 1) -> None:
    tell = [] if said is None else said
    bootstrap(ground.config, ground.installation, nodes=nodes, timeout=30, progress=tell.append)


def test_the_platform_makes_keyspaces_and_the_owner_its_tables(ground: Ground) -> None:
    said: list[str] = []
    boot(ground, said)
    assert f"role {ground.keyspace}_flow" in said
    assert said[-2:] == [
        "the default login and logins without a name are refused",
        "every role logs in",
    ]
    assert ground.tables() == set()

    ground.write_file()
    owner, keyspaces = ground.role("prefect_owner"), load_keyspaces(ground.file)
    assert migrate(owner, keyspaces) == (f"{ground.keyspace}/0001_first",)
    assert ground.tables() == {"a", "b"}
    assert migrate(owner, keyspaces) == ()
    with closing(Session(ground.role("flow"))) as flow:
        flow.execute(ground.say("INSERT INTO {keyspace}.a (k) VALUES (1)"))


def test_doing_it_again_leaves_every_table_and_every_login_as_it_is(ground: Ground) -> None:
    boot(ground)
    ground.write_file()
    migrate(ground.role("prefect_owner"), load_keyspaces(ground.file))
    ground.write_file(migrations=None)
    hashes = "SELECT role, salted_hash FROM system_auth.roles"
    before = sorted(map(str, ground.superuser.execute(hashes)))
    boot(ground)
    assert sorted(map(str, ground.superuser.execute(hashes))) == before
    assert ground.tables() == {"a", "b"}


def test_a_changed_secret_reaches_the_database(ground: Ground) -> None:
    boot(ground)
    old = ground.role("flow").login
    assert old is not None
    assert old.folder is not None
    kept = ground.folder / "old"
    shutil.copytree(old.folder, kept)
    (old.folder / "password").write_text("another one, from a changed Secret")
    boot(ground)
    assert refusal(ground.role("flow")) is None
    assert is_refused(replace(ground.config, login=Login(folder=kept)))


def test_only_the_owner_can_migrate(ground: Ground) -> None:
    boot(ground)
    ground.write_file()
    with pytest.raises(PermissionDeniedError):
        migrate(ground.role("flow"), load_keyspaces(ground.file))
    assert ground.tables() == set()


def test_a_keyspace_nobody_made_is_named(ground: Ground) -> None:
    ground.write_file()
    with pytest.raises(SchemaError, match=f"no keyspace {ground.keyspace}") as caught:
        migrate(ground.config, load_keyspaces(ground.file))
    assert "schema apply" in (caught.value.hint or "")


def test_a_role_without_a_login_of_its_own_is_an_error(ground: Ground) -> None:
    config = replace(ground.config, login=Login("superuser", "not a folder"))
    with pytest.raises(ConfigurationError, match="folder of mounted files"):
        bootstrap(config, ground.installation, nodes=1, timeout=5, progress=print)


def test_the_command_line_migrates_with_the_owners_login_alone(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    boot(ground)
    ground.write_file()
    (address,) = ground.config.contact_points
    options = ["--file", str(ground.file), "--contact-points", address]
    port = ["--port", str(ground.config.port)]
    login = ["--login-folder", str(ground.secrets / "prefect_owner")]
    assert run(["schema", "migrate", *options, *port, *login]) == 0
    assert "1 migration(s) carried out" in capsys.readouterr().err
    assert ground.tables() == {"a", "b"}
    assert run(["schema", "migrate", *options, *port]) == 2
    assert "--login-folder" in capsys.readouterr().err


def test_a_superuser_that_the_data_does_not_know_is_said_and_given_up_early(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_cassandra.schema.superuser._TOLD", 0.2)
    monkeypatch.setattr("prefect_cassandra.schema.superuser._GIVEN_UP", 1.0)
    login = ground.config.login
    assert login is not None
    assert login.folder is not None
    kept = ground.folder / "wrong-superuser"
    shutil.copytree(login.folder, kept)
    (kept / "password").write_text("not the one that the data knows")
    said: list[str] = []
    config = replace(ground.config, login=Login(folder=kept))
    with pytest.raises(AuthenticationError, match="accepts neither our superuser nor the default"):
        bootstrap(config, ground.installation, nodes=1, timeout=60, progress=said.append)
    assert said[-1].startswith("the cluster refuses both our superuser and the default login")
