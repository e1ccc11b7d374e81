from __future__ import annotations

import shutil
from importlib.metadata import version as installed
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ConfigurationError
from release.project import changelog_section, obstacles, version_of
from support.snippets import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CHANGELOG = """# Changelog

## Unreleased

### Added

- New.

## 1.2.3 - 2026-01-02

- Old.

## 1.2.30

- Odd.
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "charts/prefect-cassandra/Chart.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def put(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_package_chart_and_images_have_one_version() -> None:
    """The images' tag is the chart's appVersion, which version_of compares."""
    assert version_of(ROOT) == installed("prefect-cassandra")


@pytest.mark.parametrize("line", ["\nversion: ", "\nappVersion: "])
def test_a_chart_of_another_version_is_refused(root: Path, line: str) -> None:
    chart = root / "charts/prefect-cassandra/Chart.yaml"
    put(chart, line, f"{line}9.9.9 # ")
    with pytest.raises(ConfigurationError, match=r"9\.9\.9, pyproject\.toml") as caught:
        version_of(root)
    assert "charts/generate.py" in caught.value.hint


@pytest.mark.parametrize("version", ["1.2", "1.2.3rc1", "1.2.3.post1", "1!1.2.3"])
def test_a_version_that_a_chart_cannot_spell_is_refused(root: Path, version: str) -> None:
    put(root / "pyproject.toml", f'version = "{version_of(ROOT)}"', f'version = "{version}"')
    with pytest.raises(ConfigurationError, match="a chart cannot have"):
        version_of(root)


def test_a_section_is_what_stands_between_its_heading_and_the_next() -> None:
    assert changelog_section(CHANGELOG, "1.2.3") == "- Old."
    assert changelog_section(CHANGELOG, "Unreleased") == "### Added\n\n- New."
    assert changelog_section(CHANGELOG, "1.2.30") == "- Odd."
    assert changelog_section(CHANGELOG, "1.2") == ""


@pytest.mark.parametrize(
    ("version", "tags", "changes", "wanted"),
    [
        ("1.2.3", "v1.2.3\n", "", []),
        ("1.2.3", "stable\nv1.2.3\n", "", []),
        ("1.2.3", "v1.2.30\n", "", ["no tag v1.2.3"]),
        ("1.2.3", "v1.2.3\n", " M README.md\n", ["not committed"]),
        ("1.2.4", "v1.2.4\n", "", ["no section 1.2.4"]),
        ("1.2.4", "", "?? new\n", ["not committed", "no tag v1.2.4", "no section 1.2.4"]),
    ],
)
def test_what_stands_in_the_way_is_told_all_at_once(
    version: str, tags: str, changes: str, wanted: list[str]
) -> None:
    found = obstacles(version, tags=tags, changes=changes, changelog=CHANGELOG)
    assert len(found) == len(wanted)
    for words, line in zip(wanted, found, strict=True):
        assert words in line
