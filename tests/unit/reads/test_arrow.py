from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from cassandra.util import Date, Duration, Time

from prefect_cassandra.driver.cqltype import UserType, parse
from prefect_cassandra.errors import DataError
from prefect_cassandra.reads.arrow import arrow_type, to_table

ADDRESS = (UserType("address", (("street", "text"), ("no", "int"))),)
ID = uuid.UUID("12345678-1234-4234-8234-123456789abc")

CASES: list[tuple[str, Any, pa.DataType, Any]] = [
    ("text", "é", pa.string(), "é"),
    ("bigint", 2**62, pa.int64(), 2**62),
    ("counter", 3, pa.int64(), 3),
    ("tinyint", -1, pa.int8(), -1),
    ("float", 1.5, pa.float32(), 1.5),
    ("boolean", True, pa.bool_(), True),
    ("blob", b"\0", pa.binary(), b"\0"),
    ("uuid", ID, pa.uuid(), ID),
    ("inet", "::1", pa.string(), "::1"),
    ("date", dt.date(2013, 1, 2), pa.date32(), dt.date(2013, 1, 2)),
    ("decimal", Decimal("1.5"), pa.decimal128(38, 18), Decimal("1.5")),
    ("varint", 10**30, pa.decimal128(38, 0), Decimal(10**30)),
    ("duration", Duration(1, 2, 3), pa.month_day_nano_interval(), pa.MonthDayNano([1, 2, 3])),
    ("time", dt.time(1, 2, 3, 4), pa.time64("ns"), dt.time(1, 2, 3, 4)),
    ("list<int>", [1, 2], pa.list_(pa.int32()), [1, 2]),
    ("set<text>", {"a"}, pa.list_(pa.string()), ["a"]),
    ("map<text, int>", {"a": 1}, pa.map_(pa.string(), pa.int32()), [("a", 1)]),
    ("vector<float, 2>", [1.0, 2.0], pa.list_(pa.float32(), 2), [1.0, 2.0]),
    (
        "tuple<int, text>",
        (1, None),
        pa.struct([("0", pa.int32()), ("1", pa.string())]),
        {"0": 1, "1": None},
    ),
    (
        "frozen<address>",
        {"street": "x", "no": 1},
        pa.struct([("street", pa.string()), ("no", pa.int32())]),
        {"street": "x", "no": 1},
    ),
    (
        "frozen<list<frozen<map<text, date>>>>",
        [{"a": dt.date(2013, 1, 2)}],
        pa.list_(pa.map_(pa.string(), pa.date32())),
        [[("a", dt.date(2013, 1, 2))]],
    ),
]


@pytest.mark.parametrize(("cql", "value", "kind", "expected"), CASES, ids=[c[0] for c in CASES])
def test_to_table_types_a_column_by_its_cql_type(
    cql: str, value: object, kind: pa.DataType, expected: object
) -> None:
    parsed = parse(cql, ADDRESS)
    table = to_table(["a"], [parsed], [{"a": value}, {"a": None}])
    assert table.schema == pa.schema([("a", kind)])
    assert table["a"].to_pylist() == [expected, None]


@pytest.mark.parametrize("cql", [case[0] for case in CASES])
def test_to_table_keeps_the_schema_without_rows(cql: str) -> None:
    parsed = parse(cql, ADDRESS)
    table = to_table(["a"], [parsed], [])
    assert table.num_rows == 0
    assert table.schema.field("a").type == arrow_type(parsed)


def test_to_table_keeps_moments_in_utc() -> None:
    moment = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
    table = to_table(["a"], [parse("timestamp")], [{"a": moment}])
    assert table.schema.field("a").type == pa.timestamp("ms", "UTC")
    assert table["a"].to_pylist() == [moment]


def test_to_table_keeps_what_python_has_no_type_for() -> None:
    rows = [{"t": Time(1), "d": Date(3_000_000)}]
    table = to_table(["t", "d"], [parse("time"), parse("date")], rows)
    assert table["t"].cast(pa.int64()).to_pylist() == [1]
    assert table["d"].cast(pa.int32()).to_pylist() == [3_000_000]


def test_to_table_joins_slices_in_order() -> None:
    table = to_table(["a"], [parse("int")], ({"a": n} for n in range(12_000)))
    assert table["a"].to_pylist() == list(range(12_000))


def test_to_table_refuses_digits_it_would_lose() -> None:
    with pytest.raises(DataError, match="column a") as caught:
        to_table(["a"], [parse("decimal")], [{"a": Decimal("1e-19")}])
    assert "as_table" in caught.value.hint
