"""What the project says about its version: pyproject.toml, the chart, the changelog, git."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import yaml

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.kube.release import CHART
from prefect_cassandra.kube.tools import run

if TYPE_CHECKING:
    from pathlib import Path

# The part of Python's versions that Helm and a tag of an image can spell as well.
_PLAIN = re.compile(r"\d+\.\d+\.\d+")


def version_of(root: Path) -> str:
    """Return the version, which pyproject.toml alone decides.

    Raises:
        ConfigurationError: It is none that the chart and the images could carry too, or the
            chart carries another one.
    """
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    version = str(declared["project"]["version"])
    if not _PLAIN.fullmatch(version):
        raise ConfigurationError(
            f"The version in pyproject.toml is {version!r}, which a chart cannot have.",
            hint="Use three numbers, such as 1.2.3.",
        )
    chart = yaml.safe_load((root / CHART / "Chart.yaml").read_text(encoding="utf-8"))
    for field in ("version", "appVersion"):
        if chart[field] != version:
            raise ConfigurationError(
                f"{CHART}/Chart.yaml has {field} {chart[field]}, pyproject.toml {version}.",
                hint="Run python charts/generate.py.",
            )
    return version


def changelog_section(text: str, heading: str) -> str:
    """Return what the changelog says under `## <heading>`; empty where there is none."""
    begin = rf"^## \[?{re.escape(heading)}(?![\w.])[^\n]*\n"
    match = re.search(begin + r"(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return match[1].strip() if match else ""


def obstacles(version: str, *, tags: str, changes: str, changelog: str) -> list[str]:
    """Return what stands in the way of calling this commit that version; empty when nothing does.

    Args:
        version: The version.
        tags: Tags of the commit, one a line, as git lists them.
        changes: What is not committed, as git lists it.
        changelog: Text of the changelog.
    """
    found = []
    if changes.strip():
        found.append("there are changes that are not committed; commit or stash them")
    if f"v{version}" not in tags.split():
        found.append(f"the commit has no tag v{version}; set it with git tag v{version}")
    if not changelog_section(changelog, version):
        found.append(f"CHANGELOG.md has no section {version}; give the unreleased one this name")
    return found


def obstacles_of(root: Path, version: str) -> list[str]:
    """Return what stands in the way of releasing the commit that a folder is at."""
    return obstacles(
        version,
        tags=run(["git", "tag", "--points-at", "HEAD"], folder=root),
        changes=run(["git", "status", "--porcelain"], folder=root),
        changelog=(root / "CHANGELOG.md").read_text(encoding="utf-8"),
    )
