"""Matching the columns of the input with those of the table, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.wire import mismatch

if TYPE_CHECKING:
    from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
    from prefect_cassandra.writes.sources import Part


@dataclass(frozen=True, slots=True)
class Plan:
    """Which columns a load writes, in the order of the INSERT's markers.

    Attributes:
        keyspace: Keyspace of the table.
        table: Name of the table.
        columns: The columns to write, key columns first.
        partition: Number of leading columns that form the partition key.
        key: Number of leading columns that form the primary key.
    """

    keyspace: str
    table: str
    columns: tuple[ColumnInfo, ...]
    partition: int
    key: int

    @property
    def insert(self) -> str:
        """The statement to prepare."""
        names = ", ".join(quote(column.name) for column in self.columns)
        marks = ", ".join("?" * len(self.columns))
        target = dotted(self.keyspace, self.table)
        return f"INSERT INTO {target} ({names}) VALUES ({marks})"  # noqa: S608 -- quoted names


def make_plan(part: Part, table: TableInfo) -> Plan:
    """Decide what to write from one part of the input.

    Raises:
        DataError: A column is misspelt, a key column is missing or a type cannot fit.
    """
    where = f"{table.keyspace}.{table.name}"
    known = {column.name: column for column in table.columns}
    for name in part.types:
        if name not in known:
            raise DataError(f"{where} has no column {name!r}", hint=_suggestion(name, known))
    given = [known[name] for name in part.types]
    if any(column.cql_type == "counter" for column in table.columns):
        raise DataError(
            f"{where} holds counters, which a load cannot set",
            hint="Counters can only be added to: use `cassandra_execute` with an UPDATE and "
            "stamped=False.",
        )
    key = _key_columns(part, table, given)
    for name, kind in part.types.items():
        column = known[name]
        why = kind is not None and mismatch(
            kind, column.cql_type, nan_is_missing=part.nan_is_missing
        )
        if why:
            raise DataError(
                f"column {name} of {where} is {column.cql_type}; the data holds {why}",
                hint="Cast the column before loading it.",
            )
    rest = [column for column in given if column.name not in key]
    ordered = (*(known[name] for name in key), *rest)
    return Plan(table.keyspace, table.name, ordered, len(table.partition_key), len(key))


def _key_columns(part: Part, table: TableInfo, given: list[ColumnInfo]) -> tuple[str, ...]:
    """Return the key columns to write; a load of static columns alone needs no clustering key."""
    values = [column.kind for column in given if "key" not in column.kind]
    kinds = {column.kind for column in given}
    only_static = bool(values) and set(values) == {"static"} and "clustering" not in kinds
    needed = table.partition_key if only_static else table.partition_key + table.clustering_key
    absent = [name for name in needed if name not in part.types]
    if absent:
        in_index = [name for name in absent if name in part.index_names]
        raise DataError(
            f"key column {', '.join(absent)} of {table.keyspace}.{table.name} is not in the data",
            hint=f"{in_index[0]} is in the frame's index: call `reset_index()`."
            if in_index
            else "Every row needs its whole primary key.",
        )
    return needed


def _suggestion(name: str, known: dict[str, ColumnInfo]) -> str:
    """Return the closest column names, whatever their case."""
    by_lower = {column.lower(): column for column in known}
    close = get_close_matches(name.lower(), by_lower, n=2, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(repr(by_lower[match]) for match in close)}?"
    return f"Its columns are {', '.join(known)}. Drop or rename what it does not have."
