"""The workflows cannot be run here; what can be wrong with them by itself is looked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS: dict[str, dict[str, Any]] = {
    path.name: yaml.safe_load(path.read_text("utf-8")) for path in FILES
}


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{name}:{job}", about)
        for name, workflow in WORKFLOWS.items()
        for job, about in workflow["jobs"].items()
    ]


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs():
        for step in job["steps"]:
            yield name, step


def test_every_action_is_pinned_by_commit_and_says_its_version() -> None:
    lines = [
        line.strip()
        for path in FILES
        for line in path.read_text("utf-8").splitlines()
        if "uses:" in line
    ]
    assert len(lines) > 15
    pinned = re.compile(r"(- )?uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [line for line in lines if not pinned.fullmatch(line)] == []


def test_one_action_has_one_version() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step}
    assert len({one.partition("@")[0] for one in used}) == len(used)


def test_nothing_is_permitted_that_no_job_asks_for() -> None:
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {"contents": "read"}
    rights = {
        name: {right for right, how in job["permissions"].items() if how == "write"}
        for name, job in jobs()
        if "permissions" in job
    }
    # Whoever can sign cannot write the repository, and the other way round.
    assert rights == {
        "release.yml:make": {"id-token", "attestations"},
        "release.yml:pypi": {"id-token"},
        "release.yml:page": {"contents"},
    }


@pytest.mark.parametrize(("name", "job"), jobs(), ids=[name for name, _ in jobs()])
def test_a_job_ends_and_keeps_no_token_in_the_clone(name: str, job: dict[str, Any]) -> None:
    assert job["timeout-minutes"] <= 120, name
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_no_expression_is_pasted_into_a_script() -> None:
    """A branch's or a tag's name is text of somebody's choice; it goes in by a variable."""
    scripts = [(name, step["run"]) for name, step in steps() if "run" in step]
    assert len(scripts) > 5
    assert [name for name, script in scripts if "${{" in script] == []


def test_targets_and_files_of_the_scripts_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    scripts = "\n".join(step["run"] for _, step in steps() if "run" in step)
    used = set(re.findall(r"\bmake ([a-z0-9-]+)", scripts))
    assert {"lint", "demo", "test", "e2e", "release", "release-dry-run"} <= used
    assert used <= targets


def test_only_a_tag_releases() -> None:
    # YAML takes the key `on` for a boolean.
    assert WORKFLOWS["release.yml"][True] == {"push": {"tags": ["v*"]}}
    assert "pull_request_target" not in WORKFLOWS["ci.yml"][True]
    secrets = re.findall(r"secrets\.(\w+)", (ROOT / ".github/workflows/ci.yml").read_text())
    assert secrets == []
