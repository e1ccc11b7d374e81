"""What the checks let through must come back from the driver's own bytes unchanged."""

from __future__ import annotations

import ipaddress
import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from cassandra import cqltypes
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver import scalars
from prefect_cassandra.driver.answers import converter
from prefect_cassandra.driver.cqltype import CqlType, from_driver
from prefect_cassandra.driver.types import element_checker
from support.cql_types import durations, integers, moment

MILLISECONDS = st.integers(
    int(datetime(1, 1, 1, tzinfo=UTC).timestamp() * 1000),
    int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp() * 1000),
)


SCALARS = {
    cqltypes.ByteType: integers(8),
    cqltypes.ShortType: integers(16),
    cqltypes.Int32Type: integers(32),
    cqltypes.LongType: integers(64),
    cqltypes.IntegerType: st.integers(-(2**200), 2**200),
    cqltypes.DoubleType: st.floats(allow_nan=False),
    cqltypes.FloatType: st.floats(allow_nan=False, width=32),
    cqltypes.BooleanType: st.booleans(),
    cqltypes.UTF8Type: st.text(st.characters(codec="utf-8")),
    cqltypes.AsciiType: st.text(st.characters(codec="ascii")),
    cqltypes.BytesType: st.binary(),
    cqltypes.DecimalType: st.decimals(allow_nan=False, allow_infinity=False),
    cqltypes.UUIDType: st.uuids(),
    cqltypes.InetAddressType: st.ip_addresses().map(str),
    cqltypes.TimestampType: MILLISECONDS.map(moment),
    cqltypes.SimpleDateType: st.dates(),
    cqltypes.TimeType: st.times(),
    cqltypes.DurationType: durations(),
}


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[Any, Any]:
    kind = draw(st.sampled_from(list(SCALARS)))
    return kind, draw(SCALARS[kind])


def through_the_driver(kind: Any, value: Any) -> Any:
    tree = from_driver(kind)
    bound = element_checker(tree)(value, "here")
    stored = kind.from_binary(kind.to_binary(bound, 5), 5)
    convert = converter(tree)
    return stored if convert is None or stored is None else convert(stored)


def alike(kind: Any, value: Any) -> Any:
    if kind is cqltypes.DecimalType:
        return Decimal(value)
    if kind is cqltypes.InetAddressType:
        # Of the many spellings of an address the driver gives the C library's: `::ffff:0.0.0.0`.
        packed = ipaddress.ip_address(value).packed
        return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    return value


@given(typed_values())
def test_scalar_comes_back_as_it_went_in(typed: Any) -> None:
    kind, value = typed

    assert through_the_driver(kind, value) == alike(kind, value)


@given(typed_values(), st.data())
def test_collections_come_back_as_they_went_in(typed: Any, data: Any) -> None:
    kind, _ = typed
    values = data.draw(st.lists(SCALARS[kind].map(lambda value: alike(kind, value)), max_size=5))
    listed = cqltypes.ListType.apply_parameters([kind])
    mapped = cqltypes.MapType.apply_parameters([cqltypes.Int32Type, kind])

    assert through_the_driver(listed, values) == values
    assert through_the_driver(mapped, dict(enumerate(values))) == dict(enumerate(values))


@given(st.lists(st.lists(integers(32), max_size=3), max_size=3, unique_by=tuple))
def test_set_of_lists_comes_back_as_a_list_because_lists_cannot_be_hashed(values: Any) -> None:
    kind = cqltypes.SetType.apply_parameters(
        [cqltypes.ListType.apply_parameters([cqltypes.Int32Type])]
    )

    assert sorted(through_the_driver(kind, values)) == sorted(values)


@given(st.tuples(st.none() | integers(32), st.none() | st.uuids()))
def test_tuple_and_user_type_come_back_with_their_nulls(value: Any) -> None:
    parts = (cqltypes.Int32Type, cqltypes.UUIDType)
    pair = cqltypes.TupleType.apply_parameters(parts)
    user = cqltypes.UserType.make_udt_class("ks", "pair", ("number", "id"), parts)
    named = dict(zip(("number", "id"), value, strict=True))

    assert through_the_driver(pair, value) == value
    assert through_the_driver(user, named) == named


def test_uuid_text_and_object_are_the_same_value() -> None:
    text = "6f9619ff-8b86-4011-b42d-00cf4fc964ff"

    assert through_the_driver(cqltypes.UUIDType, text) == UUID(text)


@pytest.mark.parametrize("year", [1, 1969, 2026, 2243, 9999])
def test_timestamp_keeps_its_milliseconds_in_every_century(year: Any) -> None:
    value = datetime(year, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)

    assert through_the_driver(cqltypes.TimestampType, value) == value


def test_every_scalar_type_but_those_that_need_a_server_is_covered() -> None:
    names = {from_driver(kind).name for kind in SCALARS}

    assert set(scalars.SCALARS) - names == {"counter", "custom", "timeuuid"}
    assert CqlType("int").name in names
