from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from cassandra.util import Date, Duration, Time

from prefect_cassandra.driver.arrow_types import DURATION, arrow_type
from prefect_cassandra.driver.cqltype import UserType, parse
from prefect_cassandra.errors import DataError
from prefect_cassandra.reads.arrow import Decoder, to_table
from support.wire import cell, page

ADDRESS = (UserType("address", (("street", "text"), ("no", "int"))),)
ID = uuid.UUID("12345678-1234-4234-8234-123456789abc")
TIME_ID = uuid.UUID("12345678-1234-1234-8234-123456789abc")
MOMENT = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)

CASES: list[tuple[str, Any, pa.DataType, Any]] = [
    ("text", "é", pa.string(), "é"),
    ("ascii", "e", pa.string(), "e"),
    ("bigint", 2**62, pa.int64(), 2**62),
    ("counter", 3, pa.int64(), 3),
    ("int", -(2**31), pa.int32(), -(2**31)),
    ("smallint", -2, pa.int16(), -2),
    ("tinyint", -1, pa.int8(), -1),
    ("float", 1.5, pa.float32(), 1.5),
    ("double", float("-inf"), pa.float64(), float("-inf")),
    ("boolean", True, pa.bool_(), True),
    ("blob", b"\0", pa.binary(), b"\0"),
    ("uuid", ID, pa.uuid(), ID),
    ("timeuuid", TIME_ID, pa.uuid(), TIME_ID),
    ("inet", "::1", pa.string(), "::1"),
    ("date", dt.date(1913, 1, 2), pa.date32(), dt.date(1913, 1, 2)),
    ("timestamp", MOMENT, pa.timestamp("ms", "UTC"), MOMENT),
    ("decimal", Decimal("1.5"), pa.decimal128(38, 18), Decimal("1.5")),
    ("varint", -(10**30), pa.decimal128(38, 0), Decimal(-(10**30))),
    ("duration", Duration(1, 2, 3), pa.month_day_nano_interval(), pa.MonthDayNano([1, 2, 3])),
    ("duration", Duration(-1, 0, -(2**63)), pa.month_day_nano_interval(), None),
    ("time", dt.time(1, 2, 3, 4), pa.time64("ns"), dt.time(1, 2, 3, 4)),
    ("list<int>", [1, 2], pa.list_(pa.int32()), [1, 2]),
    ("frozen<list<int>>", [], pa.list_(pa.int32()), []),
    ("set<text>", {"a"}, pa.list_(pa.string()), ["a"]),
    ("map<text, int>", {"a": 1}, pa.map_(pa.string(), pa.int32()), [("a", 1)]),
    ("vector<float, 2>", [1.0, 2.0], pa.list_(pa.float32(), 2), [1.0, 2.0]),
    ("vector<smallint, 2>", [1, 2], pa.list_(pa.int16(), 2), [1, 2]),
    ("vector<text, 2>", ["a", "b" * 200], pa.list_(pa.string(), 2), ["a", "b" * 200]),
    (
        "vector<vector<int, 2>, 2>",
        [[1, 2], [3, 4]],
        pa.list_(pa.list_(pa.int32(), 2), 2),
        [[1, 2], [3, 4]],
    ),
    (
        "tuple<int, text>",
        (1, None),
        pa.struct([("0", pa.int32()), ("1", pa.string())]),
        {"0": 1, "1": None},
    ),
    (
        "frozen<address>",
        ("x", 1),
        pa.struct([("street", pa.string()), ("no", pa.int32())]),
        {"street": "x", "no": 1},
    ),
    (
        "frozen<list<frozen<map<text, date>>>>",
        [{"a": dt.date(2013, 1, 2)}],
        pa.list_(pa.map_(pa.string(), pa.date32())),
        [[("a", dt.date(2013, 1, 2))]],
    ),
    (
        "list<frozen<tuple<uuid, list<decimal>>>>",
        [(ID, [Decimal(1)]), (None, None)],
        pa.list_(pa.struct([("0", pa.uuid()), ("1", pa.list_(pa.decimal128(38, 18)))])),
        [{"0": ID, "1": [Decimal(1)]}, {"0": None, "1": None}],
    ),
]
CASES.append(
    (
        "frozen<tuple<list<uuid>, int>>",
        ([ID], 1),
        pa.struct([("0", pa.list_(pa.uuid())), ("1", pa.int32())]),
        {"0": [ID], "1": 1},
    )
)
CASES = [case for case in CASES if case[3] is not None]


@pytest.mark.parametrize("rows", [1, 300])
@pytest.mark.parametrize(("cql", "value", "kind", "expected"), CASES, ids=[c[0] for c in CASES])
def test_a_column_is_typed_by_its_cql_type(
    cql: str, value: object, kind: pa.DataType, expected: object, rows: int
) -> None:
    table = to_table([page({"a": cql}, [[value], [None]] * rows, ADDRESS)])
    assert table.schema == pa.schema([("a", kind)])
    assert table["a"].to_pylist() == [expected, None] * rows
    table.validate(full=True)


@pytest.mark.parametrize("cql", [case[0] for case in CASES])
def test_the_schema_is_kept_without_rows(cql: str) -> None:
    table = to_table([page({"a": cql}, [], ADDRESS)])
    assert table.num_rows == 0
    assert table.schema.field("a").type == arrow_type(parse(cql, ADDRESS))


@pytest.mark.parametrize("cql", sorted({case[0] for case in CASES}))
def test_a_value_of_no_bytes_is_null_but_for_text_and_blobs(cql: str) -> None:
    empty = {"text": "", "ascii": "", "blob": b""}.get(cql)
    table = to_table([page({"k": "int", "a": cql}, [[1, b""], [2, None]] * 300, ADDRESS)])
    assert table["a"].to_pylist() == [empty, None] * 300
    assert table["k"].to_pylist() == [1, 2] * 300


def test_fields_that_a_type_got_later_are_null_in_older_values() -> None:
    short = cell(b"x")
    table = to_table(
        [page({"a": "frozen<address>"}, [[short], [("y", 2)], [short], [None]], ADDRESS)]
    )
    assert table["a"].to_pylist() == [
        {"street": "x", "no": None},
        {"street": "y", "no": 2},
        {"street": "x", "no": None},
        None,
    ]


def test_values_are_kept_that_python_has_no_type_for() -> None:
    rows = [[Time(1), Date(3_000_000), (2**63 - 1).to_bytes(8, "big"), Duration(1, 2, 3)]]
    columns = {"t": "time", "d": "date", "s": "timestamp", "i": "duration"}
    table = to_table([page(columns, rows)])
    assert table["t"].cast(pa.int64()).to_pylist() == [1]
    assert table["d"].cast(pa.int32()).to_pylist() == [3_000_000]
    assert table["s"].cast(pa.int64()).to_pylist() == [2**63 - 1]


def test_pages_are_joined_in_order() -> None:
    table = to_table([page({"a": "int"}, [[n] for n in range(s, s + 9)]) for s in (0, 9, 18)])
    assert table["a"].to_pylist() == list(range(27))


def test_digits_that_would_be_lost_are_refused() -> None:
    with pytest.raises(DataError, match=r"column a.*1E-19") as caught:
        to_table([page({"a": "decimal"}, [[Decimal(1)], [Decimal("1e-19")]])])
    assert "text" in caught.value.hint


def test_numbers_of_any_length_are_kept_as_text() -> None:
    values = [Decimal("1e-190"), Decimal("1.50"), Decimal(10) ** 90]
    rows = page(
        {"a": "decimal", "b": "varint", "c": "duration"},
        [[v, 7**99, Duration(1, 2, 3)] for v in values],
    )
    instead = {"decimal": pa.string(), "varint": pa.string(), "duration": DURATION}
    batch = Decoder(rows.names, rows.types, instead).batch(rows)
    assert [Decimal(text) for text in batch["a"].to_pylist()] == values
    assert batch["a"].to_pylist()[1] == "1.50"
    assert set(batch["b"].to_pylist()) == {str(7**99)}
    assert batch["c"].to_pylist()[0] == {"months": 1, "days": 2, "nanoseconds": 3}


def test_a_table_that_changed_while_it_was_read_is_refused() -> None:
    rows = page({"a": "int"}, [[1]])
    with pytest.raises(DataError, match="changed"):
        Decoder(["a"], [parse("bigint")]).batch(rows)
