"""Columns of values into the bytes that CQL sends for them, whole columns at a time.

The native protocol (v5 specification, section 6) sends numbers big-endian, a timestamp as signed
milliseconds, a date as unsigned days with 1970-01-01 at 2^31, a time as nanoseconds of the day. For
these, numpy writes a column in one stroke: about 30 ns per value where binding takes 700. All other
types go value by value through the driver room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from prefect_cassandra.driver.types import Duration
from prefect_cassandra.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

_INTEGERS = {"tinyint": ">i1", "smallint": ">i2", "int": ">i4", "bigint": ">i8"}
_FLOATS = {"float": ">f4", "double": ">f8"}
_TEXTS = ("text", "varchar", "ascii")
# Integers up to here have an exact floating-point twin.
_EXACT_INTEGERS = {"float": 2**24, "double": 2**53}
_DATE_OFFSET = 2**31
# Years 1 to 9999. The server takes more, but then no Python client can read the page it is on.
_TIMESTAMP_RANGE = (-62_135_596_800_000, 253_402_300_799_999)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MAX_SHOWN = 40
# Lists of exactly these Python types become Arrow arrays without loss.
_LIST_TYPES = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A value that cannot be sent: its row inside the chunk and what is wrong with it."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A column ready to send.

    Attributes:
        values: Bytes per row, None where the value is missing or a problem.
        widest: Length of the longest value.
        problems: The values that cannot be sent.
    """

    values: list[bytes | None]
    widest: int
    problems: list[Problem]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_binary_view(kind)
        or pt.is_fixed_size_binary(kind)
    )


def _is_uuid(kind: pa.DataType) -> bool:
    storage = getattr(kind, "storage_type", kind)
    return bool(pt.is_fixed_size_binary(storage) and storage.byte_width == 16)  # noqa: PLR2004 -- RFC 9562


_ACCEPTS: dict[str, Callable[[pa.DataType], bool]] = {
    **dict.fromkeys(_INTEGERS, pt.is_integer),
    **dict.fromkeys(_FLOATS, lambda kind: pt.is_floating(kind) or pt.is_integer(kind)),
    **dict.fromkeys(_TEXTS, _is_text),
    "varint": lambda kind: pt.is_integer(kind) or pt.is_decimal(kind),
    "decimal": lambda kind: pt.is_decimal(kind) or pt.is_integer(kind),
    "boolean": pt.is_boolean,
    "blob": _is_bytes,
    "timestamp": pt.is_timestamp,
    "date": pt.is_date,
    "time": pt.is_time,
    "uuid": lambda kind: _is_uuid(kind) or _is_text(kind),
    "timeuuid": lambda kind: _is_uuid(kind) or _is_text(kind),
    "inet": _is_text,
    "duration": pt.is_interval,
}


def mismatch(kind: pa.DataType, cql_type: str, *, nan_is_missing: bool = False) -> str | None:
    """Tell why an Arrow type cannot go into a CQL type; None when it can or the values decide."""
    if pt.is_null(kind):
        return None
    if cql_type == "timestamp" and pt.is_timestamp(kind) and kind.tz is None:
        return "times without a time zone; say which zone they are in (in pandas `tz_localize`)"
    if cql_type in _INTEGERS and pt.is_floating(kind):
        # pandas turns whole numbers with gaps into floats; elsewhere a float here is a mistake.
        return None if nan_is_missing else f"{kind} values; cast them to whole numbers first"
    accepts = _ACCEPTS.get(cql_type)
    return f"{kind} values" if accepts is not None and not accepts(kind) else None


def encode(
    column: pa.Array | list[Any],
    cql_type: str,
    encode_value: Callable[[Any], bytes],
    *,
    nan_is_missing: bool = False,
) -> Encoded:
    """Encode one column of a chunk.

    Args:
        column: Arrow array or Python values.
        cql_type: The target's type, e.g. `bigint` or `frozen<list<int>>`.
        encode_value: Checks and encodes one Python value; raises `DataError` when it does not fit.
        nan_is_missing: Whether NaN counts as a missing value.
    """
    if isinstance(column, list):
        column = _as_array(column)
    if isinstance(column, list):
        return _one_by_one(column, encode_value)
    if nan_is_missing and pt.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    encoded = _whole_column(column, cql_type, nan_is_missing=nan_is_missing)
    return encoded or _one_by_one(_python_values(column, cql_type), encode_value)


def _as_array(values: list[Any]) -> pa.Array | list[Any]:
    """Return values of one simple Python type as an Arrow array, others as they are."""
    kinds = set(map(type, values)) - {type(None)}
    arrow = _LIST_TYPES.get(kinds.pop()) if len(kinds) == 1 else None
    if arrow is None:
        return values
    try:
        return pa.array(values, arrow)
    except (OverflowError, pa.ArrowInvalid):  # an int beyond 64 bits, a lone surrogate
        return values


def _python_values(column: pa.Array, cql_type: str) -> list[Any]:
    """Return a column's values in the form that the driver room's checks take."""
    if pt.is_fixed_size_binary(column.type) and _is_uuid(column.type):
        return list(pa.ExtensionArray.from_storage(pa.uuid(), column).to_pylist())
    values: list[Any] = column.to_pylist(maps_as_pydicts="strict")
    if pt.is_interval(column.type):
        return [None if value is None else Duration(*value) for value in values]
    if cql_type == "varint" and pt.is_decimal(column.type):
        return [
            int(value) if value is not None and value == value.to_integral_value() else value
            for value in values
        ]
    return values


def _one_by_one(values: list[Any], encode_value: Callable[[Any], bytes]) -> Encoded:
    encoded: list[bytes | None] = []
    problems: list[Problem] = []
    for row, value in enumerate(values):
        if value is None:
            encoded.append(None)
            continue
        try:
            encoded.append(encode_value(value))
        except DataError as error:
            encoded.append(None)
            # The driver room's checks name a place first; here that is the caller's business.
            reason = f"{error.message.removeprefix(': ')} {error.hint}".strip()
            problems.append(Problem(row, reason))
    widest = max((len(value) for value in encoded if value is not None), default=0)
    return Encoded(encoded, widest, problems)


def _whole_column(  # noqa: PLR0911 -- one line per pair of types
    column: pa.Array, cql_type: str, *, nan_is_missing: bool
) -> Encoded | None:
    """Encode a column that numpy can write in one stroke; None when it cannot."""
    kind = column.type
    if cql_type in _INTEGERS and (pt.is_integer(kind) or (nan_is_missing and pt.is_floating(kind))):
        return _integers(column, _INTEGERS[cql_type], cql_type)
    if cql_type in _FLOATS and (pt.is_floating(kind) or pt.is_integer(kind)):
        return _floats(column, _FLOATS[cql_type], cql_type)
    if cql_type in _TEXTS and _is_text(kind):
        return _texts(column, ascii_only=cql_type == "ascii")
    if cql_type == "timestamp" and pt.is_timestamp(kind) and kind.tz is not None:
        return _timestamps(column)
    if cql_type == "date" and pt.is_date(kind):
        days = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
        return _fixed(pc.add(days, _DATE_OFFSET), ">u4", [])
    if cql_type == "time" and pt.is_time(kind):
        return _fixed(column.cast(pa.time64("ns")).cast(pa.int64()), ">i8", [])
    if cql_type == "boolean" and pt.is_boolean(kind):
        return _fixed(column.cast(pa.uint8()), ">u1", [])
    if cql_type == "uuid" and _is_uuid(kind):
        return _bytes(getattr(column, "storage", column), [])
    if cql_type == "blob" and _is_bytes(kind):
        return _bytes(column, [])
    return None


def _fixed(column: pa.Array, wire: str, problems: list[Problem]) -> Encoded:
    """Write a column of numbers that are known to fit as `wire`, a big-endian numpy type."""
    gone = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    filled = column if gone is None else column.fill_null(0)
    numbers = np.ascontiguousarray(filled.to_numpy(zero_copy_only=False), dtype=wire)
    values: list[bytes | None] = numbers.view(f"V{numbers.itemsize}").tolist()
    if gone is not None:
        for row in np.flatnonzero(gone).tolist():
            values[row] = None
    return Encoded(values, numbers.itemsize, problems)


def _bytes(column: pa.Array, problems: list[Problem]) -> Encoded:
    column = column.cast(pa.large_binary())
    widest = pc.max(pc.binary_length(column)).as_py() or 0
    return Encoded(column.to_numpy(zero_copy_only=False).tolist(), widest, problems)


def _take_out(
    column: pa.Array, bad: pa.Array, reason: Callable[[Any], str]
) -> tuple[pa.Array, list[Problem]]:
    """Blank the values that `bad` marks and give a problem for each."""
    rows = np.flatnonzero(bad.fill_null(False).to_numpy(zero_copy_only=False)).tolist()  # noqa: FBT003 -- a value
    if not rows:
        return column, []
    problems = [Problem(row, reason(_shown(column[row]))) for row in rows]
    return pc.if_else(bad, pa.scalar(None, column.type), column), problems


def _shown(scalar: pa.Scalar) -> str:
    """Return a value for an error message, cut short."""
    # Arrow's own text form also knows nanoseconds and needs no time zone data.
    text = str(scalar.cast(pa.string()))
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _integers(column: pa.Array, wire: str, cql_type: str) -> Encoded:
    problems: list[Problem] = []
    if pt.is_floating(column.type):
        # Doubles beyond 2^53 are whole by nature, not by meaning: the digits are already lost.
        whole = pc.and_(
            pc.equal(pc.floor(column), column), pc.less_equal(pc.abs(column), float(2**53))
        )
        column, problems = _take_out(
            column,
            pc.invert(whole),
            lambda value: f"{value} is no whole number that {cql_type} holds",
        )
        column = column.cast(pa.int64())
    limits = np.iinfo(wire)
    narrower = column.type.bit_width < limits.bits or (
        column.type.bit_width == limits.bits and pt.is_signed_integer(column.type)
    )
    if not narrower:
        extremes = pc.min_max(column).as_py()
        if extremes["min"] is not None and not (
            limits.min <= extremes["min"] and extremes["max"] <= limits.max
        ):
            column, outside = _outside(column, int(limits.min), int(limits.max), cql_type)
            problems += outside
    return _fixed(column, wire, problems)


def _outside(column: pa.Array, low: int, high: int, what: str) -> tuple[pa.Array, list[Problem]]:
    """Take out the integers below `low` or above `high`."""
    bad = pc.greater(column, pa.scalar(high, column.type))
    if pt.is_signed_integer(column.type):
        bad = pc.or_(bad, pc.less(column, pa.scalar(low, column.type)))
    return _take_out(column, bad, lambda value: f"{value} is out of the range of {what}")


def _floats(column: pa.Array, wire: str, cql_type: str) -> Encoded:
    problems: list[Problem] = []
    exact = _EXACT_INTEGERS[cql_type]
    if pt.is_integer(column.type) and 2**column.type.bit_width > exact:
        bad = pc.greater(column, exact)
        if pt.is_signed_integer(column.type):
            bad = pc.or_(bad, pc.less(column, -exact))
        column, problems = _take_out(column, bad, lambda value: f"{value} has no exact {cql_type}")
    elif wire == ">f4" and column.type == pa.float64():
        largest = float(np.finfo(np.float32).max)
        bad = pc.and_(pc.is_finite(column), pc.greater(pc.abs(column), largest))
        column, problems = _take_out(
            column, bad, lambda value: f"{value} is out of the range of float"
        )
    return _fixed(column, wire, problems)


def _texts(column: pa.Array, *, ascii_only: bool) -> Encoded:
    if not ascii_only:
        return _bytes(column, [])
    bad = pc.invert(pc.string_is_ascii(column))
    column, problems = _take_out(column, bad, lambda value: f"{value!r} is not ASCII")
    return _bytes(column, problems)


def _timestamps(column: pa.Array) -> Encoded:
    """Write exact milliseconds; finer parts are refused, never cut off."""
    per_second = _PER_SECOND[column.type.unit]
    problems: list[Problem] = []
    ticks = column.cast(pa.int64())
    if per_second > 1000:  # noqa: PLR2004 -- milliseconds
        per_milli = per_second // 1000
        millis = pc.divide(ticks, per_milli)
        column, problems = _take_out(
            column,
            pc.not_equal(ticks, pc.multiply(millis, per_milli)),
            lambda value: f"{value} is finer than the millisecond that timestamp holds",
        )
        ticks = pc.divide(column.cast(pa.int64()), per_milli)
    factor = 1000 if per_second == 1 else 1
    low, high = (limit // factor for limit in _TIMESTAMP_RANGE)
    bad = pc.or_(pc.less(ticks, low), pc.greater(ticks, high))
    ticks, outside = _take_out(
        ticks, bad, lambda value: f"{value} since 1970 is outside the years 1 to 9999"
    )
    return _fixed(pc.multiply(ticks, factor), ">i8", problems + outside)
