"""The checks of single values, one per CQL type; `types` puts them together."""

from __future__ import annotations

import ipaddress
import math
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from cassandra.util import Date, Duration, Time

from prefect_cassandra.errors import DataError

Where = str | Callable[[], str]
Check = Callable[[object, Where], Any]

_FLOAT_MAX = float(np.finfo(np.float32).max)
_MISSING = ("NaTType", "NAType")
_MILLISECOND = 1000
_NULL_ADVICE = "Use None to write null, or UNSET to leave the cell as it is."


def refuse(where: Where, why: str, hint: str = "") -> DataError:
    """Return the error for a value in this place."""
    place = where() if callable(where) else where
    return DataError(f"{place}: {why}.", hint=hint)


def plain(value: object) -> Any:
    """Return the Python object inside a pyarrow scalar; anything else as it is."""
    return value.as_py() if hasattr(value, "as_py") else value


def _wrong(value: object, asked: str, where: Where, hint: str = "") -> DataError:
    """Return the error for a value of a wrong kind, telling missing values apart."""
    if _is_missing(value):
        return refuse(where, f"{value!r} means missing, which {asked} cannot hold", _NULL_ADVICE)
    return refuse(where, f"{value!r} ({type(value).__name__}) is not {asked}", hint)


def _is_missing(value: object) -> bool:
    if type(value).__name__ in _MISSING:
        return True
    if isinstance(value, float | np.floating):
        return bool(value != value)  # noqa: PLR0124 -- what NaN is: the one value unequal to itself
    return isinstance(value, np.datetime64 | np.timedelta64) and bool(np.isnat(value))


def _integer(name: str, bits: int | None) -> Check:
    """Check whole numbers; `bits` None means any size."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if bits else (-math.inf, math.inf)

    def check(value: object, where: Where) -> Any:
        if type(value) is not int:
            value = _as_integer(value, name, where)
        if not low <= value <= high:
            raise refuse(where, f"{value} is out of range for {name} ({low} to {high})")
        return value

    return check


def _as_integer(value: object, name: str, where: Where) -> int:
    value = plain(value)
    if isinstance(value, bool | np.bool_):
        raise _wrong(value, name, where, "Write 0 or 1 if that is what is meant.")
    if isinstance(value, int | np.integer):
        return int(value)
    hint = ""
    if isinstance(value, float | np.floating):
        hint = (
            "Convert it with int(); pandas turns whole numbers with gaps into floats (use Int64)."
        )
    raise _wrong(value, name, where, hint)


def _floating(name: str, largest: float) -> Check:
    def check(value: object, where: Where) -> Any:
        if type(value) is not float:
            value = _as_float(value, name, where)
        if (value > largest or value < -largest) and not math.isinf(value):
            raise refuse(where, f"{value} is out of range for {name}")
        return value

    return check


def _as_float(value: object, name: str, where: Where) -> float:
    value = plain(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        try:
            exact = float(number)
        except OverflowError:
            raise refuse(where, f"{number} is out of range for {name}") from None
        if int(exact) != number:
            raise refuse(
                where, f"{number} cannot be held exactly by {name}", "Use a varint column."
            )
        return exact
    hint = "Convert it with float(), or use a decimal column." if type(value) is Decimal else ""
    raise _wrong(value, name, where, hint)


def _boolean(value: object, where: Where) -> Any:
    value = plain(value)
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise _wrong(value, "boolean", where)


def _text(value: object, where: Where) -> Any:
    value = plain(value)
    if not isinstance(value, str):
        raise _wrong(value, "text", where, "Convert it with str(), in the form you want stored.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise refuse(where, "the text holds half a character (a lone surrogate)") from None
    return value


def _ascii(value: object, where: Where) -> Any:
    text = _text(value, where)
    if not text.isascii():
        raise refuse(where, f"{text!r} is not plain ASCII", "Use a text column.")
    return text


def _blob(value: object, where: Where) -> Any:
    value = plain(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise _wrong(value, "blob", where, "Encode it to bytes first.")


def _decimal(value: object, where: Where) -> Any:
    value = plain(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise refuse(where, f"{value} is not a number that decimal can hold", _NULL_ADVICE)
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return Decimal(int(value))
    hint = ""
    if isinstance(value, float | np.floating):
        hint = "A float is not exact; convert it with Decimal(str(value)) if its digits are meant."
    raise _wrong(value, "decimal", where, hint)


def _uuid(value: object, where: Where) -> Any:
    value = plain(value)
    if isinstance(value, uuid.UUID):
        return value
    if isinstance(value, str):
        try:
            return uuid.UUID(value)
        except ValueError:
            pass
    raise _wrong(value, "a uuid", where)


def _timeuuid(value: object, where: Where) -> Any:
    found = _uuid(value, where)
    if found.version != 1:
        raise refuse(where, f"{found} is not a version 1 UUID", "Make it with uuid.uuid1().")
    return found


def _inet(value: object, where: Where) -> Any:
    value = plain(value)
    if isinstance(value, str | ipaddress.IPv4Address | ipaddress.IPv6Address):
        try:
            found = ipaddress.ip_address(value)
        except ValueError:
            raise refuse(where, f"{value!r} is not an IP address") from None
        if getattr(found, "scope_id", None):
            raise refuse(where, f"{value!r} has a zone, which inet cannot hold")
        return str(found)
    raise _wrong(value, "an inet address", where)


def _timestamp(value: object, where: Where) -> Any:
    value = plain(value)
    if not isinstance(value, datetime) or _is_missing(value):
        hint = "Give a datetime with a time zone; a bare number or date leaves its meaning open."
        raise _wrong(value, "a timestamp", where, hint)
    if value.utcoffset() is None:
        raise refuse(
            where,
            f"{value} has no time zone",
            "Say which one: value.replace(tzinfo=UTC), or tz_localize in pandas.",
        )
    if value.microsecond % _MILLISECOND or getattr(value, "nanosecond", 0):
        raise refuse(
            where,
            f"{value} is finer than a millisecond, which is all a timestamp column keeps",
            "Round it to milliseconds, or keep the rest in a bigint column.",
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise refuse(where, f"{value} is outside the years 1 to 9999 in UTC") from None


def _date(value: object, where: Where) -> Any:
    value = plain(value)
    if isinstance(value, np.datetime64) and np.datetime_data(value.dtype)[0] == "D":
        value = None if np.isnat(value) else value.item()
    if isinstance(value, Date) or type(value) is date:
        return value
    hint = "A date has no time: take value.date()." if isinstance(value, datetime) else ""
    raise _wrong(value, "a date", where, hint)


def _time(value: object, where: Where) -> Any:
    value = plain(value)
    if isinstance(value, time):
        if value.tzinfo is not None:
            raise refuse(where, f"{value} has a time zone, which a time column cannot hold")
        return Time(value)
    if isinstance(value, Time):
        return value
    raise _wrong(value, "a time of day", where)


def _duration(value: object, where: Where) -> Any:
    if not isinstance(value, Duration):
        hint = ""
        if isinstance(value, timedelta):
            hint = "Months, days and nanoseconds are kept apart: make a types.Duration."
        raise _wrong(value, "a duration", where, hint)
    parts = (value.months, value.days, value.nanoseconds)
    if min(parts) < 0 < max(parts):
        raise refuse(where, "a duration's parts must all have one sign")
    for part, bits in zip(parts, (32, 32, 64), strict=True):
        if not -(1 << bits - 1) <= part < 1 << bits - 1:
            raise refuse(where, f"{part} is out of range for a part of a duration")
    return value


def _custom(value: object, where: Where) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise _wrong(value, "bytes, as a custom type needs", where)


SCALARS: dict[str, Check] = {
    "ascii": _ascii,
    "bigint": _integer("bigint", 64),
    "blob": _blob,
    "boolean": _boolean,
    "counter": _integer("counter", 64),
    "custom": _custom,
    "date": _date,
    "decimal": _decimal,
    "double": _floating("double", math.inf),
    "duration": _duration,
    "float": _floating("float", _FLOAT_MAX),
    "inet": _inet,
    "int": _integer("int", 32),
    "smallint": _integer("smallint", 16),
    "text": _text,
    "time": _time,
    "timestamp": _timestamp,
    "timeuuid": _timeuuid,
    "tinyint": _integer("tinyint", 8),
    "uuid": _uuid,
    "varint": _integer("varint", None),
}
