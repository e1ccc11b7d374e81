"""The code blocks of the README and the docs, so that tests can run what readers copy.

A comment `<!-- then: CODE -->` on the line before a Python block is run after it: what the reader
would look at next, or the check that the block did what the page says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(
    r"(?:<!-- then: (?P<then>.*?) -->\n)?```(?P<kind>\w+)\n(?P<code>.*?)```", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """One code block.

    Attributes:
        page: Path of the page, relative to the project.
        line: Line of the page on which the block begins.
        kind: Its language.
        code: Its text.
        then: What is run after it.
    """

    page: str
    line: int
    kind: str
    code: str
    then: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def snippets(kind: str) -> list[Snippet]:
    """Return every block of a language, from README.md and all pages below docs and flows."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("flows/**/*.md")]
    found = []
    for page in sorted(pages):
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            if match["kind"] == kind:
                line = text.count("\n", 0, match.start()) + 1
                name = str(page.relative_to(ROOT))
                found.append(Snippet(name, line, kind, match["code"], match["then"] or ""))
    return found
