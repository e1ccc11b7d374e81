from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.schema.credentials import PasswordFolder

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "flights_flow"


@pytest.fixture
def folder(tmp_path: Path) -> PasswordFolder:
    return PasswordFolder(tmp_path / "secrets")


def password(folder: PasswordFolder) -> str:
    return (folder.login_folder(ROLE) / "password").read_text()


def test_ensure_makes_files_only_their_owner_can_read(folder: PasswordFolder) -> None:
    folder.ensure(ROLE)
    home = folder.login_folder(ROLE)
    assert (home / "username").read_text() == ROLE
    assert len(password(folder)) >= 40
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home, home.parent)} == {0o700}
    assert {path.name for path in home.iterdir()} == {"username", "password"}


def test_ensure_keeps_a_password_that_is_there(folder: PasswordFolder) -> None:
    folder.ensure(ROLE)
    before = password(folder)
    folder.ensure(ROLE)
    assert password(folder) == before


def test_hash_has_the_form_cassandra_knows_and_agrees_with_the_file(folder: PasswordFolder) -> None:
    folder.ensure(ROLE)
    hashed = folder.hashed(ROLE)
    assert hashed.startswith("$2a$10$")
    assert password(folder) not in hashed
    assert folder.agrees(ROLE, hashed)
    (folder.login_folder(ROLE) / "password").write_text("another")
    assert not folder.agrees(ROLE, hashed)


@pytest.mark.parametrize("hashed", ["", "not a hash"])
def test_agrees_is_false_for_what_is_no_hash(folder: PasswordFolder, hashed: str) -> None:
    folder.ensure(ROLE)
    assert not folder.agrees(ROLE, hashed)


def test_a_line_end_is_not_part_of_the_password(folder: PasswordFolder) -> None:
    folder.ensure(ROLE)
    hashed = folder.hashed(ROLE)
    (folder.login_folder(ROLE) / "password").write_text(password(folder) + "\n")
    assert folder.agrees(ROLE, hashed)


def test_hash_of_a_role_without_a_file_names_the_file(folder: PasswordFolder) -> None:
    with pytest.raises(ConfigurationError, match="flights_flow/password is missing"):
        folder.hashed(ROLE)


def test_a_rotation_keeps_the_old_password_until_it_is_promoted(folder: PasswordFolder) -> None:
    folder.ensure(ROLE)
    old = password(folder)
    hashed = folder.stage(ROLE)
    assert password(folder) == old
    folder.promote(ROLE)
    assert password(folder) != old
    assert folder.agrees(ROLE, hashed)
    assert not folder.is_rotating(ROLE)


def test_recover_finishes_a_rotation_the_database_knows(folder: PasswordFolder) -> None:
    folder.ensure(ROLE)
    hashed = folder.stage(ROLE)
    folder.recover(ROLE, hashed)
    assert folder.agrees(ROLE, hashed)
    assert not folder.is_rotating(ROLE)


def test_recover_forgets_a_rotation_the_database_does_not_know(folder: PasswordFolder) -> None:
    folder.ensure(ROLE)
    hashed, before = folder.hashed(ROLE), password(folder)
    folder.stage(ROLE)
    folder.recover(ROLE, hashed)
    assert password(folder) == before
    assert not folder.is_rotating(ROLE)
