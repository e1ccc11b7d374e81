"""Writes of every kind, as CQL for a real node and as a change of the model; and how to compare.

`TABLE` is what they are made for: two plain columns, a static one and a set that is not frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from support.cells import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from prefect_cassandra.driver.session import Session
    from support.cells import Partition, Seen, Value

TABLE = (
    "CREATE TABLE IF NOT EXISTS {} (p int, k int, v text, n int, s text static, tags set<text>, "
    "PRIMARY KEY (p, k));\n"
)
KEYS = range(5)
SETS = frozenset({"tags"})
ELEMENTS = "xyz"
TTL_STEP = 10_000
"""Seconds between the TTLs of writes that live on, so that a read tells which one it sees."""
SHORT_TTL = 1

Kind = Literal["insert", "update", "static", "add", "remove", "cells", "row", "range", "partition"]


@dataclass(frozen=True, slots=True)
class Write:
    """One statement with a timestamp of its own.

    Attributes:
        kind: `insert` and `update` write values, `static` the static column, `add` and `remove`
            elements of the set; the others delete.
        stamp: Write timestamp.
        key: The row, or the first of a range.
        values: By column; for `cells` only the names count.
        ttl: Seconds to live; only where something is written.
        last: The last row of a range.
    """

    kind: Kind
    stamp: int
    key: int = 0
    values: Mapping[str, Value] = field(default_factory=dict)
    ttl: int = 0
    last: int = 0

    def cql(self, table: str, partition: int) -> tuple[str, list[Any]]:  # noqa: PLR0911 -- a kind each
        """Return the statement and its parameters."""
        names = list(self.values)
        values = list(self.values.values())
        here = f"{table} USING TTL ? SET"
        match self.kind:
            case "insert":
                columns = ", ".join(("p", "k", *names))
                marks = ", ".join("?" * (len(names) + 2))
                cql = f"INSERT INTO {table} ({columns}) VALUES ({marks}) USING TTL ?"  # noqa: S608 -- our own names
                return cql, [partition, self.key, *values, self.ttl]
            case "update":
                sets = ", ".join(f"{name} = ?" for name in names)
                cql = f"UPDATE {here} {sets} WHERE p = ? AND k = ?"
                return cql, [self.ttl, *values, partition, self.key]
            case "static":
                return f"UPDATE {here} s = ? WHERE p = ?", [self.ttl, *values, partition]
            case "add" | "remove":
                sign = "+" if self.kind == "add" else "-"
                cql = f"UPDATE {here} tags = tags {sign} ? WHERE p = ? AND k = ?"
                return cql, [self.ttl, *values, partition, self.key]
            case "cells":
                cql = f"DELETE {', '.join(names)} FROM {table} WHERE p = ? AND k = ?"
                return cql, [partition, self.key]
            case "row":
                return f"DELETE FROM {table} WHERE p = ? AND k = ?", [partition, self.key]  # noqa: S608 -- our own names
            case "range":
                cql = f"DELETE FROM {table} WHERE p = ? AND k >= ? AND k <= ?"  # noqa: S608 -- our own names
                return cql, [partition, self.key, self.last]
            case _:
                return f"DELETE FROM {table} WHERE p = ?", [partition]  # noqa: S608 -- our own names

    def apply(self, model: Partition, at: int) -> None:
        """Do the same to the model; `at` is when, in seconds since 1970."""
        match self.kind:
            case "insert" | "update":
                insert = self.kind == "insert"
                model.write(
                    self.key,
                    self.values,
                    self.stamp,
                    sets=SETS,
                    mark=insert,
                    ttl=self.ttl,
                    at=at,
                )
            case "static":
                model.write(None, self.values, self.stamp, ttl=self.ttl, at=at)
            case "add" | "remove":
                self._change_set(model, at)
            case "cells":
                model.delete_cells(self.key, set(self.values) - SETS, self.stamp)
                for name in SETS & set(self.values):
                    model.row(self.key).clear_set(name, self.stamp)
            case "row":
                model.delete_row(self.key, self.stamp)
            case "range":
                model.delete_range(self.key, self.last, self.stamp)
            case _:
                model.delete(self.stamp)

    def _change_set(self, model: Partition, at: int) -> None:
        (elements,) = self.values.values()
        assert isinstance(elements, frozenset)
        for element in elements:
            added = Cell(self.stamp, 1, self.ttl, at)
            cell = added if self.kind == "add" else Cell(self.stamp, None)
            model.row(self.key).put_element("tags", element, cell)


def random_value(rng: Random, name: str) -> Value:
    """Return a value of a column, or None."""
    if rng.random() < 0.2:
        return None
    if name == "n":
        return rng.randrange(-2, 3)
    if name == "tags":
        return frozenset(rng.sample(ELEMENTS, rng.randrange(4)))
    return rng.choice(("", "a", "b", "é"))


def random_write(rng: Random, stamp: int, ttl: int = 0) -> Write:
    """Return a write of any kind.

    Args:
        rng: Decides.
        stamp: Its timestamp.
        ttl: Its TTL, where it can have one.
    """
    kinds: tuple[Kind, ...] = (
        *("insert",) * 4,
        *("update",) * 3,
        *("static", "add", "remove", "cells", "cells", "row", "range", "partition"),
    )
    kind = rng.choice(kinds)
    key = rng.choice(KEYS)
    values: dict[str, Value] = {}
    if kind in ("insert", "update", "cells"):
        least = 0 if kind == "insert" else 1
        names = rng.sample(("v", "n", "tags"), rng.randrange(least, 4))
        values = {name: random_value(rng, name) for name in names}
    elif kind == "static":
        values = {"s": random_value(rng, "s")}
    elif kind in ("add", "remove"):
        values = {"tags": frozenset(rng.sample(ELEMENTS, rng.randrange(1, 3)))}
    last = rng.choice(range(key, len(KEYS))) if kind == "range" else 0
    lives = kind in ("insert", "update", "static", "add")
    return Write(kind, stamp, key, values, ttl if lives else 0, last)


def columns_read() -> str:
    """Return what a SELECT asks for, so that every live cell is seen whole."""
    plain = [f"{name}, WRITETIME({name}) AS {name}_at, TTL({name}) AS {name}_ttl" for name in "vns"]
    # One by one: the driver cannot read the TTLs of a whole set, among which there are nulls.
    elements = [
        f"WRITETIME(tags['{one}']) AS {one}_at, TTL(tags['{one}']) AS {one}_ttl" for one in ELEMENTS
    ]
    return ", ".join(("p", "k", *plain, *elements))


def read_partitions(
    session: Session, table: str, ttl_of: Callable[[int], int] = lambda left: left
) -> dict[int, dict[int | None, Seen]]:
    """Read the whole table as the model shows it, by partition.

    Args:
        session: Where from.
        table: `keyspace.table`.
        ttl_of: Makes the TTL that was given out of the seconds that are left.
    """
    found: dict[int, dict[int | None, Seen]] = {}
    query = f"SELECT {columns_read()} FROM {table}"  # noqa: S608 -- our own names
    for row in session.execute(query, fetch_size=1_000):
        partition = found.setdefault(row["p"], {})
        if row["s"] is not None:
            partition[None] = _plain(row, "s", ttl_of)
        if row["k"] is not None:
            partition[row["k"]] = _plain(row, "v", ttl_of) | _plain(row, "n", ttl_of)
            elements = {
                one: (row[f"{one}_at"], _ttl(row[f"{one}_ttl"], ttl_of))
                for one in ELEMENTS
                if row[f"{one}_at"] is not None
            }
            if elements:
                partition[row["k"]]["tags"] = elements
    return found


def ttl_given(left: int) -> int:
    """Return the TTL of a write that lives on, from the seconds that are left of it."""
    return -(-left // TTL_STEP) * TTL_STEP


def _plain(row: Mapping[str, Any], name: str, ttl_of: Callable[[int], int]) -> Seen:
    if row[name] is None:
        return {}
    return {name: (row[name], row[f"{name}_at"], _ttl(row[f"{name}_ttl"], ttl_of))}


def _ttl(left: int | None, ttl_of: Callable[[int], int]) -> int:
    return ttl_of(left) if left else 0
