"""Random CQL types with random values of them, as the driver's classes, for property tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from cassandra import cqltypes
from hypothesis import strategies as st

from prefect_cassandra.driver.types import Duration

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Typed:
    """One type: the driver's class, its values, and how Arrow takes a value."""

    driver: Any
    values: st.SearchStrategy[Any]
    arrow: Callable[[Any], Any] = lambda value: value


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@st.composite
def durations(draw: st.DrawFn) -> Duration:
    sign = draw(st.sampled_from([1, -1]))
    parts = [draw(st.integers(0, 2 ** (bits - 1) - 1)) for bits in (32, 32, 63)]
    return Duration(*(sign * part for part in parts))


def moment(milliseconds: int) -> datetime:
    """Return a time by the milliseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


SCALARS = [
    Typed(cqltypes.ByteType, integers(8)),
    Typed(cqltypes.ShortType, integers(16)),
    Typed(cqltypes.Int32Type, integers(32)),
    Typed(cqltypes.LongType, integers(64)),
    Typed(cqltypes.IntegerType, st.integers(-(10**38) + 1, 10**38 - 1)),
    Typed(cqltypes.DoubleType, st.floats()),
    Typed(cqltypes.FloatType, st.floats(width=32)),
    Typed(cqltypes.BooleanType, st.booleans()),
    Typed(cqltypes.UTF8Type, st.text(st.characters(codec="utf-8"))),
    Typed(cqltypes.AsciiType, st.text(st.characters(codec="ascii"))),
    Typed(cqltypes.BytesType, st.binary()),
    Typed(
        cqltypes.DecimalType,
        st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}e-18")),
    ),
    Typed(cqltypes.UUIDType, st.uuids(), lambda value: value.bytes),
    Typed(cqltypes.TimeUUIDType, st.uuids(version=1), lambda value: value.bytes),
    Typed(cqltypes.InetAddressType, st.ip_addresses().map(str)),
    Typed(
        cqltypes.TimestampType,
        st.integers(-62_135_596_800_000, 253_402_300_799_999).map(moment),
    ),
    Typed(cqltypes.SimpleDateType, st.dates(date.min, date.max)),
    Typed(cqltypes.TimeType, st.times(time.min, time.max)),
    Typed(
        cqltypes.DurationType,
        durations(),
        lambda value: pa.MonthDayNano([value.months, value.days, value.nanoseconds]),
    ),
]


def _list(inner: Typed, driver: Any) -> Typed:
    return Typed(
        driver.apply_parameters([inner.driver]),
        st.lists(inner.values, max_size=3),
        lambda value: [inner.arrow(one) for one in value],
    )


def _vector(inner: Typed, size: int) -> Typed:
    return Typed(
        cqltypes.VectorType.apply_parameters([inner.driver, size], None),
        st.lists(inner.values, min_size=size, max_size=size),
        lambda value: [inner.arrow(one) for one in value],
    )


def _map(key: Typed, value: Typed) -> Typed:
    return Typed(
        cqltypes.MapType.apply_parameters([key.driver, value.driver]),
        st.lists(st.tuples(key.values, value.values), max_size=3),
        lambda pairs: [(key.arrow(k), value.arrow(v)) for k, v in pairs],
    )


def _tuple(parts: list[Typed]) -> Typed:
    return Typed(
        cqltypes.TupleType.apply_parameters([part.driver for part in parts]),
        st.tuples(*(st.none() | part.values for part in parts)),
        lambda value: {
            str(place): None if one is None else part.arrow(one)
            for place, (part, one) in enumerate(zip(parts, value, strict=True))
        },
    )


def _user_type(parts: list[Typed]) -> Typed:
    names = tuple(f"f{place}" for place in range(len(parts)))
    drivers = tuple(part.driver for part in parts)
    by_name = dict(zip(names, parts, strict=True))
    return Typed(
        cqltypes.UserType.make_udt_class("ks", "made", names, drivers),
        st.fixed_dictionaries({name: st.none() | part.values for name, part in by_name.items()}),
        lambda value: {
            name: None if one is None else by_name[name].arrow(one) for name, one in value.items()
        },
    )


def _nested(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(_list, inner, st.sampled_from([cqltypes.ListType, cqltypes.SetType])),
        st.builds(_map, inner, inner),
        st.builds(_vector, inner, st.integers(1, 3)),
        st.builds(_tuple, several),
        st.builds(_user_type, several),
    )


def any_type() -> st.SearchStrategy[Typed]:
    """Return types of any depth."""
    return st.recursive(st.sampled_from(SCALARS), _nested, max_leaves=4)
