"""Which rows a statement with its values is about: the keys, in the bytes the database has.

Rows of one call that touch the same cells must not share a stamp, because between equal stamps
Cassandra decides by value and not by order. And the ledger keeps which keys were written or
deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.frames import routing_key
from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.identity import key_identity
from prefect_cassandra.writes.literals import reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.repeatable import Change, Statement, Term

Key = tuple[bytes, ...]

# A statement with more combinations of IN (...) than these counts as one about anything.
_MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class Touched:
    """What one change of a statement is about, with the values of one row of parameters.

    Attributes:
        change: The change.
        partitions: Keys of the partitions, in the spelling that stands for all.
        rows: Whole primary keys, likewise; empty when it is about more, or less, than single rows.
        names: Each of the keys as people read it, column -> value.
        routing_keys: Of each of them its partition's key as the ring hashes it.
    """

    change: Change
    partitions: tuple[Key, ...]
    rows: tuple[Key, ...]
    names: tuple[dict[str, str], ...]
    routing_keys: tuple[bytes, ...]


@dataclass(slots=True)
class KeyReader:
    """Tells the keys of a table's rows from the values of a statement.

    Args:
        session: Where the table is.
        table: The table.
    """

    session: Session
    table: TableInfo
    _by_row: Prepared = field(init=False)

    def __post_init__(self) -> None:
        names = ", ".join(map(quote, self.table.primary_key))
        markers = ", ".join("?" * len(self.table.primary_key))
        where = dotted(self.table.keyspace, self.table.name)
        cql = f"INSERT INTO {where} ({names}) VALUES ({markers})"  # noqa: S608 -- quoted names
        self._by_row = self.session.prepare(cql)

    def touched(self, statement: Statement, values: Sequence[Any]) -> list[Touched] | None:
        """Return what each change of a statement is about; None when that cannot be told.

        Args:
            statement: The statement.
            values: One row of its parameters, checked.
        """
        found = [self._change(change, values) for change in statement.changes]
        known = [one for one in found if one is not None]
        return known if len(known) == len(found) else None

    def _change(self, change: Change, values: Sequence[Any]) -> Touched | None:
        partition, key = self.table.partition_key, self.table.primary_key
        if any(name not in change.keys for name in partition):
            return None
        single = not change.ranges and all(name in change.keys for name in key)
        names = key if single else partition
        try:
            chosen = [
                [self._value(place, term, values) for term in change.keys[name]]
                for place, name in enumerate(names)
            ]
        except (ValueError, DataError):
            return None  # a literal in a form of its own
        size = 1
        for terms in chosen:
            size *= len(terms)
        if size > _MOST_KEYS:
            return None
        keys, width = list(product(*chosen)), len(partition)
        encoded = [self._encoded(one) for one in keys]
        one_spelling = [key_identity(one, self._by_row.types[: len(one)], width) for one in encoded]
        return Touched(
            change,
            tuple(dict.fromkeys(one[:width] for one in one_spelling)),
            tuple(one_spelling) if single else (),
            tuple(dict(zip(names, map(str, one), strict=True)) for one in keys),
            tuple(routing_key(list(one[:width])) for one in encoded),
        )

    def _value(self, place: int, term: Term, values: Sequence[Any]) -> Any:
        if term.marker is not None:
            value = values[term.marker]
        else:
            value = reader(self._by_row.types[place])(term.text)
        return self._by_row.checks[place](value, self._by_row.names[place])

    def _encoded(self, values: Sequence[Any]) -> Key:
        version = self._by_row.statement.protocol_version
        return tuple(
            serialize(value, version)
            for serialize, value in zip(self._by_row.serializers, values, strict=False)
        )


def about_rows(statement: Statement, table: TableInfo) -> bool:
    """Whether two rows of parameters with other primary keys never touch the same cell.

    Not so where a whole partition, a range of it or a static column is written or deleted.
    """
    static = {column.name for column in table.columns if column.kind == "static"}
    return all(
        not change.ranges
        and set(table.primary_key) <= set(change.keys)
        and not static & set(change.columns)
        for change in statement.changes
    )


def cut(
    touched: Iterable[list[Touched] | None], most: int, *, by_row: bool
) -> Iterator[tuple[int, int]]:
    """Cut rows of parameters where one touches what another one since the last cut has touched.

    Args:
        touched: What each row is about; one that is not known stands alone.
        most: Most rows between two cuts.
        by_row: What `about_rows` returned.

    Yields:
        The first row of each piece, and the one behind its last.
    """
    first = stop = 0
    seen: set[Key] = set()
    for place, about in enumerate(touched):
        stop = place + 1
        keys = {key for one in about or () for key in (one.rows if by_row else one.partitions)}
        if place > first and (about is None or seen & keys or place - first >= most or not seen):
            yield first, place
            first, seen = place, set()
        seen |= keys
    if first < stop:
        yield first, stop
