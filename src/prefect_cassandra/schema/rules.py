"""What a migration may say.

A list of what is allowed, not of what is not: a statement nobody thought of is refused. Migrations
build up and never take away, may be sent twice, and stay inside their own keyspace. Whatever loses
data is left to a superuser who knows that it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.schema.cql import Statement, Token

_BREAK_GLASS = (
    "it destroys data; a superuser does that by hand, see `docs/how-to/migrate-the-schema.md`"
)
_BY_APPLY = "keyspaces, roles and grants come from keyspaces.yaml through `schema apply`"
_DATA = (
    "data belongs to flows, whose writes can be retried and undone; migrations only build tables"
)
_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("DROP", "TABLE"), _BREAK_GLASS),
    (("DROP", "COLUMNFAMILY"), _BREAK_GLASS),
    (("DROP", "KEYSPACE"), _BREAK_GLASS),
    (("DROP", "SCHEMA"), _BREAK_GLASS),
    (("DROP", "TYPE"), _BREAK_GLASS),
    (("TRUNCATE",), _BREAK_GLASS),
    (("CREATE", "KEYSPACE"), _BY_APPLY),
    (("CREATE", "SCHEMA"), _BY_APPLY),
    (("ALTER", "KEYSPACE"), _BY_APPLY),
    (("ALTER", "SCHEMA"), _BY_APPLY),
    (("CREATE", "ROLE"), _BY_APPLY),
    (("CREATE", "USER"), _BY_APPLY),
    (("ALTER", "ROLE"), _BY_APPLY),
    (("ALTER", "USER"), _BY_APPLY),
    (("DROP", "ROLE"), _BY_APPLY),
    (("DROP", "USER"), _BY_APPLY),
    (("GRANT",), _BY_APPLY),
    (("REVOKE",), _BY_APPLY),
    (("INSERT",), _DATA),
    (("UPDATE",), _DATA),
    (("DELETE",), _DATA),
    (("BEGIN",), _DATA),
    (("USE",), "tables are named with their keyspace, so that no statement depends on another"),
    (
        ("CREATE", "MATERIALIZED"),
        "undo cannot follow a materialised view; write a second table instead",
    ),
)
_ALLOWED = (
    "CREATE TABLE, CREATE TYPE, CREATE INDEX, ALTER TABLE ... ADD, RENAME or WITH, "
    "ALTER TYPE ... ADD or RENAME, DROP INDEX"
)


@dataclass(frozen=True, slots=True)
class Change:
    """What one allowed statement does, e.g. `CREATE TABLE flights.planes`."""

    action: str
    kind: str
    keyspace: str
    name: str

    @property
    def creates(self) -> bool:
        """Whether the statement makes something that must not have been there before."""
        return self.action == "CREATE" and self.kind in ("TABLE", "TYPE")


def check(statement: Statement, keyspace: str) -> Change:
    """Say what `statement` changes.

    Raises:
        SchemaError: A migration of `keyspace` may not say this; names the line and the reason.
    """
    words = _Words(statement)
    for start, reason in _REASONS:
        if words.peek(*start):
            raise _refused(statement, f"{' '.join(start)} is not for migrations: {reason}")
    change = _read(words, statement)
    if change.keyspace != keyspace:
        raise _refused(
            statement,
            f"{change.keyspace}.{change.name} is outside this migration's keyspace {keyspace}",
        )
    return change


class _Words:
    """The statement's tokens with a place in them."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.tokens: Sequence[Token] = statement.tokens
        self.at = 0

    def peek(self, *words: str) -> bool:
        ahead = self.tokens[self.at : self.at + len(words)]
        return tuple(token.word for token in ahead) == words

    def take(self, *words: str) -> bool:
        found = self.peek(*words)
        self.at += len(words) if found else 0
        return found

    def name(self) -> str:
        token = self.tokens[self.at] if self.at < len(self.tokens) else None
        if token is None or not token.identifier:
            raise _refused(self.statement, "a name is missing")
        self.at += 1
        return token.identifier

    def qualified(self) -> tuple[str, str]:
        first = self.name()
        if not self.take("."):
            raise _refused(self.statement, f"write {first} with its keyspace: keyspace.{first}")
        return first, self.name()

    def repeatable(self, *guard: str) -> None:
        if not self.take(*guard):
            raise _refused(
                self.statement,
                f"write {' '.join(guard)}: a runner that dies cannot know whether its last "
                "statement was carried out, so each must be safe to send again",
            )


def _read(words: _Words, statement: Statement) -> Change:
    if words.take("CREATE", "TABLE") or words.take("CREATE", "COLUMNFAMILY"):
        words.repeatable("IF", "NOT", "EXISTS")
        return Change("CREATE", "TABLE", *words.qualified())
    if words.take("CREATE", "TYPE"):
        words.repeatable("IF", "NOT", "EXISTS")
        return Change("CREATE", "TYPE", *words.qualified())
    if words.take("CREATE", "INDEX") or words.take("CREATE", "CUSTOM", "INDEX"):
        return _index(words)
    if words.take("DROP", "INDEX"):
        words.repeatable("IF", "EXISTS")
        return Change("DROP", "INDEX", *words.qualified())
    for kind in ("TABLE", "TYPE"):
        if words.take("ALTER", kind):
            return _alter(words, kind)
    start = " ".join(token.text for token in statement.tokens[:2])
    raise _refused(statement, f"{start!r} is not for migrations; they may say: {_ALLOWED}")


def _index(words: _Words) -> Change:
    words.repeatable("IF", "NOT", "EXISTS")
    if not words.peek("ON"):
        words.name()
    if not words.take("ON"):
        raise _refused(words.statement, "ON keyspace.table is missing")
    return Change("CREATE", "INDEX", *words.qualified())


def _alter(words: _Words, kind: str) -> Change:
    words.take("IF", "EXISTS")
    change = Change("ALTER", kind, *words.qualified())
    if words.take("DROP"):
        raise _refused(
            words.statement, f"ALTER {kind} ... DROP is not for migrations: {_BREAK_GLASS}"
        )
    if words.take("ADD"):
        words.repeatable("IF", "NOT", "EXISTS")
    elif words.take("RENAME"):
        words.repeatable("IF", "EXISTS")
    elif not (kind == "TABLE" and words.take("WITH")):
        raise _refused(words.statement, f"ALTER {kind} may only ADD, RENAME or set options WITH")
    return change


def _refused(statement: Statement, reason: str) -> SchemaError:
    return SchemaError(f"line {statement.line}: {reason}")
