"""Reading a CQL statement just far enough: what kind it is, and whether it may be repeated.

An allow-list, not a parser: what is not recognised counts as a write that must not be repeated.
"""

from __future__ import annotations

import re
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.driver.tables import TableInfo

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|//[^\n]*|/\*.*?\*/)
   |(?P<string>'(?:[^']|'')*'|\$\$.*?\$\$)
   |(?P<quoted>"(?:[^"]|"")*")
   |(?P<uuid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})
   |(?P<number>0[xX][0-9a-fA-F]*|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?[A-Za-z0-9]*)
   |(?P<word>[A-Za-z_]\w*)
   |(?P<marker>\?|:[A-Za-z_]\w*|:"(?:[^"]|"")*")
   |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LITERALS = ("string", "uuid", "number", "marker")
_LITERAL_WORDS = ("TRUE", "FALSE", "NULL", "NAN", "INFINITY")
_READS = ("SELECT", "LIST", "DESCRIBE", "DESC")
_OPEN, _CLOSE = "([{", ")]}"
_SHOWN = 200


class Kind(Enum):
    """What a statement may do to data, which decides what its errors mean."""

    READ = "read"
    WRITE = "write"
    CONDITIONAL = "conditional write"


class Token(NamedTuple):
    """One word of CQL: its kind, its text, and the text to compare keywords and names with."""

    kind: str
    text: str

    @property
    def upper(self) -> str:
        """The keyword this may be; a quoted name is never one."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name this is as it is stored, or an empty string."""
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return self.text.lower() if self.kind == "word" else ""


def tokens(cql: str) -> list[Token]:
    """Split `cql` into its words, without blanks and comments."""
    return [
        Token(str(match.lastgroup), match.group())
        for match in _TOKEN.finditer(cql)
        if match.lastgroup != "space"
    ]


def kind_of(cql: str) -> Kind:
    """Say what kind of statement `cql` is, by its first word and by a condition (`IF`) in it."""
    words = tokens(cql)
    first = words[0].upper if words else ""
    if first in _READS:
        return Kind.READ
    data = first in ("INSERT", "UPDATE", "DELETE", "BEGIN")
    return Kind.CONDITIONAL if data and any(w.upper == "IF" for w in words) else Kind.WRITE


def redacted(cql: str) -> str:
    """Return `cql` on one line, shortened, and without literals when it sets a password."""
    text = " ".join(_without_secrets(cql).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def redact_message(message: str, cql: str) -> str:
    """Return the server's `message` without what it may echo of a password set in `cql`."""
    if not sets_password(cql):
        return message
    for token in tokens(cql):
        if token.kind == "string" and len(token.text) > len("''"):
            message = message.replace(token.text.strip("'$"), "***")
    return message


def sets_password(cql: str) -> bool:
    """Whether literals of this statement are secrets."""
    return any(token.upper == "PASSWORD" for token in tokens(cql))


def _without_secrets(cql: str) -> str:
    if not sets_password(cql):
        return cql
    return " ".join("'***'" if t.kind == "string" else t.text for t in tokens(cql))


def looks_idempotent(cql: str, table: TableInfo | None = None) -> bool:
    """Whether sending `cql` twice, with the same values and timestamp, ends as sending it once.

    Args:
        cql: One statement.
        table: The table it is about, when known; lets `set = set + ?` and `map[?] = ?` through.

    Returns:
        True only for what is recognised as safe; conditions, counters, function calls, batches and
        DDL are not. Nor is anything that writes a list that is not frozen: the server gives its
        elements new places each time, and a repeat at the same timestamp adds them once more.
    """
    words = tokens(cql)
    while words and words[-1].text == ";":
        words.pop()
    first = words[0].upper if words else ""
    if first == "SELECT":
        return True
    if any(word.upper == "IF" for word in words) or any(word.text == ";" for word in words):
        return False
    if table is not None and any("counter" in column.cql_type for column in table.columns):
        return False
    judge = {"INSERT": _insert_repeats, "UPDATE": _update_repeats, "DELETE": _delete_repeats}
    return judge[first](words, table) if first in judge else False


def _insert_repeats(words: list[Token], table: TableInfo | None) -> bool:
    keywords = [word.upper for word in words]
    lists = {column.name for column in table.columns if column.is_plain_list} if table else set()
    if "JSON" in keywords[:6]:
        return not lists and not _has_call(words[keywords.index("JSON") :])
    if "VALUES" not in keywords:
        return False
    start = keywords.index("VALUES") + 1
    if lists & {word.name for word in words[:start]}:
        return False
    end = _closing(words, start)
    inside = words[start + 1 : end]
    return (
        end > start
        and all(_is_term(part) for part in _split(inside))
        and not _has_call(words[end + 1 :])
    )


def _update_repeats(words: list[Token], table: TableInfo | None) -> bool:
    keywords = [word.upper for word in words]
    if "SET" not in keywords or "WHERE" not in keywords:
        return False
    start, end = keywords.index("SET"), keywords.index("WHERE")
    assignments = _split(words[start + 1 : end])
    if _has_call(words[end:]) or _has_call(words[:start]):
        return False
    return bool(assignments) and all(_assignment_repeats(part, table) for part in assignments)


def _delete_repeats(words: list[Token], table: TableInfo | None) -> bool:
    keywords = [word.upper for word in words]
    if "FROM" not in keywords:
        return False
    cells = words[1 : keywords.index("FROM")]
    by_element = [part for part in _split(cells) if any(word.text == "[" for word in part)]
    if not all(_is_keyed(part[0].name, table, ("map",)) for part in by_element):
        return False
    return not _has_call(words)


def _assignment_repeats(part: list[Token], table: TableInfo | None) -> bool:
    """Whether one `target = value` of an UPDATE repeats safely."""
    at = next((i for i, word in enumerate(part) if word.text == "="), -1)
    if at < 1:
        return False
    target, value = part[:at], part[at + 1 :]
    name = target[0].name
    growing = ("set", "map")
    if target[-1].text in "+-":
        # s += ? and s -= ?
        return len(target) == len("s+") and _is_keyed(name, table, growing) and _is_term(value)
    if len(target) > 1 and target[1].text == "[":
        return _is_keyed(name, table, ("map",)) and _is_term(value)
    if len(value) > 1 and value[0].name == name and value[1].text in "+-":
        return _is_keyed(name, table, growing) and _is_term(value[2:])
    return not _is_keyed(name, table, ("list",)) and _is_term(value)


def _is_keyed(name: str, table: TableInfo | None, kinds: Sequence[str]) -> bool:
    """Whether the column is known to be a collection whose elements are addressed by value."""
    column = table.column(name) if table is not None else None
    return column is not None and column.cql_type.split("<")[0] in kinds


def _is_term(part: Sequence[Token]) -> bool:
    """Whether `part` is one value: a literal, a marker, or a bracketed literal without calls."""
    if not part:
        return False
    if part[0].text == "-":
        return len(part) == len("-1") and part[1].kind == "number"
    if len(part) == 1:
        return part[0].kind in _LITERALS or part[0].upper in _LITERAL_WORDS
    bracketed = part[0].text in _OPEN and _closing(part, 0) == len(part) - 1
    return bracketed and not _has_call(part)


def _has_call(part: Sequence[Token]) -> bool:
    """Whether a function is called: a name before a parenthesis, other than `IN (...)`."""
    return any(
        after.text == "(" and (word.kind == "quoted" or word.upper not in ("", "IN", "AND"))
        for word, after in pairwise(part)
    )


def _closing(part: Sequence[Token], start: int) -> int:
    """Return the index of the bracket that closes the one at `start`, or -1."""
    depth = 0
    for index in range(start, len(part)):
        text = part[index].text
        depth += (text in _OPEN and part[index].kind == "other") - (
            text in _CLOSE and part[index].kind == "other"
        )
        if depth == 0:
            return index
    return -1


def _split(part: Sequence[Token]) -> list[list[Token]]:
    """Split at commas that are in no bracket."""
    found: list[list[Token]] = [[]]
    depth = 0
    for word in part:
        if word.kind == "other" and word.text in _OPEN:
            depth += 1
        elif word.kind == "other" and word.text in _CLOSE:
            depth -= 1
        if word.text == "," and depth == 0:
            found.append([])
        else:
            found[-1].append(word)
    return found if found != [[]] else []
