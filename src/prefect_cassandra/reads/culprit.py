"""Naming what cannot be read: the token and the partition key that someone can look up."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pyarrow as pa

from prefect_cassandra.driver.arrow_types import arrow_type
from prefect_cassandra.driver.cqltype import parse
from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.driver.numpy_rows import wire_columns
from prefect_cassandra.driver.pages import position
from prefect_cassandra.errors import NotAppliedError, PrefectCassandraError
from prefect_cassandra.reads.arrow import decode, width

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.reads.ranges import TokenRange

_SHORT = 2  # bytes of the length before each column of a key of several


def unreadable(
    session: Session,
    table: TableInfo,
    piece: TokenRange,
    state: bytes | None,
    last: PrefectCassandraError,
) -> NotAppliedError:
    """Return the error for a piece that cannot be read in however small pages.

    Args:
        session: To look the partition up with.
        table: The table.
        piece: The tokens that were being read.
        state: Where the last page ended; None when there was none.
        last: What the last try ended with.
    """
    where = f"tokens above {piece.start} and up to {piece.end}"
    found = _after(table, piece, state) or _first(session, table, piece)
    if found:
        where = f"{found}, among {where}"
    return NotAppliedError(
        f"{table.keyspace}.{table.name} cannot be read at {where}: {last.message}",
        hint="Look there for a partition of very many rows or deleted rows (nodetool tablestats, "
        "the nodes' logs), raise range_request_timeout, or leave it out with `where`.",
    )


def inside(piece: TokenRange, state: bytes | None) -> tuple[int, bytes] | None:
    """Return token and key of the partition at which a page ended, if it is one of `piece`."""
    found = position(state) if state is not None else None
    return found if found is not None and piece.start < found[0] <= piece.end else None


def _after(table: TableInfo, piece: TokenRange, state: bytes | None) -> str:
    """Name the partition in or after which the next page lies."""
    found = inside(piece, state)
    if found is None:
        return ""
    token, key = found
    return f"or after token {token}, partition {_shown(table, key)}"


def _first(session: Session, table: TableInfo, piece: TokenRange) -> str:
    """Name the first partition of a piece, if its key at least can be read."""
    key = ", ".join(quote(name) for name in table.partition_key)
    query = (
        f"SELECT DISTINCT {key}, token({key}) AS token "  # noqa: S608 -- quoted names
        f"FROM {dotted(table.keyspace, table.name)} "
        f"WHERE token({key}) > ? AND token({key}) <= ? LIMIT 1"
    )
    try:
        row = session.execute(query, [piece.start, piece.end]).one()
    except PrefectCassandraError:
        return ""
    if row is None:
        return ""
    token = row.pop("token")
    named = ", ".join(f"{name} = {value!r}" for name, value in row.items())
    return f"token {token}, partition {named}"


def _shown(table: TableInfo, key: bytes) -> str:
    """Return a partition key's bytes in words."""
    parts = [key] if len(table.partition_key) == 1 else _parts(key)
    shown = []
    for name, part in zip(table.partition_key, parts, strict=False):
        column = table.column(name)
        kind = parse(column.cql_type if column else "blob", table.user_types)
        (wire,) = wire_columns(struct.pack(">i", len(part)) + part, 1, [width(kind)])
        try:
            value = decode(kind, wire, arrow_type(kind)).to_pylist()[0]
        except (pa.ArrowException, ValueError, OverflowError):
            value = part
        shown.append(f"{name} = {value!r}")
    return ", ".join(shown)


def _parts(key: bytes) -> list[bytes]:
    """Cut a key of several columns: each behind two bytes of length and before a zero byte."""
    parts, place = [], 0
    while place < len(key):
        (length,) = struct.unpack_from(">H", key, place)
        place += _SHORT
        parts.append(key[place : place + length])
        place += length + 1
    return parts
