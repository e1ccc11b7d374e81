"""Columns of values checked and encoded as CQL sends them, whole columns at a time.

The native protocol (v5 specification, section 6) sends numbers big-endian, a timestamp as signed
milliseconds, a date as unsigned days with 1970-01-01 at 2^31, a time as nanoseconds of the day. For
these, text, bytes, UUIDs and vectors no value is looked at by itself. The remaining types go value
by value through the driver room.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from prefect_cassandra.driver.arrow_types import SCALARS, is_binary, is_text, is_uuid
from prefect_cassandra.driver.encoded import Cells, FixedCells, VariedCells
from prefect_cassandra.driver.types import Duration
from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.nested import encode_nested

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from prefect_cassandra.driver.encoded import ValueEncoder

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
_VERSION_1 = 0x10
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
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
        cells: A value per row, missing where it is null or a problem.
        problems: The values that cannot be sent.
    """

    cells: Cells
    problems: list[Problem]


def mismatch(kind: pa.DataType, cql_type: str, *, nan_is_missing: bool = False) -> str | None:
    """Tell why an Arrow type cannot go into a CQL type; None when it can or the values decide."""
    if pt.is_null(kind):
        return None
    if cql_type == "timestamp" and pt.is_timestamp(kind) and kind.tz is None:
        return "times without a time zone; say which zone they are in (in pandas `tz_localize`)"
    if cql_type in _INTEGERS and pt.is_floating(kind):
        # pandas turns whole numbers with gaps into floats; elsewhere a float here is a mistake.
        return None if nan_is_missing else f"{kind} values; cast them to whole numbers first"
    known = SCALARS.get("text" if cql_type == "varchar" else cql_type)
    return f"{kind} values" if known is not None and not known.accepts(kind) else None


def encode(
    column: pa.Array | list[Any], encoder: ValueEncoder, *, nan_is_missing: bool = False
) -> Encoded:
    """Encode one column of a chunk.

    Args:
        column: Arrow array or Python values.
        encoder: Knows the target's type, and checks and encodes what must go value by value.
        nan_is_missing: Whether NaN counts as a missing value.
    """
    if isinstance(column, list):
        column = _as_array(column)
    if isinstance(column, list):
        return _one_by_one(column, encoder)
    if nan_is_missing and pt.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    cql_type = encoder.kind.name
    encoded = _whole_column(column, cql_type, nan_is_missing=nan_is_missing)
    if encoded is None:
        nested = encode_nested(column, encoder, _elements)
        if nested is not None:
            cells, problems = nested
            encoded = Encoded(cells, [Problem(*one) for one in sorted(problems.items())])
    return encoded or _one_by_one(_python_values(column, cql_type), encoder)


def _elements(column: pa.Array, encoder: ValueEncoder) -> tuple[Cells, dict[int, str]]:
    """Encode a column of elements of another."""
    encoded = encode(column, encoder)
    return encoded.cells, {problem.row: problem.reason for problem in encoded.problems}


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
    if pt.is_fixed_size_binary(column.type) and is_uuid(column.type):
        return list(pa.ExtensionArray.from_storage(pa.uuid(), column).to_pylist())
    values: list[Any] = column.to_pylist(maps_as_pydicts="strict")
    make = _MADE_OF.get((cql_type, _form(column.type)))
    return values if make is None else [None if one is None else make(one) for one in values]


def _form(kind: pa.DataType) -> str:
    """Return which of the forms in `_MADE_OF` an Arrow type has."""
    if pt.is_decimal(kind):
        return "decimal"
    if is_text(kind):
        return "text"
    return "struct" if pt.is_struct(kind) else "interval" if pt.is_interval(kind) else ""


def _whole(value: Decimal) -> int | Decimal:
    return int(value) if value == value.to_integral_value() else value


def _integer(text: str) -> int | str:
    return int(text) if _INTEGER.fullmatch(text) else text


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except ArithmeticError:
        return text


def _from_parts(parts: dict[str, int]) -> Duration | dict[str, int]:
    if None in parts.values():
        return parts
    return Duration(parts["months"], parts["days"], parts["nanoseconds"])


# What Arrow's Python values are turned into first; what cannot be is left for the check to refuse.
_MADE_OF: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("duration", "interval"): lambda parts: Duration(*parts),
    ("duration", "struct"): _from_parts,
    ("varint", "decimal"): _whole,
    ("varint", "text"): _integer,
    ("decimal", "text"): _decimal,
}


def _one_by_one(values: list[Any], encoder: ValueEncoder) -> Encoded:
    encoded: list[bytes | None] = []
    problems: list[Problem] = []
    for row, value in enumerate(values):
        if value is None:
            encoded.append(None)
            continue
        try:
            encoded.append(encoder.encode(value))
        except DataError as error:
            encoded.append(None)
            # The driver room's checks name a place first; here that is the caller's business.
            reason = f"{error.message.removeprefix(': ')} {error.hint}".strip()
            problems.append(Problem(row, reason))
    return Encoded(VariedCells(pa.array(encoded, pa.large_binary())), problems)


def _whole_column(  # noqa: PLR0911 -- one line per pair of types
    column: pa.Array, cql_type: str, *, nan_is_missing: bool
) -> Encoded | None:
    """Encode a column without looking at single values; None when that cannot be done."""
    kind = column.type
    if cql_type in _INTEGERS and (pt.is_integer(kind) or (nan_is_missing and pt.is_floating(kind))):
        return _integers(column, _INTEGERS[cql_type], cql_type)
    if cql_type in _FLOATS and (pt.is_floating(kind) or pt.is_integer(kind)):
        return _floats(column, _FLOATS[cql_type], cql_type)
    if cql_type in _TEXTS and (is_text(kind) or is_binary(kind)):
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
    if cql_type in ("uuid", "timeuuid") and is_uuid(kind):
        return _uuids(column, cql_type)
    if cql_type == "blob" and is_binary(kind):
        return _bytes(column, [])
    return None


def _fixed(column: pa.Array, wire: str, problems: list[Problem]) -> Encoded:
    """Take a column of numbers that are known to fit as `wire`, a big-endian numpy type."""
    missing, filled = None, column
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        filled = column.fill_null(0)
    numbers = filled.to_numpy(zero_copy_only=False)
    return Encoded(FixedCells(numbers, np.dtype(wire), missing), problems)


def _bytes(column: pa.Array, problems: list[Problem]) -> Encoded:
    return Encoded(VariedCells(column.cast(pa.large_binary())), problems)


def _uuids(column: pa.Array, cql_type: str) -> Encoded:
    stored = getattr(column, "storage", column)
    problems: list[Problem] = []
    if cql_type == "timeuuid":
        # The version is the upper half of the seventh byte (RFC 9562, section 4.2).
        version = _raw(stored, 16)[:, 6] & 0xF0
        bad = pc.and_(pa.array(version != _VERSION_1), stored.is_valid())
        text = pa.ExtensionArray.from_storage(pa.uuid(), stored)
        problems = [
            Problem(row, f"{text[row].as_py()} is not a version 1 UUID")
            for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)).tolist()
        ]
        if problems:
            stored = pc.if_else(bad, pa.scalar(None, stored.type), stored)
    kind = np.dtype("V16")
    missing = None
    if stored.null_count:
        missing = stored.is_null().to_numpy(zero_copy_only=False)
    return Encoded(FixedCells(_raw(stored, 16).reshape(-1).view(kind), kind, missing), problems)


def _raw(column: pa.FixedSizeBinaryArray, width: int) -> NDArray[np.uint8]:
    """Return the bytes of a column of fixed width, a line per value; a null's are anything."""
    held = column.buffers()[1]
    if held is None:
        return np.zeros((len(column), width), np.uint8)
    start, stop = column.offset * width, (column.offset + len(column)) * width
    return np.frombuffer(held, np.uint8)[start:stop].reshape(-1, width)


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
    raw, problems = _valid_utf8(column.cast(pa.large_binary()))
    if ascii_only:
        text = raw.cast(pa.large_string())
        bad = pc.invert(pc.string_is_ascii(text))
        text, foreign = _take_out(text, bad, lambda value: f"{value!r} is not ASCII")
        raw, problems = text.cast(pa.large_binary()), problems + foreign
    return Encoded(VariedCells(raw), problems)


def _valid_utf8(column: pa.LargeBinaryArray) -> tuple[pa.LargeBinaryArray, list[Problem]]:
    """Take out what is not UTF-8; Arrow does not look at text that was made elsewhere."""
    try:
        column.cast(pa.large_string())
    except pa.ArrowInvalid:
        pass
    else:
        return column, []
    problems: list[Problem] = []
    for row, value in enumerate(column.to_pylist()):
        try:
            (value or b"").decode()
        except UnicodeDecodeError as error:
            found = value[error.start : error.start + 1].hex()
            problems.append(Problem(row, f"byte {error.start} (0x{found}) is not UTF-8"))
    bad = np.zeros(len(column), bool)
    bad[[problem.row for problem in problems]] = True
    return pc.if_else(pa.array(bad), pa.scalar(None, column.type), column), problems


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
