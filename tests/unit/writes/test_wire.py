from __future__ import annotations

import datetime as dt
import struct
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from prefect_cassandra.driver.cqltype import parse
from prefect_cassandra.driver.encoded import ValueEncoder
from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.wire import Encoded, encode, mismatch

if TYPE_CHECKING:
    from collections.abc import Callable


def one_by_one(cql_type: str, encode_value: Callable[[Any], bytes]) -> ValueEncoder:
    return ValueEncoder(parse(cql_type), encode_value)


def refuse(value: Any) -> bytes:
    raise AssertionError(f"{value!r} must not be encoded one by one")


def encoded(column: Any, cql_type: str, *, pandas: bool = False) -> list[bytes | None]:
    result = encode(column, one_by_one(cql_type, refuse), nan_is_missing=pandas)
    assert result.problems == []
    return values(result)


def values(result: Encoded) -> list[bytes | None]:
    return [result.cells.value(row) for row in range(len(result.cells))]


def problems(column: Any, cql_type: str, *, pandas: bool = False) -> list[tuple[int, str]]:
    result = encode(column, one_by_one(cql_type, refuse), nan_is_missing=pandas)
    for problem in result.problems:
        assert result.cells.value(problem.row) is None
    return [(problem.row, problem.reason) for problem in result.problems]


UTC = dt.UTC
MOMENT = dt.datetime(2013, 1, 1, 5, 0, 0, 123000, tzinfo=UTC)
MILLIS = 1357016400123
ID = uuid.UUID("12345678-1234-4234-8234-123456789abc")


@pytest.mark.parametrize(
    ("array", "cql_type", "expected"),
    [
        (
            pa.array([1, None, -2], pa.int64()),
            "bigint",
            [struct.pack(">q", 1), None, b"\xff" * 7 + b"\xfe"],
        ),
        (pa.array([1], pa.int8()), "int", [b"\0\0\0\1"]),
        (pa.array([-129], pa.int64()), "smallint", [struct.pack(">h", -129)]),
        (pa.array([-128, 127], pa.int64()), "tinyint", [b"\x80", b"\x7f"]),
        (pa.array([2**31], pa.uint64()), "bigint", [struct.pack(">q", 2**31)]),
        (pa.array([1.5, None], pa.float64()), "double", [struct.pack(">d", 1.5), None]),
        (pa.array([1.5], pa.float64()), "float", [struct.pack(">f", 1.5)]),
        (pa.array([3], pa.int64()), "double", [struct.pack(">d", 3.0)]),
        (pa.array([True, None, False]), "boolean", [b"\1", None, b"\0"]),
        (pa.array(["é", None, ""]), "text", ["é".encode(), None, b""]),
        (pa.array(["a"], pa.large_string()), "ascii", [b"a"]),
        (pa.array(["a"], pa.string_view()), "varchar", [b"a"]),
        (pa.array([b"\0\1", None]), "blob", [b"\0\1", None]),
        (
            pa.array([MOMENT, None], pa.timestamp("ms", "UTC")),
            "timestamp",
            [struct.pack(">q", MILLIS), None],
        ),
        (pa.array([MOMENT], pa.timestamp("ns", "UTC")), "timestamp", [struct.pack(">q", MILLIS)]),
        (
            pa.array([MOMENT], pa.timestamp("us", "America/New_York")),
            "timestamp",
            [struct.pack(">q", MILLIS)],
        ),
        (pa.array([1], pa.timestamp("s", "UTC")), "timestamp", [struct.pack(">q", 1000)]),
        (pa.array([-1], pa.timestamp("ms", "UTC")), "timestamp", [struct.pack(">q", -1)]),
        (pa.array([dt.date(1969, 12, 31)]), "date", [struct.pack(">I", 2**31 - 1)]),
        (pa.array([dt.time(1, 2, 3, 4)]), "time", [struct.pack(">q", 3723000004000)]),
        (pa.array([ID, None], pa.uuid()), "uuid", [ID.bytes, None]),
        (pa.array([ID.bytes], pa.binary(16)), "uuid", [ID.bytes]),
        (pa.nulls(2), "int", [None, None]),
        ([1, None], "int", [b"\0\0\0\1", None]),
        (["x", None], "text", [b"x", None]),
        ([], "text", []),
    ],
)
def test_encode_writes_the_protocols_bytes(
    array: Any, cql_type: str, expected: list[bytes | None]
) -> None:
    assert encoded(array, cql_type) == expected


def test_encode_takes_slices_of_larger_arrays() -> None:
    array = pa.array([7, None, 9, None], pa.int32()).slice(1, 2)
    assert encoded(array, "int") == [None, struct.pack(">i", 9)]


@pytest.mark.parametrize(
    ("array", "cql_type", "row", "words"),
    [
        (pa.array([1, None, 2**31]), "int", 2, "2147483648 is out of the range of int"),
        (pa.array([-129]), "tinyint", 0, "out of the range of tinyint"),
        (pa.array([2**63], pa.uint64()), "bigint", 0, "9223372036854775808"),
        (pa.array([200], pa.uint8()), "tinyint", 0, "200"),
        (pa.array([2**53 + 1]), "double", 0, "no exact double"),
        (pa.array([2**24 + 1]), "float", 0, "no exact float"),
        (pa.array([0.0, 1e39]), "float", 1, "out of the range of float"),
        (pa.array(["a", "é"]), "ascii", 1, "not ASCII"),
        (pa.array([b"a", b"\xc3"]), "text", 1, "byte 0 (0xc3) is not UTF-8"),
        (pa.array([b"a\xff"]).view(pa.string()), "text", 0, "byte 1 (0xff) is not UTF-8"),
        (pa.array([uuid.UUID(int=1)], pa.uuid()), "timeuuid", 0, "not a version 1"),
        (
            pa.array([MOMENT + dt.timedelta(microseconds=1)], pa.timestamp("us", "UTC")),
            "timestamp",
            0,
            "finer than the millisecond",
        ),
        (
            pa.array([None, -1], pa.timestamp("ns", "UTC")),
            "timestamp",
            1,
            "finer than the millisecond",
        ),
        (pa.array([2**60], pa.timestamp("ms", "UTC")), "timestamp", 0, "years 1 to 9999"),
        (pa.array([2**60], pa.timestamp("s", "UTC")), "timestamp", 0, "years 1 to 9999"),
    ],
)
def test_encode_names_the_row_of_a_value_that_does_not_fit(
    array: pa.Array, cql_type: str, row: int, words: str
) -> None:
    ((found, reason),) = problems(array, cql_type)
    assert found == row
    assert words in reason


def test_encode_keeps_nan_as_a_number_from_arrow() -> None:
    (value,) = encoded(pa.array([float("nan")]), "double")
    assert value == struct.pack(">d", float("nan"))


def test_encode_reads_nan_as_missing_from_pandas() -> None:
    assert encoded(pa.array([float("nan"), 1.0]), "double", pandas=True)[0] is None


def test_encode_takes_whole_floats_for_integers_from_pandas() -> None:
    column = pa.array([517.0, float("nan"), -3.0])
    assert encoded(column, "int", pandas=True) == [
        struct.pack(">i", 517),
        None,
        struct.pack(">i", -3),
    ]


@pytest.mark.parametrize("value", [0.5, float("inf"), 2.0**53 + 2])
def test_encode_refuses_floats_that_are_no_whole_numbers(value: float) -> None:
    ((row, reason),) = problems(pa.array([1.0, value]), "bigint", pandas=True)
    assert row == 1
    assert "no whole number" in reason


def test_encode_hands_other_types_over_value_by_value() -> None:
    def one(value: Any) -> bytes:
        if value == Decimal("2.5"):
            raise DataError("too long")
        return str(value).encode()

    result = encode(pa.array([Decimal("1.5"), None, Decimal("2.5")]), one_by_one("decimal", one))
    assert values(result) == [b"1.5", None, None]
    assert [(p.row, p.reason) for p in result.problems] == [(2, "too long")]


def test_encode_hands_lists_of_mixed_values_over_value_by_value() -> None:
    result = encode([1, "a", None], one_by_one("text", lambda value: repr(value).encode()))
    assert values(result) == [b"1", b"'a'", None]


@pytest.mark.parametrize(
    ("kind", "cql_type"),
    [
        (pa.int64(), "int"),
        (pa.decimal128(5, 2), "decimal"),
        (pa.decimal128(5, 0), "varint"),
        (pa.string(), "uuid"),
        (pa.null(), "boolean"),
        (pa.binary(), "text"),
        (pa.list_(pa.int32()), "list<int>"),
        (pa.struct([("a", pa.int32())]), "frozen<address>"),
        (pa.month_day_nano_interval(), "duration"),
    ],
)
def test_mismatch_lets_through_what_can_fit(kind: pa.DataType, cql_type: str) -> None:
    assert mismatch(kind, cql_type) is None


@pytest.mark.parametrize(
    ("kind", "cql_type"),
    [
        (pa.string(), "int"),
        (pa.float64(), "int"),
        (pa.float64(), "decimal"),
        (pa.int64(), "text"),
        (pa.bool_(), "int"),
        (pa.int64(), "timestamp"),
        (pa.timestamp("ms", "UTC"), "date"),
        (pa.date32(), "timestamp"),
        (pa.binary(), "int"),
        (pa.binary(8), "uuid"),
        (pa.list_(pa.int32()), "int"),
    ],
)
def test_mismatch_tells_what_the_data_holds(kind: pa.DataType, cql_type: str) -> None:
    assert str(kind) in (mismatch(kind, cql_type) or "")


def test_mismatch_asks_for_the_zone_of_naive_times() -> None:
    assert "zone" in (mismatch(pa.timestamp("ms"), "timestamp") or "")


def test_mismatch_takes_floats_for_integers_only_from_pandas() -> None:
    assert mismatch(pa.float64(), "int", nan_is_missing=True) is None
    assert mismatch(pa.float64(), "int") is not None
