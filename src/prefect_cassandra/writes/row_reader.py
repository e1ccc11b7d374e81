"""Rows looked up by their encoded keys, with the bytes, write times and TTLs of their cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from prefect_cassandra.driver.arrow_types import arrow_type
from prefect_cassandra.driver.encoded import VariedCells, equal_codes
from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.driver.numpy_rows import wire_columns
from prefect_cassandra.driver.pages import encoded_query, result_columns
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.reads.arrow import decode, width
from prefect_cassandra.writes.identity import identities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.driver.encoded import Cells
    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo

# Rows of one partition that one query asks for; more of them would only make its answer late.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Cell:
    """What one column held, for some rows.

    Attributes:
        value: Its bytes as they go over the wire; null where there was none.
        written: When it was written: integers, or a list for each row of a collection.
        ttl: Seconds it had left; null where it did not expire. As `written`.
    """

    value: pa.BinaryArray
    written: pa.Array
    ttl: pa.Array


@dataclass(frozen=True, slots=True)
class FoundRows:
    """What was found, in the order of the keys asked for.

    Attributes:
        there: Whether there is such a row, or partition.
        cells: By column name.
    """

    there: pa.BooleanArray
    cells: dict[str, Cell]


def read_rows(
    session: Session, table: TableInfo, keys: Sequence[Cells], names: Sequence[str]
) -> FoundRows:
    """Look rows up.

    Args:
        session: Where to.
        table: Their table.
        keys: Encoded columns of the primary key, no key twice; of the partition key alone to look
            up static columns.
        names: Columns to read; regular ones for whole keys, else static ones.

    Raises what `Session.execute` does.
    """
    prepared = session.prepare(_query(table, names, whole=_whole(table, keys)))
    columns, kinds = result_columns(prepared)
    count = len(keys)
    widths = [
        None if place < count + len(names) else width(kind) for place, kind in enumerate(kinds)
    ]
    pages = [
        wire_columns(answer.raw.body, answer.raw.rows, widths)
        for answer in Pump(session).answers(_requests(session, prepared, table, keys))
        if answer.raw.rows
    ]
    if not pages:
        pages = [wire_columns(b"", 0, widths)]
    wires = [pa.concat_arrays(column) for column in zip(*pages, strict=True)]
    found = [VariedCells(array.cast(pa.large_binary())) for array in wires[:count]]
    places = _places(
        identified(table, found, kinds[:count]), identified(table, keys, kinds[:count])
    )
    there = pa.array(places >= 0)
    taken = pa.array(places, mask=places < 0)
    cells: dict[str, Cell] = {}
    for number, name in enumerate(names):
        times = [
            decode(kinds[place], wires[place], arrow_type(kinds[place], {})).take(taken)
            for place in (count + len(names) + number, count + 2 * len(names) + number)
        ]
        cells[name] = Cell(wires[count + number].take(taken), times[0], times[1])
    del columns
    return FoundRows(there, cells)


def _whole(table: TableInfo, keys: Sequence[Cells]) -> bool:
    return len(keys) == len(table.primary_key)


def _query(table: TableInfo, names: Sequence[str], *, whole: bool) -> str:
    keys = table.primary_key if whole else table.partition_key
    plain = [quote(name) for name in names]
    selected = [
        *(quote(name) for name in keys),
        *plain,
        *(f"writetime({name})" for name in plain),
        *(f"ttl({name})" for name in plain),
    ]
    where = [f"{quote(name)} = ?" for name in table.partition_key]
    clustering = [quote(name) for name in table.clustering_key] if whole else []
    if len(clustering) == 1:
        where.append(f"{clustering[0]} IN ?")
    elif clustering:
        where.append(f"({', '.join(clustering)}) IN ?")
    distinct = "" if whole else "DISTINCT "
    return (
        f"SELECT {distinct}{', '.join(selected)} "  # noqa: S608 -- quoted names
        f"FROM {dotted(table.keyspace, table.name)} WHERE {' AND '.join(where)}"
    )


def _requests(
    session: Session, prepared: Prepared, table: TableInfo, keys: Sequence[Cells]
) -> Iterator[Request]:
    """Yield a query for each partition, or for so many rows of one."""
    if not len(keys[0]):
        return
    partition = len(table.partition_key)
    codes = equal_codes(keys[:partition])
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for some in np.split(order, starts[1:]):
        head = [column.value(int(some[0])) or b"" for column in keys[:partition]]
        if len(keys) == partition:
            yield encoded_query(session, prepared, head)
            continue
        for first in range(0, len(some), _AT_ONCE):
            rows = [
                _clustering(keys[partition:], int(row)) for row in some[first : first + _AT_ONCE]
            ]
            yield encoded_query(session, prepared, [*head, _list(rows)])


def _clustering(keys: Sequence[Cells], row: int) -> bytes:
    """Return the clustering key as an element of what stands behind IN: a value or a tuple."""
    values = [column.value(row) or b"" for column in keys]
    return values[0] if len(values) == 1 else b"".join(map(_sized, values))


def _list(elements: Sequence[bytes]) -> bytes:
    """Return the bytes of a list (native protocol v5, section 6.11)."""
    return len(elements).to_bytes(4) + b"".join(map(_sized, elements))


def _sized(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def key_kinds(session: Session, table: TableInfo, *, whole: bool) -> tuple[CqlType, ...]:
    """Return the types of a table's primary key, or of its partition key alone.

    Raises what `Session.prepare` does.
    """
    prepared = session.prepare(_query(table, [], whole=whole))
    return result_columns(prepared)[1]


def identified(table: TableInfo, keys: Sequence[Cells], kinds: Sequence[CqlType]) -> list[Cells]:
    """Return key columns whose bytes are equal exactly where Cassandra takes them for one key.

    Args:
        table: The table.
        keys: Encoded columns of its primary key, or of its partition key.
        kinds: Their types.
    """
    width = len(table.partition_key)
    return [
        *identities(keys[:width], kinds[:width], by_value=False),
        *identities(keys[width:], kinds[width:], by_value=True),
    ]


def _places(
    found: Sequence[Cells], keys: Sequence[Cells]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return for each key where it was found, -1 where it was not."""
    rows = zip(*(column.binary().to_pylist() for column in found), strict=True)
    at = {key: place for place, key in enumerate(rows)}
    asked = zip(*(column.binary().to_pylist() for column in keys), strict=True)
    return np.array([at.get(key, -1) for key in asked], np.int64)
