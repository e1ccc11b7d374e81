"""The query that a scan sends for each range of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.driver.statements import tokens
from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.reads.ranges import TokenRange

# Each of these would hold for every range by itself, and the sum of the ranges would be wrong.
_WHOLE_TABLE = {
    "ALLOW": "ALLOW FILTERING is added where it is needed.",
    "GROUP": "Group the rows that come out instead.",
    "LIMIT": "Stop reading batches instead, or use per_partition_limit.",
    "ORDER": "Sort the rows that come out; a scan goes by token.",
    "PER": "Use per_partition_limit.",
}
_START, _END = "range_start", "range_end"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows and columns of a table.

    Args:
        columns: Names of the columns, in order; all when absent.
        where: Conditions on clustering and indexed columns, as they stand after WHERE in CQL.
        parameters: Values for the markers of `where`.
        writetime: Columns whose write time comes along, as `writetime(column)`.
        ttl: Columns whose remaining seconds come along, as `ttl(column)`.
        per_partition_limit: Most rows of each partition.
    """

    columns: Sequence[str] | None = None
    where: str | None = None
    parameters: Sequence[Any] | Mapping[str, Any] | None = None
    writetime: Sequence[str] = ()
    ttl: Sequence[str] = ()
    per_partition_limit: int | None = None

    def values(self, one: TokenRange) -> Sequence[Any] | Mapping[str, Any]:
        """Return the values of the query's markers for one range."""
        if isinstance(self.parameters, Mapping):
            return {_START: one.start, _END: one.end, **self.parameters}
        return [one.start, one.end, *(self.parameters or ())]


def range_query(table: TableInfo, chosen: Selection) -> str:
    """Return the query for one range, with markers for its two tokens before any others.

    Raises:
        ConfigurationError: A column is not in the table or has no write time, or `where` holds
            what only a whole query can have.
    """
    for name in (*(chosen.columns or ()), *chosen.writetime, *chosen.ttl):
        _require(table, name)
    named = isinstance(chosen.parameters, Mapping)
    start, end = (f":{_START}", f":{_END}") if named else ("?", "?")
    key = ", ".join(quote(name) for name in table.partition_key)
    query = (
        f"SELECT {', '.join(_selectors(table, chosen))} "  # noqa: S608 -- quoted names
        f"FROM {dotted(table.keyspace, table.name)} "
        f"WHERE token({key}) > {start} AND token({key}) <= {end}"
    )
    if chosen.where:
        _check_where(chosen.where)
        query += f" AND {chosen.where}"
    if chosen.per_partition_limit is not None:
        query += f" PER PARTITION LIMIT {_positive(chosen.per_partition_limit)}"
    # The scan reads everything anyway: filtering on the server only spares what is not wanted.
    return f"{query} ALLOW FILTERING" if chosen.where else query


def _selectors(table: TableInfo, chosen: Selection) -> list[str]:
    names = list(chosen.columns or (column.name for column in table.columns))
    if len(set(names)) < len(names):
        raise ConfigurationError(f"A column is asked for twice: {', '.join(names)}.")
    found = [quote(name) for name in names]
    for function, columns in (("writetime", chosen.writetime), ("ttl", chosen.ttl)):
        for name in columns:
            if name in table.primary_key:
                raise ConfigurationError(
                    f"{name} is part of the primary key, which has no {function}.",
                    hint="Ask for it of a column outside of the key.",
                )
            found.append(f"{function}({quote(name)}) AS {quote(f'{function}({name})')}")
    return found


def _require(table: TableInfo, name: str) -> None:
    if table.column(name) is None:
        known = [column.name for column in table.columns]
        near = get_close_matches(name, known, n=1)
        raise ConfigurationError(
            f"{table.keyspace}.{table.name} has no column {name!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(known)}.",
        )


def _check_where(where: str) -> None:
    for token in tokens(where):
        if token.upper in _WHOLE_TABLE:
            raise ConfigurationError(
                f"`where` holds {token.upper}, which cannot be split over the ring: {where!r}.",
                hint=_WHOLE_TABLE[token.upper],
            )
        if token.text == ";":
            raise ConfigurationError(
                f"`where` holds more than conditions: {where!r}.", hint="Leave out the semicolon."
            )


def _positive(limit: int) -> int:
    if limit < 1:
        raise ConfigurationError(
            f"A limit of {limit} rows of each partition reads nothing.", hint="Use 1 or more."
        )
    return int(limit)
