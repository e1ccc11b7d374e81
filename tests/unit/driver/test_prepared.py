from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cassandra.cqltypes import Int32Type, TimestampType, UTF8Type
from cassandra.protocol import ColumnMetadata
from cassandra.query import PreparedStatement

from prefect_cassandra.driver.prepared import Prepared
from prefect_cassandra.driver.statements import Kind
from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.driver.types import UNSET
from prefect_cassandra.errors import DataError

CQL = "INSERT INTO ks.t (k, c, ts, v) VALUES (?, ?, ?, ?)"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def prepared() -> Prepared:
    kinds = {"k": Int32Type, "c": Int32Type, "ts": TimestampType, "v": UTF8Type}
    columns = [ColumnMetadata("ks", "t", name, kind) for name, kind in kinds.items()]
    statement = PreparedStatement(columns, b"id", [0], CQL, None, 5, [], None)
    infos = (
        ColumnInfo("k", "int", "partition_key"),
        ColumnInfo("c", "int", "clustering"),
        ColumnInfo("ts", "timestamp", "regular"),
        ColumnInfo("v", "text", "regular"),
    )
    return Prepared(CQL, statement, TableInfo("ks", "t", infos, ("k",), ("c",)))


def test_prepared_knows_its_markers_and_that_it_repeats_safely(prepared: Any) -> None:
    assert prepared.names == ("k", "c", "ts", "v")
    assert [str(kind) for kind in prepared.types] == ["int", "int", "timestamp", "text"]
    assert prepared.kind is Kind.WRITE
    assert prepared.idempotent


def test_mapping_is_put_into_marker_order(prepared: Any) -> None:
    assert prepared.check({"v": None, "k": 1, "ts": NOON, "c": 2}) == [1, 2, NOON, None]


def test_unset_stays_unset(prepared: Any) -> None:
    assert prepared.check([1, 2, UNSET, UNSET])[2:] == [UNSET, UNSET]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"k": 1, "c": 2, "ts": NOON, "vv": "x"}, "did you mean 'v'"),
        ({"k": 1, "c": 2, "ts": NOON, "v": "x", "zzz": 1}, "no marker 'zzz'"),
        ({"k": 1, "c": 2, "ts": NOON}, "no value for 'v'"),
        ([1, 2, NOON], "3 values for 4 markers"),
        ([1, 2, NOON, "x", 5], "5 values for 4 markers"),
        ("abcd", "str is not a sequence"),
        ({1, 2, 3, 4}, "set is not a sequence"),
        ([1, 2, NOON.replace(tzinfo=None), "x"], "column ts"),
        ([1, None, NOON, "x"], "column c"),
        ([None, 2, NOON, "x"], "column k"),
        ([1, UNSET, NOON, "x"], "column c"),
    ],
)
def test_values_that_would_lose_data_are_refused_with_row_and_name(
    prepared: Any, values: Any, why: Any
) -> None:
    with pytest.raises(DataError, match=why) as caught:
        prepared.check(values, "row 17")

    assert caught.value.message.startswith("row 17")


def test_batch_holds_the_same_bytes_as_binding_row_by_row(prepared: Any) -> None:
    rows = [prepared.check([1, c, NOON, None if c else UNSET]) for c in range(3)]

    batch = prepared.batch(rows)

    bound = [prepared.bind(row) for row in rows]
    assert [part[2] for part in batch._statements_and_parameters] == [b.values for b in bound]
    assert {part[1] for part in batch._statements_and_parameters} == {b"id"}
    assert batch.routing_key == bound[0].routing_key
    assert batch.keyspace == "ks"
