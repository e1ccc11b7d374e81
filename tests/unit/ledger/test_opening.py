"""Promises are asked for where they are relied on, before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.cqltype import UserType
from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.errors import CannotUndoError, NoStampsError
from prefect_cassandra.ledger import opening
from prefect_cassandra.ledger.promises import Product, Promise, Server
from prefect_cassandra.writes.claims import claim_row
from prefect_cassandra.writes.undo_lookup import undoable_table

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = ColumnInfo("p", "int", "partition_key")


class Silent:
    """A session that knows a table and can be asked for nothing else: nothing is recorded."""

    def __init__(self, cql_type: str) -> None:
        columns = (KEY, ColumnInfo("v", cql_type, "regular"))
        self.found = TableInfo("ks", "t", columns, ("p",), (), (UserType("place", ()),))

    def table(self, _keyspace: str, _table: str) -> TableInfo:
        return self.found


def claim(session: Any) -> None:
    claim_row(session, "ks.t", {"p": 1}, {"v": "me"})


def undo(session: Any) -> None:
    undoable_table(session, "ks.t")


@pytest.mark.parametrize(
    ("product", "work", "cql_type", "error"),
    [
        (Product.KEYSPACES, claim, "text", NoStampsError),
        (Product.KEYSPACES, undo, "text", CannotUndoError),
        (Product.SCYLLA, undo, "set<text>", CannotUndoError),
        (Product.SCYLLA, undo, "place", CannotUndoError),
    ],
)
def test_what_the_cluster_cannot_keep_is_refused_before_anything_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
    product: Product,
    work: Callable[[Any], None],
    cql_type: str,
    error: type[Exception],
) -> None:
    monkeypatch.setattr(opening, "read_server", lambda _: Server(product, (4, 0)))
    with pytest.raises(error, match=f"{product.value} does not keep a promise of the ledger"):
        work(Silent(cql_type))


@pytest.mark.parametrize("cql_type", ["text", "frozen<set<text>>", "frozen<place>"])
def test_elements_matter_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch, cql_type: str
) -> None:
    asked: list[object] = []

    def told(session: object) -> Server:
        asked.append(session)
        return Server(Product.SCYLLA, (4, 0))

    monkeypatch.setattr(opening, "read_server", told)
    session: Any = Silent(cql_type)
    opening.require_undo(session, session.found)
    opening.require_promise(session, Promise.CLAIMS)
    assert asked == [session]
