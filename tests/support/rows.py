"""Tables without a database, and the rows that a load would read for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.writes.sources import parts

if TYPE_CHECKING:
    from prefect_cassandra.driver.cqltype import UserType
    from prefect_cassandra.writes.sources import Chunk


def table_of(user_types: tuple[UserType, ...] = (), **columns: str) -> TableInfo:
    """Return a table of these columns and types, the first being its key."""
    infos = [
        ColumnInfo(name, kind, "regular" if place else "partition_key")
        for place, (name, kind) in enumerate(columns.items())
    ]
    return TableInfo("ks", "t", tuple(infos), (infos[0].name,), (), user_types)


def chunks_of(data: object, table: TableInfo, rows: int = 5_000) -> list[Chunk]:
    """Return the chunks of some input."""
    return [chunk for part in parts(data, table) for chunk in part.chunks(0, (), rows)]


def rows_of(chunks: list[Chunk]) -> list[dict[str, Any]]:
    """Return the rows of chunks as dicts of Python values."""
    found = []
    for chunk in chunks:
        columns = {
            name: column if isinstance(column, list) else column.to_pylist()
            for name, column in chunk.columns.items()
        }
        found += [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
    return found


def unreadable_of(chunks: list[Chunk]) -> dict[int, tuple[str, str]]:
    """Return column and reason by row number of the rows that cannot be read."""
    return {
        chunk.positions[place]: why for chunk in chunks for place, why in chunk.unreadable().items()
    }
