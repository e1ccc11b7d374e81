from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from release import provenance
from release.__main__ import builder_of

if TYPE_CHECKING:
    from pathlib import Path

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
BUILD = provenance.Build(
    version="1.2.3",
    registry="registry.example.org/data",
    builder="urn:example:builder",
    invocation="urn:example:run:7",
    started="2026-01-02T03:04:05Z",
    finished="2026-01-02T03:14:05Z",
    is_clean=True,
)


def test_checksums_are_what_the_ordinary_tool_reads(tmp_path: Path) -> None:
    (tmp_path / "python").mkdir()
    files = [tmp_path / "python" / "b.whl", tmp_path / "a.tgz"]
    for file in files:
        file.write_text(file.name)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(provenance.checksums(files, tmp_path))
    assert [line.split("  ")[1] for line in sums.read_text().splitlines()] == [
        "a.tgz",
        "python/b.whl",
    ]
    program = shutil.which("sha256sum")
    assert program is not None
    check = [program, "--check", "--strict", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    files[0].write_text("changed")
    assert subprocess.run(check, cwd=tmp_path, check=False, capture_output=True).returncode == 1


def test_a_statement_binds_artifacts_to_sources(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    subjects = [
        provenance.of_file(tmp_path / "empty"),
        provenance.of_image("registry.example.org/data/flows", "sha256:ab"),
    ]
    sources = [provenance.Thing("git+https://example.org/repository", "gitCommit", "c0ffee")]
    said = provenance.statement(BUILD, subjects, sources)
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    assert said["subject"] == [
        {"name": "empty", "digest": {"sha256": EMPTY}},
        {"name": "registry.example.org/data/flows", "digest": {"sha256": "ab"}},
    ]
    definition = said["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["version"] == "1.2.3"
    assert definition["resolvedDependencies"] == [
        {"uri": "git+https://example.org/repository", "digest": {"gitCommit": "c0ffee"}}
    ]
    assert definition["internalParameters"] == {"everythingCommitted": True}
    assert said["predicate"]["runDetails"]["builder"] == {"id": "urn:example:builder"}


@pytest.mark.parametrize(
    ("remote", "wanted"),
    [
        ("https://example.org/data/flows.git", "git+https://example.org/data/flows.git"),
        ("https://me:token@example.org:8443/flows", "git+https://example.org:8443/flows"),
        ("ssh://git@example.org/data/flows", "git+ssh://example.org/data/flows"),
        ("/home/me/flows", "urn:prefect-cassandra:source"),
        ("", "urn:prefect-cassandra:source"),
    ],
)
def test_a_source_is_named_without_its_login(remote: str, wanted: str) -> None:
    assert provenance.origin(remote) == wanted


GITHUB = {
    "GITHUB_SERVER_URL": "https://example.org",
    "GITHUB_REPOSITORY": "data/prefect-cassandra",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_WORKFLOW_REF": "data/prefect-cassandra/.github/workflows/release.yml@refs/tags/v1",
}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ("urn:prefect-cassandra:by-hand", "")),
        (
            GITHUB,
            (
                "https://example.org/data/prefect-cassandra/.github/workflows/release.yml",
                "https://example.org/data/prefect-cassandra/actions/runs/7/attempts/2",
            ),
        ),
    ],
)
def test_the_builder_is_who_ran_it(environment: dict[str, str], wanted: tuple[str, str]) -> None:
    assert builder_of(environment) == wanted
