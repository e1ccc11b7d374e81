"""What a table looks like, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from prefect_cassandra.driver.cqltype import UserType
from prefect_cassandra.errors import StatementError

Kind = Literal["partition_key", "clustering", "static", "regular"]


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column: its name as stored, its CQL type as `system_schema` spells it, its kind."""

    name: str
    cql_type: str
    kind: Kind

    @property
    def is_plain_list(self) -> bool:
        """Whether it is a list that is not frozen, whose elements have no places of their own."""
        return self.cql_type.startswith("list<")

    @property
    def is_multi_cell(self) -> bool:
        """Whether it is a collection that is not frozen, each of whose elements is a cell."""
        return self.cql_type.startswith(("list<", "set<", "map<"))


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One table or materialised view.

    Args:
        keyspace: Its keyspace, as stored.
        name: Its name, as stored.
        columns: Key columns in key order, then the others by name.
        partition_key: Names of the partition key's columns, in order.
        clustering_key: Names of the clustering columns, in order.
        user_types: The keyspace's user-defined types, for `types.checker`.
    """

    keyspace: str
    name: str
    columns: tuple[ColumnInfo, ...]
    partition_key: tuple[str, ...]
    clustering_key: tuple[str, ...]
    user_types: tuple[UserType, ...] = ()

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Partition key and clustering columns together."""
        return self.partition_key + self.clustering_key

    def column(self, name: str) -> ColumnInfo | None:
        """Return the column called `name`, or None."""
        return next((column for column in self.columns if column.name == name), None)


def find_table(metadata: Any, keyspace: str, table: str) -> TableInfo | None:
    """Return the table from the driver's schema metadata, without asking the server."""
    found = metadata.keyspaces.get(keyspace)
    if found is None:
        return None
    described = found.tables.get(table) or found.views.get(table)
    return None if described is None else _table_info(found, described)


def unknown_table(metadata: Any, keyspace: str, table: str) -> StatementError:
    """Return the error for a table that is not there, with the closest names that are."""
    found = metadata.keyspaces.get(keyspace)
    if found is None:
        near = get_close_matches(keyspace, metadata.keyspaces, n=1)
        return StatementError(
            f"There is no keyspace {keyspace!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else "Create it with its migrations first.",
        )
    near = get_close_matches(table, found.tables, n=1)
    return StatementError(
        f"There is no table {table!r} in keyspace {keyspace!r}.",
        hint=f"Did you mean {near[0]!r}?" if near else "Apply the keyspace's migrations first.",
    )


def _table_info(keyspace: Any, table: Any) -> TableInfo:
    partition = tuple(column.name for column in table.partition_key)
    clustering = tuple(column.name for column in table.clustering_key)
    keys = partition + clustering
    names = [*keys, *sorted(name for name in table.columns if name not in keys)]
    return TableInfo(
        keyspace=keyspace.name,
        name=table.name,
        columns=tuple(
            ColumnInfo(
                name=name,
                cql_type=str(table.columns[name].cql_type),
                kind=_kind(name, partition, clustering, static=table.columns[name].is_static),
            )
            for name in names
        ),
        partition_key=partition,
        clustering_key=clustering,
        user_types=tuple(
            UserType(user.name, tuple(zip(user.field_names, user.field_types, strict=True)))
            for user in keyspace.user_types.values()
        ),
    )


def _kind(
    name: str, partition: tuple[str, ...], clustering: tuple[str, ...], *, static: bool
) -> Kind:
    if name in partition:
        return "partition_key"
    if name in clustering:
        return "clustering"
    return "static" if static else "regular"
