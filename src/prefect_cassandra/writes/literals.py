"""The text of one value into a value of its CQL type, exactly or not at all.

Text of CSV cells and of JSON strings is read the same way. Nothing goes through a float that is
not a float, and nothing is guessed: a time without a zone or a number where a time should be is an
error, never an interpretation.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.types import Date, Duration, Time
from prefect_cassandra.reads.far_dates import day_of

if TYPE_CHECKING:
    from prefect_cassandra.driver.cqltype import CqlType

Reader = Callable[[str], Any]

_INTEGER = re.compile(r"[+-]?(?:[0-9]+|0[xX][0-9a-fA-F]+)")
_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64, "counter": 64}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?")
# The two forms Cassandra itself writes: 1y2mo3d and ISO 8601's P1Y2M3D.
_UNITS = re.compile(r"([0-9]+)(mo|ms|us|µs|ns|y|w|d|h|m|s)", re.IGNORECASE)
_PLAIN_DURATION = re.compile(rf"(-?)((?:{_UNITS.pattern})+)", re.IGNORECASE)
_ISO_DURATION = re.compile(
    r"(-?)P(?=.)(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?"
    r"(?:T(?=.)(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:\.([0-9]{1,9}))?S)?)?"
)
_MONTHS = {"y": 12, "mo": 1}
_DAYS = {"w": 7, "d": 1}
_NANOSECONDS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "ns": 1,
}
_SHOWN = 40
_LARGEST_FLOAT = (2 - 2**-23) * 2.0**127  # IEEE 754, single precision
_ZONE_HINT = "a time needs its zone, as in 2013-01-01T05:00:00Z"
_JSON_FORMS = {
    "list": "a JSON array",
    "set": "a JSON array",
    "vector": "a JSON array",
    "tuple": "a JSON array",
    "udt": "a JSON object",
    "map": "a JSON object or an array of pairs",
}


def shown(text: str) -> str:
    """Return a value for an error message, quoted and cut short."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def _wrong(text: str, what: str) -> ValueError:
    return ValueError(f"{shown(text)} is not {what}")


def reader(kind: CqlType) -> Reader:
    """Return what reads the text of a value of `kind`.

    The function raises `ValueError` whose text is the reason, without row or column.
    """
    if kind.name in _JSON_FORMS:
        return _nested(kind)
    if kind.name in _BITS:
        return _bounded(kind.name)
    return _READERS.get(kind.name, _blob)


@lru_cache(maxsize=256)
def from_json(kind: CqlType) -> Callable[[Any], Any]:
    """Return what turns a parsed JSON value into a value of `kind`; its strings are read as text.

    The function raises `ValueError` whose text is the reason.
    """
    make = _JSON_READERS.get(kind.name)
    if make is not None:
        return make(kind)
    read = reader(kind)
    floating = kind.name in {"float", "double"}

    def scalar(value: Any) -> Any:
        if isinstance(value, str):
            return read(value)
        if isinstance(value, Decimal) and floating:
            value = finite(str(value))
        if isinstance(value, float) and kind.name == "float":
            return _single(value)
        if isinstance(value, dict | list):
            raise ValueError(f"a JSON {_json_name(value)} is not a value of type {kind}")  # noqa: TRY004 -- a value, not an argument
        # Whether a number or a truth value fits is what every value is asked when it is encoded.
        return value

    return scalar


def parse_json(text: str, *, exact: bool) -> Any:
    """Parse JSON.

    Args:
        text: One value.
        exact: Whether numbers with a point keep their digits (`Decimal`); floats are faster.

    Raises:
        ValueError: It is not JSON; says where.
    """
    try:
        return json.loads(text, parse_float=Decimal if exact else finite)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None


def _nested(kind: CqlType) -> Reader:
    convert = from_json(kind)

    def read(text: str) -> Any:
        try:
            value = parse_json(text, exact=True)
        except ValueError as error:
            raise ValueError(
                f"{shown(text)} is {error}; {kind} is written as {_JSON_FORMS[kind.name]}"
            ) from None
        return None if value is None else convert(value)

    return read


def _elements(kind: CqlType) -> Callable[[Any], Any]:
    one = from_json(kind.args[0])

    def convert(value: Any) -> Any:
        return [one(item) for item in _of(value, list, kind)]

    return convert


def _tuple(kind: CqlType) -> Callable[[Any], Any]:
    inner = [from_json(arg) for arg in kind.args]

    def convert(value: Any) -> Any:
        items = _of(value, list, kind)
        if len(items) != len(inner):
            raise ValueError(f"{kind} needs {len(inner)} values, there are {len(items)}")
        return tuple(
            None if item is None else one(item) for one, item in zip(inner, items, strict=True)
        )

    return convert


def _map(kind: CqlType) -> Callable[[Any], Any]:
    keys, values = (from_json(arg) for arg in kind.args)

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            pairs: Any = value.items()
        else:
            pairs = _of(value, list, kind)
            if any(not isinstance(pair, list) or len(pair) != 2 for pair in pairs):  # noqa: PLR2004 -- a pair
                raise ValueError(f"{kind} is written as {_JSON_FORMS['map']}")
        return [(keys(key), values(item)) for key, item in pairs]

    return convert


def _fields(kind: CqlType) -> Callable[[Any], Any]:
    inner = {field: from_json(arg) for field, arg in zip(kind.fields, kind.args, strict=True)}

    def convert(value: Any) -> Any:
        found = _of(value, dict, kind)
        # A name that the type does not have is refused when the value is encoded.
        return {
            name: inner[name](item) if name in inner and item is not None else item
            for name, item in found.items()
        }

    return convert


def _of(value: Any, wanted: type, kind: CqlType) -> Any:
    if not isinstance(value, wanted):
        raise ValueError(  # noqa: TRY004 -- a value, not an argument
            f"a JSON {_json_name(value)} is not {kind}, which is written as "
            f"{_JSON_FORMS[kind.name]}"
        )
    return value


def _json_name(value: Any) -> str:
    if isinstance(value, dict | list):
        return "object" if isinstance(value, dict) else "array"
    return "string" if isinstance(value, str) else "number or truth value"


def integer(text: str) -> int:
    """Read a whole number of any size."""
    bare = text.strip()
    # int() alone would also take 1_000 and digits of other scripts.
    if not _INTEGER.fullmatch(bare):
        raise _wrong(text, "a whole number")
    try:
        return int(bare, 16) if "x" in bare.lower() else int(bare)
    except ValueError:  # Python reads 4,300 digits, more than anybody means
        raise ValueError("the number has too many digits") from None


def _bounded(name: str) -> Reader:
    bits = _BITS[name]
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def read(text: str) -> int:
        number = integer(text)
        if not low <= number <= high:
            raise ValueError(f"{shown(text)} is out of the range of {name} ({low} to {high})")
        return number

    return read


def finite(text: str) -> float:
    """Return a number written in digits.

    Raises:
        ValueError: It is out of the range of a double.
    """
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{shown(text)} is out of the range of double")
    return number


def _single(number: float) -> float:
    """Return a number that a float holds, if not exactly.

    Raises:
        ValueError: It is out of the range of a float.
    """
    if _LARGEST_FLOAT < abs(number) < math.inf:
        raise ValueError(f"{number} is out of the range of float")
    return number


def _float(text: str) -> float:
    if "_" in text or not text.isascii():
        raise _wrong(text, "a number")
    try:
        number = float(text)
    except ValueError:
        raise _wrong(text, "a number") from None
    if number in (float("inf"), float("-inf")) and "inf" not in text.lower():
        raise ValueError(f"{shown(text)} is out of the range of double")
    return number


def _decimal(text: str) -> Decimal:
    if "_" in text or not text.isascii():
        raise _wrong(text, "a decimal number")
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise _wrong(text, "a decimal number") from None


def _boolean(text: str) -> bool:
    found = _BOOLEANS.get(text.strip().lower())
    if found is None:
        raise _wrong(text, "true or false")
    return found


def _blob(text: str) -> bytes:
    bare = text.strip()
    if bare[:2] not in {"0x", "0X"}:
        raise ValueError(f"{shown(text)} is not bytes, which are written in hex: 0xcafe")
    try:
        return bytes.fromhex(bare[2:])
    except ValueError:
        raise ValueError(f"{shown(text)} is not bytes: a digit is missing or not hex") from None


def _date(text: str) -> date | Date:
    bare = text.strip()
    try:
        return datetime.strptime(bare, "%Y-%m-%d").date()  # noqa: DTZ007 -- a date has none
    except ValueError:
        day = day_of(bare)
    if day is None:
        raise _wrong(text, "a date like 2013-01-31, with a sign outside of the years 1 to 9999")
    if not -(1 << 31) <= day < 1 << 31:
        raise ValueError(f"{shown(text)} is out of the range of date")
    return Date(day)


def _timestamp(text: str) -> datetime:
    bare = text.strip()
    try:
        found = datetime.fromisoformat(bare)
    except ValueError:
        if day_of(re.split("[ T]", bare, maxsplit=1)[0]) is not None:
            raise ValueError(f"{shown(text)} is outside the years 1 to 9999") from None
        raise ValueError(f"{shown(text)} is not a time: {_ZONE_HINT}") from None
    if found.tzinfo is None:
        raise ValueError(f"{shown(text)} has no time zone: {_ZONE_HINT}")
    digits = re.search(r"[.,]([0-9]+)", text)
    if digits is not None and digits[1][3:].strip("0"):
        raise ValueError(f"{shown(text)} is finer than the millisecond that timestamp holds")
    return found


def _time(text: str) -> Any:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise _wrong(text, "a time of day like 17:30:00.5")
    hour, minute, second, fraction = (part or "0" for part in match.groups())
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
    return Time(seconds * _NANOSECONDS["s"] + int(fraction.ljust(9, "0")))


def duration(text: str) -> Duration:
    """Read a duration as Cassandra writes it, `1mo2d3h`, or as ISO 8601 does, `P1M2DT3H`."""
    bare = text.strip()
    if match := _ISO_DURATION.fullmatch(bare):
        sign, *numbers = match.groups()
        years, months, weeks, days, hours, minutes, seconds = (int(n or 0) for n in numbers[:7])
        parts = (
            years * 12 + months,
            weeks * 7 + days,
            hours * _NANOSECONDS["h"]
            + minutes * _NANOSECONDS["m"]
            + seconds * _NANOSECONDS["s"]
            + int((numbers[7] or "").ljust(9, "0")),
        )
    elif match := _PLAIN_DURATION.fullmatch(bare):
        sign = match[1]
        found = [(int(number), unit.lower()) for number, unit in _UNITS.findall(match[2])]
        parts = tuple(  # type: ignore[assignment]  # three, one for each table
            sum(number * table.get(unit, 0) for number, unit in found)
            for table in (_MONTHS, _DAYS, _NANOSECONDS)
        )
    else:
        raise _wrong(text, "a duration like 1mo2d3h or P1M2DT3H")
    factor = -1 if sign else 1
    return Duration(*(factor * part for part in parts))


def _text(text: str) -> str:
    return text


_JSON_READERS: dict[str, Callable[[CqlType], Callable[[Any], Any]]] = {
    "list": _elements,
    "set": _elements,
    "vector": _elements,
    "tuple": _tuple,
    "map": _map,
    "udt": _fields,
}
_READERS: dict[str, Reader] = {
    "ascii": _text,
    "boolean": _boolean,
    "date": _date,
    "decimal": _decimal,
    "double": _float,
    "duration": duration,
    "float": lambda text: _single(_float(text)),
    "inet": str.strip,
    "text": _text,
    "time": _time,
    "timestamp": _timestamp,
    "timeuuid": str.strip,
    "uuid": str.strip,
    "varint": integer,
}
