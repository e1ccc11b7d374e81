"""Cuts a CQL file into its statements and its words.

Follows the lexer of Cassandra 5.0 (`src/antlr/Lexer.g`): `--` and `//` comment to the end of the
line, `/* */` over lines and without nesting; text is `'...'` with `''` inside, or `$$...$$`; quoted
names are `"..."` with `""` inside. A batch is one statement up to `APPLY BATCH`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from prefect_cassandra.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["gap", "text", "quoted", "name", "symbol"]

_LEXER = re.compile(
    r"""
      (?P<gap>  \s+ | (?:--|//)[^\n]* | /\*.*?\*/ )
    | (?P<text> '(?:[^']|'')*' | \$\$.*?\$\$ )
    | (?P<quoted> "(?:[^"]|"")+" )
    | (?P<name> \w+ )
    | (?P<open> ' | \$\$ | " | /\* )
    | (?P<symbol> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSES = {"'": "'", "$$": "$$", '"': '"', "/*": "*/"}


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a statement; `offset` counts characters from the start of the file."""

    kind: Kind
    text: str
    offset: int

    @property
    def word(self) -> str:
        """The token as a keyword: upper case, and empty for what cannot be one."""
        return self.text.upper() if self.kind in ("name", "symbol") else ""

    @property
    def identifier(self) -> str:
        """The token as a name of the schema: CQL folds unquoted names to lower case."""
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return self.text.lower() if self.kind == "name" else ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as it is sent: comments kept, the closing semicolon gone."""

    text: str
    line: int
    tokens: tuple[Token, ...] = field(repr=False)


def tokenize(text: str) -> Iterator[Token]:
    """Yield every token of `text`, white space and comments included.

    Raises:
        SchemaError: A string, a quoted name or a comment is not closed; names the line.
    """
    for match in _LEXER.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            opened = match.group()
            raise SchemaError(
                f"line {_line(text, match.start())}: {opened} is not closed",
                hint=f"Close it with {_CLOSES[opened]}.",
            )
        yield Token(kind, match.group(), match.start())  # type: ignore[arg-type]  # names of the groups


def split(text: str) -> list[Statement]:
    """Cut `text` into statements at the semicolons that end one.

    Raises:
        SchemaError: Something is not closed, or a batch has no `APPLY BATCH`.
    """
    found: list[Statement] = []
    pending: list[Token] = []
    for token in tokenize(text):
        if token.kind == "gap":
            continue
        if token.text != ";":
            pending.append(token)
        elif pending and not _open_batch(pending):
            found.append(_statement(text, pending))
            pending = []
        elif pending:
            pending.append(token)
    if pending:
        if _open_batch(pending):
            line = _line(text, pending[0].offset)
            raise SchemaError(f"line {line}: BEGIN BATCH without APPLY BATCH")
        found.append(_statement(text, pending))
    return found


def quote_text(value: str) -> str:
    """Write `value` as a CQL string."""
    return "'" + value.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Write a name so that CQL reads exactly it, with quotes only where they are needed."""
    return name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _open_batch(tokens: list[Token]) -> bool:
    words = [token.word for token in tokens[:3]]
    begins = words[:1] == ["BEGIN"] and "BATCH" in words
    return begins and [token.word for token in tokens[-2:]] != ["APPLY", "BATCH"]


def _statement(text: str, tokens: list[Token]) -> Statement:
    start, last = tokens[0].offset, tokens[-1]
    body = text[start : last.offset + len(last.text)]
    return Statement(body, _line(text, start), tuple(tokens))


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
