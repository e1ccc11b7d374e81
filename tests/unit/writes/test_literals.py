"""Text of single values: what is read, and how what is not read is named."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.driver.cqltype import UserType, parse
from prefect_cassandra.driver.types import Duration, Time
from prefect_cassandra.writes.literals import duration, from_json, parse_json, reader

PAIR = (UserType("pair", (("a", "int"), ("b", "text"))),)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", " -5 ", -5),
        ("bigint", "0x10", 16),
        ("varint", "9" * 30, int("9" * 30)),
        ("double", "-Infinity", -math.inf),
        ("float", "1e3", 1000.0),
        ("decimal", "1.10", Decimal("1.10")),
        ("boolean", "FALSE", False),
        ("date", "0001-01-01", date(1, 1, 1)),
        ("time", "23:59:59.999999999", Time(86_399_999_999_999)),
        ("time", "05:00", Time(18_000_000_000_000)),
        ("blob", "0xCAfe", b"\xca\xfe"),
        ("inet", " ::1 ", "::1"),
        ("list<int>", "[1, 2]", [1, 2]),
        ("map<int, text>", '{"1": "x"}', [(1, "x")]),
        ("map<int, text>", '[[1, "x"]]', [(1, "x")]),
        ("tuple<int, date>", '[null, "2013-01-31"]', (None, date(2013, 1, 31))),
        ("frozen<pair>", '{"a": null, "b": "x"}', {"a": None, "b": "x"}),
        ("vector<float, 2>", "[0.5, 1]", [0.5, 1]),
        ("set<decimal>", "[0.10000000000000000001]", [Decimal("0.10000000000000000001")]),
        ("list<frozen<list<blob>>>", '[["0x01"]]', [[b"\x01"]]),
    ],
)
def test_text_is_read(kind: str, text: str, value: Any) -> None:
    found = reader(parse(kind, PAIR))(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("int", "1_000", "'1_000' is not a whole number"),
        ("int", "٣", "is not a whole number"),
        ("int", "1.0", "is not a whole number"),
        ("tinyint", "128", r"'128' is out of the range of tinyint \(-128 to 127\)"),
        ("varint", "9" * 5_000, "too many digits"),
        ("double", "1e999", "'1e999' is out of the range of double"),
        ("double", "1_0", "is not a number"),
        ("float", "1e39", "is out of the range of float"),
        ("list<double>", "[1e400]", "is out of the range of double"),
        ("list<float>", "[1e39]", "is out of the range of float"),
        ("decimal", "1,5", "is not a decimal number"),
        ("boolean", "yes", "is not true or false"),
        ("date", "31.01.2013", "is not a date like 2013-01-31"),
        ("date", "20130131", "is not a date like 2013-01-31"),
        ("date", "+5881580-07-12", "is out of the range of date"),
        ("timestamp", "+12345-01-31 05:00:00.000Z", "is outside the years 1 to 9999"),
        ("timestamp", "2013-01-01T00:00:00", "has no time zone"),
        ("timestamp", "1357016400000", "is not a time"),
        ("timestamp", "2013-01-01T00:00:00.0005Z", "finer than the millisecond"),
        ("time", "24:00:00", "is not a time of day"),
        ("blob", "cafe", "written in hex"),
        ("blob", "0xcaf", "a digit is missing"),
        ("duration", "P", "is not a duration"),
        ("duration", "5 minutes", "is not a duration"),
        ("list<int>", "1, 2", "written as a JSON array"),
        ("list<int>", '{"a": 1}', "a JSON object is not list<int>"),
        ("list<int>", '["x"]', "'x' is not a whole number"),
        ("tuple<int, int>", "[1]", "needs 2 values, there are 1"),
        ("map<int, int>", "[[1]]", "a JSON object or an array of pairs"),
        ("list<text>", "[" * 100_000, "nested too deeply"),
    ],
)
def test_text_that_is_no_value_is_refused(kind: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reader(parse(kind))(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1y2mo3w4d5h6m7s8ms9us10ns", (14, 25, 18_367_008_009_010)),
        ("-3d", (0, -3, 0)),
        ("P1Y2M3W4DT5H6M7.8S", (14, 25, 18_367_800_000_000)),
        ("PT0.000000001S", (0, 0, 1)),
        ("-P1M", (-1, 0, 0)),
        ("4µs", (0, 0, 4_000)),
    ],
)
def test_both_forms_of_a_duration_are_read(text: str, parts: tuple[int, int, int]) -> None:
    assert duration(text) == Duration(*parts)


@settings(max_examples=50)
@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_a_duration_is_what_cassandra_writes(months: int, days: int, nanoseconds: int) -> None:
    written = Duration(months, days, nanoseconds)
    assert duration(f"{months}mo{days}d{nanoseconds}ns") == written
    assert duration(f"-{months}mo{days}d{nanoseconds}ns") == Duration(-months, -days, -nanoseconds)


@settings(max_examples=50)
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_its_digits_and_its_scale(value: Decimal) -> None:
    assert reader(parse("decimal"))(str(value)).as_tuple() == value.as_tuple()
    inside = from_json(parse("list<decimal>"))(parse_json(f'["{value}"]', exact=True))
    assert inside[0].as_tuple() == value.as_tuple()
