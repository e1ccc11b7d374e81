"""The pages say what is true: commands exist, links lead somewhere, generated pages are fresh."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.cli.app import app
from support.snippets import ROOT, Snippet, snippets

if TYPE_CHECKING:
    from cyclopts import App

PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("flows/**/*.md")]


@pytest.mark.timeout(30)
def test_generated_pages_are_fresh() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken
    assert len(PAGES) > 5


def commands(snippet: Snippet) -> list[list[str]]:
    joined = snippet.code.replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in joined.splitlines() if line.strip()]


SHELL = snippets("sh")


@pytest.mark.parametrize("snippet", SHELL, ids=str)
def test_commands_of_the_pages_exist(snippet: Snippet) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(snippet):
        program = words[0].rsplit("/", 1)[-1] if words else ""
        if program == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets
        elif program == "prefect-cassandra":
            parse(app, words[1:])


def parse(program: App, words: list[str]) -> None:
    """Parse a command line as the program would; wrong words raise."""
    program.parse_args(words, exit_on_error=False, print_error=False)


def test_the_readme_shows_shell_and_python() -> None:
    assert any(one.page == "README.md" for one in SHELL)
    assert any(one.page == "README.md" for one in snippets("python"))
