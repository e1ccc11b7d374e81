"""Which Arrow type holds which CQL type, both ways: one table for reading, writing and the docs.

Reading knows the CQL type alone, so an empty answer has the same schema as a full one. Writing
takes every Arrow type from which each value can be written exactly or refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as pt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prefect_cassandra.driver.cqltype import CqlType

DURATION = pa.struct([("months", pa.int32()), ("days", pa.int32()), ("nanoseconds", pa.int64())])
_UUID_BYTES = 16  # RFC 9562
_Accepts = tuple[tuple[str, "Callable[[pa.DataType], bool]"], ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """What one scalar CQL type is in Arrow.

    Attributes:
        read: The Arrow type of the values that come out.
        written_from: Arrow types that can go in: what to call them and how to tell them.
        width: Bytes of each value on the wire (native protocol v5, section 6); 0 when they vary.
        note: What is refused or changed.
    """

    read: pa.DataType
    written_from: _Accepts
    width: int = 0
    note: str = ""

    def accepts(self, kind: pa.DataType) -> bool:
        """Tell whether values of an Arrow type can go into this CQL type."""
        return any(test(kind) for _, test in self.written_from)


def is_text(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type holds text."""
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type holds bytes, of one length or of any."""
    return bool(
        pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_binary_view(kind)
        or pt.is_fixed_size_binary(kind)
    )


def is_uuid(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type holds the 16 bytes of a UUID."""
    storage = getattr(kind, "storage_type", kind)
    return bool(pt.is_fixed_size_binary(storage) and storage.byte_width == _UUID_BYTES)


def is_duration(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type holds months, days and nanoseconds, each by itself."""
    return bool(pt.is_interval(kind)) or (
        pt.is_struct(kind) and {field.name for field in kind} == {field.name for field in DURATION}
    )


_INTEGER = ("any integer", pt.is_integer)
_FLOAT = ("any float", pt.is_floating)
_DECIMAL = ("any decimal", pt.is_decimal)
_TEXT = ("any string", is_text)
_BINARY = ("any binary", is_binary)
_UUID = ("uuid, fixed_size_binary[16]", is_uuid)
_RANGE = "A value out of range is refused."
_EXACT = "An integer that has no exact twin is refused."

SCALARS: dict[str, Scalar] = {
    "ascii": Scalar(pa.string(), (_TEXT, _BINARY), note="A value that is not ASCII is refused."),
    "bigint": Scalar(pa.int64(), (_INTEGER,), 8, _RANGE),
    "blob": Scalar(pa.binary(), (_BINARY,)),
    "boolean": Scalar(pa.bool_(), (("bool", pt.is_boolean),), 1),
    "counter": Scalar(pa.int64(), (), 8, "Read only: a counter can only be added to."),
    "date": Scalar(pa.date32(), (("date32, date64", pt.is_date),), 4),
    "decimal": Scalar(
        pa.decimal128(38, 18),
        (_DECIMAL, _INTEGER, _TEXT),
        note="CQL's decimal has no bound. Read: a value that does not fit exactly is refused.",
    ),
    "double": Scalar(pa.float64(), (_FLOAT, _INTEGER), 8, _EXACT),
    "duration": Scalar(
        pa.month_day_nano_interval(),
        (("month_day_nano_interval, struct of months, days, nanoseconds", is_duration),),
        note="Months, days and nanoseconds must have one sign.",
    ),
    "float": Scalar(
        pa.float32(),
        (_FLOAT, _INTEGER),
        4,
        f"A double is rounded to the nearest float; one out of range is refused. {_EXACT}",
    ),
    "inet": Scalar(pa.string(), (_TEXT,), note="The text of an IPv4 or IPv6 address."),
    "int": Scalar(pa.int32(), (_INTEGER,), 4, _RANGE),
    "smallint": Scalar(pa.int16(), (_INTEGER,), 2, _RANGE),
    "text": Scalar(pa.string(), (_TEXT, _BINARY), note="Binary that is not UTF-8 is refused."),
    "time": Scalar(pa.time64("ns"), (("time32, time64", pt.is_time),), 8),
    "timestamp": Scalar(
        pa.timestamp("ms", "UTC"),
        (("timestamp with a time zone", pt.is_timestamp),),
        8,
        "Times without a zone, finer than a millisecond or outside the years 1 to 9999 are "
        "refused.",
    ),
    "timeuuid": Scalar(
        pa.uuid(), (_UUID, _TEXT), 16, "A UUID of another version than 1 is refused."
    ),
    "tinyint": Scalar(pa.int8(), (_INTEGER,), 1, _RANGE),
    "uuid": Scalar(pa.uuid(), (_UUID, _TEXT), 16),
    "varint": Scalar(
        pa.decimal128(38, 0),
        (_INTEGER, _DECIMAL, _TEXT),
        note="CQL's varint has no bound. Read: a value of more than 38 digits is refused.",
    ),
}
# Types made of others: what they are in Arrow, `T` being the element's own type in this table.
NESTED: dict[str, tuple[str, str]] = {
    "list<T>, set<T>": ("list<T>", "list, large_list, fixed_size_list of what T takes"),
    "map<K, V>": ("map<K, V>", "map of what K and V take"),
    "tuple<A, B>": ("struct<0: A, 1: B>", "struct of what A and B take, in order"),
    "vector<T, n>": ("fixed_size_list<T>[n]", "lists of n values of what T takes"),
    "user-defined type": ("struct of its fields", "struct of its fields, by name"),
    "custom": ("binary", "any binary"),
}


def arrow_type(
    kind: CqlType, instead: Mapping[str, pa.DataType] = MappingProxyType({})
) -> pa.DataType:
    """Return the Arrow type that values of a CQL type are read as; `binary` for custom types.

    Args:
        kind: The CQL type.
        instead: Other Arrow types for some scalar CQL types, by name, at any depth.
    """
    inner = [arrow_type(arg, instead) for arg in kind.args]
    match kind.name:
        case "list" | "set":
            return pa.list_(inner[0])
        case "vector":
            return pa.list_(inner[0], kind.size)
        case "map":
            return pa.map_(*inner)
        case "tuple":
            return pa.struct([(str(place), one) for place, one in enumerate(inner)])
        case "udt":
            return pa.struct(list(zip(kind.fields, inner, strict=True)))
    scalar = SCALARS.get(kind.name)
    return instead.get(kind.name, pa.binary() if scalar is None else scalar.read)
