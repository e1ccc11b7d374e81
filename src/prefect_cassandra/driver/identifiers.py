"""Names in CQL: quoting them, and reading `keyspace.table` as people write it.

Unquoted CQL names fold to lower case; quoted ones keep theirs. Every name this package puts into a
statement goes through `quote`, so that no name can end a statement or mean another table.
"""

from __future__ import annotations

import re

from prefect_cassandra.errors import ConfigurationError

# One part of a dotted name: either quoted, with "" for a quote inside, or a plain CQL name.
_PART = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z][A-Za-z0-9_]*)')
# Cassandra refuses longer or stranger keyspace and table names (SchemaConstants.NAME_LENGTH).
_NAME_LENGTH = 48
_SCHEMA_NAME = re.compile(r"\w+", re.ASCII)


def quote(name: str) -> str:
    """Return `name` as a CQL identifier that means exactly it, letter case included.

    Raises:
        ConfigurationError: The name is empty or holds a NUL.
    """
    if not name or "\0" in name:
        raise ConfigurationError(f"{name!r} cannot be a name in CQL.", hint="Give a plain name.")
    return '"' + name.replace('"', '""') + '"'


def qualified(name: str, keyspace: str | None = None) -> tuple[str, str]:
    """Split `keyspace.table` into its two names, as they are stored.

    Args:
        name: `flights.by_day`, `"Flights"."By Day"`, or only a table when `keyspace` is given.
        keyspace: What a name without a keyspace belongs to.

    Raises:
        ConfigurationError: The name has no keyspace, too many parts or impossible characters.
    """
    parts: list[str] = []
    rest = name.strip()
    while match := _PART.match(rest):
        parts.append(_stored(match))
        rest = rest[match.end() :]
        if not rest.startswith("."):
            break
        rest = rest[1:] or "."
    if rest or len(parts) not in (1, 2):
        raise _bad(name, "it is not of the form keyspace.table")
    if len(parts) == 1:
        if keyspace is None:
            raise _bad(name, "it does not say which keyspace it is in")
        parts.insert(0, keyspace)
    for part in parts:
        if len(part) > _NAME_LENGTH or not _SCHEMA_NAME.fullmatch(part):
            raise _bad(name, f"{part!r} is not 1 to {_NAME_LENGTH} letters, digits or underscores")
    return parts[0], parts[1]


def dotted(keyspace: str, table: str) -> str:
    """Return the quoted `"keyspace"."table"` for use in a statement."""
    return f"{quote(keyspace)}.{quote(table)}"


def _stored(match: re.Match[str]) -> str:
    quoted = match.group(1)
    return quoted.replace('""', '"') if quoted is not None else match.group(2).lower()


def _bad(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name!r} does not name a table: {why}.",
        hint='Write keyspace.table, with double quotes where capitals matter: "Flights"."ByDay".',
    )
