from __future__ import annotations

from pathlib import Path

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.kube.images import (
    Image,
    build_command,
    content_digest,
    digest_of,
    make_tag,
    planned,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "docker/platform.Dockerfile",
        "docker/flow.Dockerfile",
        "pyproject.toml",
        "uv.lock",
        "src/package/module.py",
        "flows/load.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_a_tag_is_commit_and_content() -> None:
    assert make_tag("0123456789abcdef", "feed") == "0123456789-feed"
    assert make_tag("", "feed") == "local-feed"


def test_the_same_content_has_the_same_tags(root: Path) -> None:
    before = planned(root)
    (root / "src/package/__pycache__").mkdir()
    (root / "src/package/__pycache__/module.pyc").write_text("compiled")
    (root / "README.rst").write_text("goes into no image")
    assert planned(root) == before


@pytest.mark.parametrize(
    ("file", "platform_moves"),
    [
        ("src/package/module.py", True),
        ("uv.lock", True),
        ("docker/platform.Dockerfile", True),
        ("docker/ca/ours.crt", True),
        ("docker/flow.Dockerfile", False),
        ("flows/load.py", False),
        ("flows/new.py", False),
    ],
)
def test_a_change_moves_the_tags_of_the_images_it_is_in(
    root: Path, file: str, *, platform_moves: bool
) -> None:
    platform, flows = planned(root)
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text("changed")
    platform_after, flows_after = planned(root)
    assert (platform_after != platform) is platform_moves
    assert flows_after != flows


def test_a_moved_file_or_an_executable_bit_counts(root: Path) -> None:
    before = content_digest(root, ["flows"])
    (root / "flows/load.py").chmod(0o755)
    after = content_digest(root, ["flows"])
    assert after != before
    (root / "flows/load.py").rename(root / "flows/other.py")
    assert content_digest(root, ["flows"]) != after


def test_the_projects_own_folder_can_be_planned() -> None:
    platform, flows = planned(Path(), "registry.example/team/")
    assert platform.repository == "registry.example/team/prefect-cassandra-platform"
    assert flows.reference == f"{flows.repository}:{flows.tag}"
    assert len(flows.tag) <= 128


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no docker/platform\.Dockerfile"):
        planned(tmp_path)


def test_a_digest_wins_over_a_tag() -> None:
    assert Image("r/flows", "1").reference == "r/flows:1"
    assert Image("r/flows", "1", "sha256:ab").reference == "r/flows@sha256:ab"


def test_the_digest_is_that_of_the_repository() -> None:
    known = ["other/flows@sha256:00", "host:5000/flows@sha256:ab"]
    assert digest_of("host:5000/flows", known) == "sha256:ab"
    assert digest_of("flows", known) is None


def test_the_build_says_what_it_is_made_of() -> None:
    command = build_command(
        Image("flows", "c-d"),
        "docker/flow.Dockerfile",
        {"PLATFORM": "p:1"},
        revision="",
        created="",
    )
    assert command[:6] == [
        "docker",
        "build",
        "--file",
        "docker/flow.Dockerfile",
        "--tag",
        "flows:c-d",
    ]
    assert "PLATFORM=p:1" in command
    assert "REVISION=unknown" in command
    assert command[-1] == "."
