from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.kube.origin import CHANGED, parse_whoami, person, revision_of
from prefect_cassandra.kube.tools import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_git_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


def git(folder: Path, *arguments: str) -> None:
    run(["git", *arguments], folder=folder)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "config", "user.name", "A Person")
    git(folder, "config", "user.email", "person@example.org")
    (folder / "file").write_text("one")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_git_knows_who_it_is(clone: Path) -> None:
    assert person(clone) == "A Person <person@example.org>"
    git(clone, "config", "--unset", "user.email")
    assert person(clone) == "A Person"


def test_without_git_it_is_the_user_of_the_machine(tmp_path: Path) -> None:
    assert person(tmp_path).startswith(f"{getpass.getuser()}@")


def test_a_commit_is_marked_when_files_differ_from_it(clone: Path) -> None:
    commit = revision_of(clone)
    assert len(commit) == 40
    (clone / "file").write_text("two")
    assert revision_of(clone) == f"{commit}{CHANGED}"


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    assert revision_of(tmp_path) == ""


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ('{"status": {"userInfo": {"username": "somebody", "groups": []}}}', "somebody"),
        ('{"status": {}}', ""),
        ("error: unknown command", ""),
        ("[]", ""),
    ],
)
def test_the_clusters_name_for_us(text: str, user: str) -> None:
    assert parse_whoami(text) == user
