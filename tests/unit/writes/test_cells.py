"""Columns of text: read in one stroke or value by value, with the same result."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.driver.cqltype import parse
from prefect_cassandra.driver.types import Time
from prefect_cassandra.writes.cells import read_json, read_text

ONE = uuid.UUID("f47ac10b-58cc-4372-a567-0e02b2c3d479")
# What a cell of each type is, and what cannot be one.
CELLS: dict[str, tuple[str, Any, str]] = {
    "bigint": ("-9223372036854775808", -(2**63), "9223372036854775808"),
    "blob": ("0x00ff", b"\x00\xff", "0x0"),
    "boolean": ("true", True, "yes"),
    "date": ("2013-01-31", date(2013, 1, 31), "2013-02-30"),
    "double": ("0.1", 0.1, "1e999"),
    "float": ("0.5", 0.5, "0.5f"),
    "int": ("5", 5, "5.0"),
    "time": ("05:00:00.5", time(5, 0, 0, 500_000), "24:00:00"),
    "timestamp": (
        "2013-01-01T05:00:00.001+05:00",
        datetime(2013, 1, 1, 0, 0, 0, 1_000, UTC),
        "2013-01-01T05:00:00",
    ),
    "uuid": (str(ONE), ONE.bytes, "not-a-uuid"),
}


def values(column: pa.Array | list[Any]) -> list[Any]:
    found = column if isinstance(column, list) else column.to_pylist()
    return [_plain(value) for value in found]


def _plain(value: Any) -> Any:
    if isinstance(value, str) and len(value) == 36:
        return uuid.UUID(value).bytes
    if isinstance(value, Time):
        return value.time()
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("pad", ["", " "])
def test_a_column_is_read_whole_with_its_gaps(kind: str, pad: str) -> None:
    text, value, _ = CELLS[kind]
    cells = pa.array([f"{pad}{text}".encode(), None, b"", text.encode()], pa.binary())
    column, flaws = read_text(cells, parse(kind))
    assert values(column) == [value, None, None, value]
    assert flaws == {}


@pytest.mark.parametrize("kind", [kind for kind in CELLS if kind != "uuid"])
def test_one_bad_cell_leaves_the_others_as_they_were(kind: str) -> None:
    text, value, bad = CELLS[kind]
    column, flaws = read_text(pa.array([text, bad, None, text]), parse(kind))
    assert values(column) == [value, None, None, value]
    assert list(flaws) == [1]
    assert bad in flaws[1]


def test_uuids_that_are_no_uuids_are_left_to_the_encoder() -> None:
    column, flaws = read_text(pa.array([str(ONE), "not-a-uuid"]), parse("uuid"))
    assert column == [str(ONE), "not-a-uuid"]
    assert flaws == {}


@pytest.mark.parametrize("kind", ["uuid", "blob", "int", "text", "list<int>"])
def test_columns_without_values_are_read(kind: str) -> None:
    assert values(read_text(pa.nulls(2, pa.binary()), parse(kind))[0]) == [None, None]
    assert values(read_text(pa.array([], pa.binary()), parse(kind))[0]) == []


def test_slices_of_a_column_are_read() -> None:
    uuids = pa.array([None, str(ONE), str(uuid.UUID(int=5)), None]).slice(1)
    assert values(read_text(uuids, parse("uuid"))[0]) == [ONE.bytes, uuid.UUID(int=5).bytes, None]
    blobs = pa.array(["0x", "0x01", "0x0203"]).slice(1)
    assert values(read_text(blobs, parse("blob"))[0]) == [b"\x01", b"\x02\x03"]


def test_infinity_is_one_only_where_it_is_written() -> None:
    column, flaws = read_text(pa.array(["inf", "1e999", "-Infinity"]), parse("double"))
    assert values(column) == [math.inf, None, -math.inf]
    assert list(flaws) == [1]


def test_bytes_that_are_no_utf8_are_named() -> None:
    column, flaws = read_text(pa.array([b"ok", b"a\xff"]), parse("text"))
    assert values(column) == ["ok", None]
    assert flaws == {1: "byte 2 of b'a\\xff' is not UTF-8"}


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=8)), max_size=20))
def test_blobs_come_back_as_they_went(blobs: list[bytes | None]) -> None:
    cells = pa.array([None if blob is None else f"0x{blob.hex()}" for blob in blobs], pa.string())
    assert values(read_text(cells, parse("blob"))[0]) == blobs


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), st.uuids()), max_size=20))
def test_uuids_come_back_as_they_went(uuids: list[uuid.UUID | None]) -> None:
    cells = pa.array([None if one is None else str(one) for one in uuids], pa.string())
    wanted = [None if one is None else one.bytes for one in uuids]
    assert values(read_text(cells, parse("uuid"))[0]) == wanted


@settings(max_examples=50)
@given(st.lists(st.one_of(st.none(), st.floats(width=64)), max_size=20))
def test_doubles_come_back_as_they_went(numbers: list[float | None]) -> None:
    cells = pa.array([None if one is None else repr(one) for one in numbers], pa.string())
    found = values(read_text(cells, parse("double"))[0])
    assert [repr(one) for one in found] == [repr(one) for one in numbers]


@pytest.mark.parametrize(
    ("kind", "given_values", "wanted", "bad"),
    [
        ("int", [1, None], [1, None], []),
        ("int", ["1", "x"], [1, None], [1]),
        ("text", ["a", 5], ["a", 5], []),
        ("date", ["2013-01-31", None], [date(2013, 1, 31), None], []),
        ("list<int>", [[1], "[2]", {"a": 1}], [[1], None, None], [1, 2]),
        ("text", ["a", ["x"]], ["a", None], [1]),
        ("blob", ["0x01", "\ud800"], [b"\x01", None], [1]),
    ],
)
def test_json_values_are_read(
    kind: str, given_values: list[Any], wanted: list[Any], bad: list[int]
) -> None:
    column, flaws = read_json(given_values, parse(kind))
    assert values(column) == wanted
    assert sorted(flaws) == bad
