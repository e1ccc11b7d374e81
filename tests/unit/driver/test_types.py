from __future__ import annotations

import ipaddress
import math
import uuid
from collections import namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cassandra.util import Date, Time

from prefect_cassandra.driver.cqltype import UserType
from prefect_cassandra.driver.types import UNSET, Duration, check_value, checker
from prefect_cassandra.errors import DataError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "cql_type", "bound"),
    [
        (1, "int", 1),
        (np.int16(7), "int", 7),
        (pa.scalar(7), "bigint", 7),
        (-(2**63), "bigint", -(2**63)),
        (2**100, "varint", 2**100),
        (1.5, "double", 1.5),
        (2, "double", 2.0),
        (np.float32(0.5), "float", 0.5),
        (math.inf, "float", math.inf),
        (True, "boolean", True),
        (np.bool_(0), "boolean", False),
        ("naïve", "text", "naïve"),
        (np.str_("x"), "text", "x"),
        ("plain", "ascii", "plain"),
        (bytearray(b"ab"), "blob", b"ab"),
        (memoryview(b"ab"), "blob", b"ab"),
        (Decimal("1.10"), "decimal", Decimal("1.10")),
        (3, "decimal", Decimal(3)),
        (
            "6f9619ff-8b86-4011-b42d-00cf4fc964ff",
            "uuid",
            uuid.UUID("6f9619ff-8b86-4011-b42d-00cf4fc964ff"),
        ),
        ("::1", "inet", "::1"),
        (ipaddress.ip_address("10.0.0.1"), "inet", "10.0.0.1"),
        (NOON, "timestamp", NOON),
        (pd.Timestamp("2026-11-21T13:00+01:00"), "timestamp", NOON),
        (pa.scalar(NOON), "timestamp", NOON),
        (date(2026, 11, 21), "date", date(2026, 11, 21)),
        (np.datetime64("2026-11-21"), "date", date(2026, 11, 21)),
        (time(1, 2, 3, 4), "time", Time(time(1, 2, 3, 4))),
        ([1, 2], "list<int>", [1, 2]),
        (np.array([1, 2]), "list<int>", [1, 2]),
        ({1}, "set<int>", [1]),
        ({"a": [1]}, "map<text, frozen<list<int>>>", [("a", [1])]),
        ([("a", 1)], "map<text, int>", [("a", 1)]),
        ((1, None), "tuple<int, text>", (1, None)),
        (np.array([1, 2], dtype="float32"), "vector<float, 2>", [1.0, 2.0]),
        (None, "int", None),
        (UNSET, "int", UNSET),
        (b"x", "'org.example.Custom'", b"x"),
    ],
)
def test_value_that_fits_is_bound_as_it_is_meant(value: Any, cql_type: Any, bound: Any) -> None:
    assert check_value(value, cql_type, "here") == bound


@pytest.mark.parametrize(
    ("value", "cql_type", "why"),
    [
        (128, "tinyint", "out of range"),
        (-32769, "smallint", "out of range"),
        (2**31, "int", "out of range"),
        (2**63, "bigint", "out of range"),
        (2**63, "counter", "out of range"),
        (2.0, "int", "not int"),
        (np.float64(2), "int", "not int"),
        (True, "int", "not int"),
        (np.bool_(1), "int", "not int"),
        ("1", "int", "not int"),
        (float("nan"), "int", "missing"),
        (pd.NA, "int", "missing"),
        (pd.NA, "double", "missing"),
        (pd.NaT, "timestamp", "missing"),
        (np.datetime64("NaT"), "timestamp", "missing"),
        (np.datetime64("NaT", "D"), "date", "not a date"),
        (float("nan"), "text", "missing"),
        (float("nan"), "boolean", "missing"),
        (float("nan"), "decimal", "missing"),
        (Decimal("NaN"), "decimal", "not a number"),
        (0.1, "decimal", "not decimal"),
        (1e39, "float", "out of range"),
        (2**53 + 1, "double", "exactly"),
        (10**400, "double", "out of range"),
        (True, "double", "not double"),
        (Decimal(1), "double", "not double"),
        (1, "boolean", "not boolean"),
        (1, "text", "not text"),
        (b"x", "text", "not text"),
        ("\ud800", "text", "surrogate"),
        ("naïve", "ascii", "ASCII"),
        ("x", "blob", "not blob"),
        ("not-a-uuid", "uuid", "not a uuid"),
        (uuid.uuid4(), "timeuuid", "version 1"),
        ("10.0.0", "inet", "not an IP"),
        ("fe80::1%eth0", "inet", "zone"),
        (167772161, "inet", "not an inet"),
        (datetime(2026, 1, 1), "timestamp", "no time zone"),  # noqa: DTZ001 -- the point
        (pd.Timestamp("2026-01-01"), "timestamp", "no time zone"),
        (np.datetime64("2026-01-01T00:00:00"), "timestamp", "not a timestamp"),
        (NOON.replace(microsecond=1), "timestamp", "millisecond"),
        (pd.Timestamp("2026-01-01T00:00:00.001000001Z"), "timestamp", "millisecond"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "timestamp", "years 1 to 9999"),
        (date(2026, 1, 1), "timestamp", "not a timestamp"),
        (1700000000000, "timestamp", "not a timestamp"),
        (NOON, "date", "not a date"),
        ("2026-01-01", "date", "not a date"),
        (np.datetime64("2026-01-01T00"), "date", "not a date"),
        (time(1, tzinfo=UTC), "time", "time zone"),
        (NOON, "time", "not a time"),
        (timedelta(1), "duration", "not a duration"),
        (Duration(1, -1, 0), "duration", "one sign"),
        (Duration(2**31, 0, 0), "duration", "out of range"),
        ("abc", "list<text>", "not a collection"),
        (1, "set<int>", "not a collection"),
        ([1, None], "list<int>", "null"),
        ([1, 2.5], "list<int>", "not int"),
        ({"a": None}, "map<text, int>", "null"),
        ("ab", "map<text, int>", "not a map"),
        ([1], "map<text, int>", "not a map"),
        ((1,), "tuple<int, text>", "2 elements"),
        ([1.0], "vector<float, 2>", "1 elements"),
        ([1.0, None], "vector<float, 2>", "null"),
        ("x", "'org.example.Custom'", "not bytes"),
    ],
)
def test_value_that_does_not_fit_is_refused_with_its_place(
    value: Any, cql_type: Any, why: Any
) -> None:
    with pytest.raises(DataError, match=why) as caught:
        check_value(value, cql_type, "row 17, column dep_delay")

    assert "row 17, column dep_delay" in caught.value.message


def test_place_is_only_asked_for_when_something_is_wrong() -> None:
    def where() -> str:
        raise AssertionError("nobody needed to know")

    assert check_value(1, "int", where) == 1


def test_nan_is_a_number_in_float_columns_only() -> None:
    assert math.isnan(check_value(float("nan"), "double", "here"))


@pytest.mark.parametrize("value", [None, UNSET])
def test_key_column_refuses_null_and_unset(value: Any) -> None:
    with pytest.raises(DataError, match=r"row 3.*key"):
        checker("int", key=True)(value, "row 3")


ADDRESS = (UserType("address", (("street", "text"), ("zip", "int"))),)


@pytest.mark.parametrize(
    "value",
    [
        {"street": "Elm", "zip": 7},
        {"zip": 7, "street": "Elm"},
        namedtuple("Address", "street zip")("Elm", 7),  # noqa: PYI024 -- what the driver makes
    ],
)
def test_user_type_takes_mappings_and_named_tuples_by_field_name(value: Any) -> None:
    assert checker("frozen<address>", ADDRESS)(value, "here") == ("Elm", 7)


def test_user_type_binds_null_for_a_field_left_out() -> None:
    assert checker("address", ADDRESS)({"zip": 7}, "here") == (None, 7)


@pytest.mark.parametrize("value", [{"stret": "Elm"}, ("Elm", 7), {"zip": "7"}])
def test_user_type_refuses_unknown_fields_bare_tuples_and_wrong_values(value: Any) -> None:
    with pytest.raises(DataError):
        checker("address", ADDRESS)(value, "here")


def test_dates_outside_pythons_years_pass_as_the_drivers_own() -> None:
    assert check_value(Date(10_000_000), "date", "here") == Date(10_000_000)


def test_checker_is_built_once_for_a_type() -> None:
    assert checker("map<text, int>") is checker("map<text, int>")
