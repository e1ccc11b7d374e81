"""CQL types as small trees, read from their text or from the driver's classes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cassandra.cqltypes import UserType as DriverUserType

from prefect_cassandra.errors import ConfigurationError

_TOKEN = re.compile(r"""\s*(?:("(?:[^"]|"")+"|'[^']*'|[\w.]+)|([<>,]))""")
_ALIASES = {"varchar": "text"}
_WRAPPERS = ("frozen", "reversed")


@dataclass(frozen=True, slots=True)
class CqlType:
    """One CQL type.

    Args:
        name: `int`, `list`, `vector`, `udt`, `custom`...; `frozen` is left out, it changes nothing
            about which values fit.
        args: Element types; of a user-defined type its fields' types.
        fields: Field names of a user-defined type.
        size: Dimensions of a vector.
        label: What to call the type in messages.
    """

    name: str
    args: tuple[CqlType, ...] = ()
    fields: tuple[str, ...] = ()
    size: int = 0
    label: str = ""

    def __str__(self) -> str:
        if self.label:
            return self.label
        inner = [str(arg) for arg in self.args] + ([str(self.size)] if self.size else [])
        return f"{self.name}<{', '.join(inner)}>" if inner else self.name


@dataclass(frozen=True, slots=True)
class UserType:
    """A user-defined type of a keyspace: its name and its fields with their CQL types."""

    name: str
    fields: tuple[tuple[str, str], ...]


@lru_cache(maxsize=1024)
def parse(text: str, user_types: tuple[UserType, ...] = ()) -> CqlType:
    """Read a CQL type such as `frozen<map<text, list<int>>>`.

    Args:
        text: The type as `system_schema.columns` spells it.
        user_types: The keyspace's own types, to look names up in.

    Raises:
        ConfigurationError: The text is not a type.
    """
    tokens = _tokens(text)
    known = {user.name: user for user in user_types}
    found, rest = _read(tokens, known, text)
    if rest:
        raise _bad(text)
    return found


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _bad(text)
        tokens.append(match.group(1) or match.group(2))
        position = match.end()
    return tokens


def _read(tokens: list[str], known: dict[str, UserType], text: str) -> tuple[CqlType, list[str]]:
    """Read one type from the front of `tokens`; return it and what follows."""
    if not tokens or tokens[0] in "<>,":
        raise _bad(text)
    word, rest = tokens[0], tokens[1:]
    args: list[CqlType] = []
    size = 0
    if rest and rest[0] == "<":
        while rest[0] in "<,":
            if rest[1:2] and rest[1].isdecimal():
                size, rest = int(rest[1]), rest[2:]
            else:
                arg, rest = _read(rest[1:], known, text)
                args.append(arg)
            if not rest:
                raise _bad(text)
        if rest[0] != ">":
            raise _bad(text)
        rest = rest[1:]
    return _named(word, tuple(args), size, known), rest


def _named(word: str, args: tuple[CqlType, ...], size: int, known: dict[str, UserType]) -> CqlType:
    if word.startswith("'"):
        return CqlType("custom", label=word)
    name = word[1:-1].replace('""', '"') if word.startswith('"') else word.lower()
    bare = name.rpartition(".")[2]
    if bare in _WRAPPERS and len(args) == 1:
        return args[0]
    if bare in known:
        user = known[bare]
        types = tuple(parse(kind, tuple(known.values())) for _, kind in user.fields)
        return CqlType("udt", types, tuple(field for field, _ in user.fields), label=user.name)
    return CqlType(_ALIASES.get(name, name), args, size=size)


def from_driver(kind: Any) -> CqlType:
    """Return the tree for one of the driver's type classes, as prepared statements carry them."""
    inner = tuple(from_driver(sub) for sub in getattr(kind, "subtypes", ()) or ())
    if issubclass(kind, DriverUserType):
        return CqlType("udt", inner, tuple(kind.fieldnames), label=str(kind.typename))
    if getattr(kind, "vector_size", 0):
        return CqlType("vector", (from_driver(kind.subtype),), size=int(kind.vector_size))
    name = str(kind.typename).lower()
    if name.rpartition(".")[2].strip("'") in {"frozen", "reversed", "reversedtype", "frozentype"}:
        return inner[0]
    if name.startswith("'"):
        return CqlType("custom", label=name)
    return CqlType(_ALIASES.get(name, name), inner)


def _bad(text: str) -> ConfigurationError:
    return ConfigurationError(
        f"{text!r} is not a CQL type.", hint="Look it up with DESCRIBE TABLE."
    )
