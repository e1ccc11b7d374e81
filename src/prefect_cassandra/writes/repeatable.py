"""Which statements may carry a stamp: those that, sent once more, leave the same cells.

An allow-list on the text of CQL, after the grammar of Cassandra 5.0 (`src/antlr/Parser.g`): what is
not known to be repeatable is refused, with what to write instead. What passes is also told apart
into the rows it is about, so that the ledger can say which keys were written or deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from prefect_cassandra.driver.statements import Token, looks_idempotent, redacted, tokens
from prefect_cassandra.errors import NotRepeatableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.driver.tables import TableInfo

Verb = Literal["INSERT", "UPDATE", "DELETE", "BATCH"]

_CHANGES = ("INSERT", "UPDATE", "DELETE")
_OPEN, _CLOSE = "([{", ")]}"
_NO_CALLS = ("IN", "AND", "VALUES", "SET", "WHERE")
_UNSTAMPED = "pass stamped=False, which keeps it out of the ledger"
_BY_HAND = f"Write plain values and markers, without calculations; or {_UNSTAMPED}."


@dataclass(frozen=True, slots=True)
class Term:
    """What stands for a value: a marker, or a literal.

    Attributes:
        marker: Which marker of the statement, from 0; None for a literal.
        text: The literal, without the quotes of a string.
    """

    marker: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One INSERT, UPDATE or DELETE.

    Attributes:
        verb: Which of them.
        keyspace: Keyspace of the table as it is stored; empty when the text does not name it.
        table: The table as it is stored.
        columns: The columns that are written or whose cells are deleted; none when whole rows are
            deleted or the columns stand in JSON.
        keys: What each column of a condition `=` or `IN` may be, or each column of an INSERT is.
        ranges: Whether rows are also chosen by a range, or in a way that is not told apart.
        text: The statement on its own.
    """

    verb: Verb
    keyspace: str
    table: str
    columns: tuple[str, ...]
    keys: dict[str, tuple[Term, ...]]
    ranges: bool
    text: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that changes data.

    Attributes:
        kind: INSERT, UPDATE, DELETE or BATCH.
        changes: What it is made of; more than one in a batch only.
    """

    kind: Verb
    changes: tuple[Change, ...]


def changes_data(cql: str) -> bool:
    """Whether a statement inserts, updates or deletes; all others have no cells to stamp."""
    return next((word.upper in (*_CHANGES, "BEGIN") for word in tokens(cql)), False)


def read_statement(cql: str) -> Statement:
    """Tell a statement that changes data apart.

    Args:
        cql: INSERT, UPDATE, DELETE or BATCH; one that the server takes.

    Raises:
        NotRepeatableError: It cannot carry a stamp, whatever its table is like.
    """
    words = tokens(cql)
    while words and words[-1].text == ";":
        words.pop()
    if any(word.upper == "IF" for word in words):
        raise _refused(
            cql,
            "a condition (IF) is decided before the write, which can still lose to a stamp",
            "claim(...) is for conditional writes, in tables of their own; or " + _UNSTAMPED + ".",
        )
    if _gives_timestamp(words):
        raise _refused(
            cql,
            "it gives its own time of writing (USING TIMESTAMP)",
            f"Leave USING TIMESTAMP out: the ledger gives the time; or {_UNSTAMPED}.",
        )
    parts = _parts(words, cql)
    kind: Verb = "BATCH" if words[0].upper == "BEGIN" else parts[0].verb
    return Statement(kind, tuple(parts))


def require_repeatable(statement: Statement, table: TableInfo) -> None:
    """Refuse what a repeat would do twice, or otherwise.

    Args:
        statement: What `read_statement` returned.
        table: Its table.

    Raises:
        NotRepeatableError: It cannot carry a stamp; says why and what to write instead.
    """
    if any("counter" in column.cql_type for column in table.columns):
        raise _refused(
            statement.changes[0].text,
            f"{table.keyspace}.{table.name} has counters, and a repeated increment counts twice",
            _sentence(_UNSTAMPED),
        )
    for change in statement.changes:
        if not looks_idempotent(change.text, table):
            raise _refused(change.text, *_reason(change, table))


def _gives_timestamp(words: Sequence[Token]) -> bool:
    """Whether a USING clause has a TIMESTAMP, alone or behind a TTL."""
    for at, word in enumerate(words):
        if word.upper == "USING":
            clause = [one.upper for one in words[at + 1 : at + 5]]
            if clause[:1] == ["TIMESTAMP"] or clause[2:4] == ["AND", "TIMESTAMP"]:
                return True
    return False


def _parts(words: Sequence[Token], cql: str) -> list[Change]:
    """Tell apart the statement, or each of a batch; their first words are reserved."""
    starts = [at for at, word in enumerate(words) if word.upper in _CHANGES]
    ends = [*starts[1:], len(words)]
    if not starts:
        raise _refused(cql, "it changes nothing", "Send it with stamped=False.")
    batch = words[0].upper == "BEGIN"
    if batch and any(word.upper == "COUNTER" for word in words[: starts[0]]):
        raise _refused(cql, "a repeated increment counts twice", _sentence(_UNSTAMPED))
    # Two markers are equal as tokens, so each is known by its identity.
    markers = (word for word in words if word.kind == "marker")
    numbers = {id(word): number for number, word in enumerate(markers)}
    found = []
    for start, end in zip(starts, ends, strict=True):
        part = list(words[start:end])
        if batch and end == len(words):
            part = part[: -len(("APPLY", "BATCH"))]
        while part and part[-1].text == ";":
            part.pop()
        found.append(_Reading(part, numbers, cql).change())
    if len({(change.keyspace, change.table) for change in found}) > 1:
        raise _refused(
            cql,
            "the batch writes several tables, and each table has a clock of its own",
            f"Write one statement or batch for each table; or {_UNSTAMPED}.",
        )
    return found


@dataclass(slots=True)
class _Reading:
    """One statement on its way to a `Change`; `markers` has the number of each, by its `id`."""

    words: list[Token]
    markers: dict[int, int]
    cql: str

    def change(self) -> Change:
        verb = self.words[0].upper
        if verb == "INSERT":
            return self._insert()
        return self._update() if verb == "UPDATE" else self._delete()

    def _insert(self) -> Change:
        keyspace, table, at = self._table(self._after("INTO"))
        columns: list[str] = []
        keys: dict[str, tuple[Term, ...]] = {}
        if self.words[at].text == "(" and "VALUES" in self._keywords():
            columns = [part[0].name for part in _split(self._bracket(at)) if part]
            values = _split(self._bracket(self._after("VALUES")))
            for name, value in zip(columns, values, strict=False):
                term = self._term(value)
                if term is not None:
                    keys[name] = (term,)
        return self._made("INSERT", keyspace, table, tuple(columns), keys, ranges=not columns)

    def _update(self) -> Change:
        keyspace, table, _ = self._table(1)
        assigned = self.words[self._after("SET") : self._after("WHERE") - 1]
        columns = tuple(dict.fromkeys(part[0].name for part in _split(assigned) if part))
        keys, ranges = self._where()
        return self._made("UPDATE", keyspace, table, columns, keys, ranges=ranges)

    def _delete(self) -> Change:
        start = self._after("FROM")
        keyspace, table, _ = self._table(start)
        cells = _split(self.words[1 : start - 1])
        columns = tuple(dict.fromkeys(part[0].name for part in cells if part))
        keys, ranges = self._where()
        return self._made("DELETE", keyspace, table, columns, keys, ranges=ranges)

    def _made(  # noqa: PLR0913 -- the attributes of a change
        self,
        verb: Verb,
        keyspace: str,
        table: str,
        columns: tuple[str, ...],
        keys: dict[str, tuple[Term, ...]],
        *,
        ranges: bool,
    ) -> Change:
        text = " ".join(word.text for word in self.words)
        return Change(verb, keyspace, table, columns, keys, ranges, text)

    def _keywords(self) -> list[str]:
        return [word.upper for word in self.words]

    def _after(self, keyword: str) -> int:
        """Return the place behind a keyword that no name can be."""
        try:
            return self._keywords().index(keyword) + 1
        except ValueError:
            raise _refused(
                self.cql, f"it has no {keyword} where this package looks for one", _BY_HAND
            ) from None

    def _table(self, at: int) -> tuple[str, str, int]:
        """Return keyspace and table of a name, and the place behind it."""
        if self.words[at + 1 : at + 2] and self.words[at + 1].text == ".":
            return self.words[at].name, self.words[at + 2].name, at + 3
        return "", self.words[at].name, at + 1

    def _bracket(self, at: int) -> list[Token]:
        """Return what stands between the bracket at a place and the one that closes it."""
        depth = 0
        for place in range(at, len(self.words)):
            depth += _depth(self.words[place])
            if not depth:
                return self.words[at + 1 : place]
        return []

    def _where(self) -> tuple[dict[str, tuple[Term, ...]], bool]:
        """Return what the columns of the condition may be, and whether there is more to it."""
        relations: list[list[Token]] = [[]]
        depth = 0
        for word in self.words[self._after("WHERE") :]:
            depth += _depth(word)
            if word.upper == "AND" and not depth:
                relations.append([])
            else:
                relations[-1].append(word)
        keys: dict[str, tuple[Term, ...]] = {}
        ranges = False
        for relation in relations:
            terms = self._terms(relation)
            if terms is None:
                ranges = True
            else:
                keys[relation[0].name] = terms
        return keys, ranges

    def _terms(self, relation: list[Token]) -> tuple[Term, ...] | None:
        """Return what the column of `name = term` or `name IN (...)` may be; else None."""
        if len(relation) < len("k=?") or not relation[0].name:
            return None
        if relation[1].text == "=":
            term = self._term(relation[2:])
            return None if term is None else (term,)
        if relation[1].upper == "IN" and relation[2].text == "(" and relation[-1].text == ")":
            found = [self._term(part) for part in _split(relation[3:-1])]
            terms = tuple(term for term in found if term is not None)
            return terms if len(terms) == len(found) else None
        return None

    def _term(self, part: Sequence[Token]) -> Term | None:
        """Return one value of a key; None when it is not a marker or a plain literal."""
        sign = "-" if part and part[0].text == "-" else ""
        if len(part) != len(sign) + 1:
            return None
        word = part[-1]
        if word.kind == "marker":
            return Term(marker=self.markers[id(word)])
        if word.kind == "string":
            quotes = 2 if word.text.startswith("$$") else 1
            return Term(text=word.text[quotes:-quotes].replace("''", "'"))
        plain = word.kind in ("number", "uuid") or word.upper in ("TRUE", "FALSE")
        return Term(text=sign + word.text) if plain else None


def _reason(change: Change, table: TableInfo) -> tuple[str, str]:
    """Say why a change is not repeatable, and what to write instead."""
    lists = [one.name for one in table.columns if one.is_plain_list and one.name in change.columns]
    called = _called(tokens(change.text))
    if called:
        return (
            f"{called}() may return something else when it is called again",
            "Work the value out in the flow and give it as a parameter; or " + _UNSTAMPED + ".",
        )
    if lists:
        return (
            f"{lists[0]} is a list, whose elements a repeat adds once more or takes others of",
            "Make it a frozen<list<...>> and write it whole, or a set or a map; or "
            + _UNSTAMPED
            + ".",
        )
    return "it is none of those that are known to leave the same cells when sent again", _BY_HAND


def _called(words: Sequence[Token]) -> str:
    """Return the first function that is called; lists of columns and of values are no calls."""
    for at, (word, after) in enumerate(pairwise(words)):
        if after.text == "(" and word.name and word.upper not in _NO_CALLS:
            named = any(one.upper == "INTO" for one in words[max(0, at - 3) : at])
            if not named:
                return word.text
    return ""


def _split(part: Sequence[Token]) -> list[list[Token]]:
    """Split at commas that are in no bracket."""
    found: list[list[Token]] = [[]]
    depth = 0
    for word in part:
        depth += _depth(word)
        if word.text == "," and not depth:
            found.append([])
        else:
            found[-1].append(word)
    return found


def _depth(word: Token) -> int:
    if word.kind != "other":
        return 0
    return (word.text in _OPEN) - (word.text in _CLOSE)


def _refused(cql: str, why: str, instead: str) -> NotRepeatableError:
    return NotRepeatableError(f"{redacted(cql)} cannot carry a write stamp: {why}", hint=instead)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
