"""Columns of text into columns of values, whole columns at a time where Arrow can.

Arrow reads a column in one stroke or says that one of its values is wrong, not which. Then the
column is read value by value, so that each wrong one is named and all others are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prefect_cassandra.driver.types import Date
from prefect_cassandra.writes.literals import from_json, reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.writes.sources import Column

    Flaws = dict[int, str]
    Whole = Callable[[pa.Array], pa.Array]

_TEXTS = ("text", "ascii")
_UUID_TEXT = 36
_DASHES = (8, 13, 18, 23)
# JSON values of these kinds are values of these types as they are.
_NATIVE: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint", "varint", "decimal"), (int,)),
    **dict.fromkeys(("float", "double"), (int, float)),
    **dict.fromkeys(_TEXTS, (str,)),
    "boolean": (bool,),
}


def read_text(cells: pa.Array, kind: CqlType) -> tuple[Column, Flaws]:
    """Read a column of text.

    An empty cell is a missing value, except in a column of text, where it is the empty text.

    Args:
        cells: Array of binary or string; null where the value is missing.
        kind: The target's type.

    Returns:
        The values, null or None where they are missing or flawed, and why by row.
    """
    text, flaws = _decoded(cells)
    if kind.name in _TEXTS:
        return text, flaws
    whole = _WHOLE.get(kind.name)
    if whole is not None:
        try:
            return whole(text), flaws
        except (pa.ArrowInvalid, ValueError):
            text = _trimmed(text)
        try:
            return whole(text), flaws
        except (pa.ArrowInvalid, ValueError):
            pass
    values, wrong = _one_by_one(_trimmed(text).to_pylist(), reader(kind))
    return _as_read(values, kind), flaws | wrong


def read_json(values: list[Any], kind: CqlType) -> tuple[Column, Flaws]:
    """Read a column of parsed JSON values; the same as `read_text` where all are strings."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= set(_NATIVE.get(kind.name, ())):
        return values, {}
    if kinds == {str} and kind.name in _WHOLE:
        try:
            return read_text(pa.array(values, pa.string()), kind)
        except (pa.ArrowInvalid, UnicodeEncodeError):  # half a character, written as \ud800
            pass
    return _one_by_one(values, from_json(kind))


def _decoded(cells: pa.Array) -> tuple[pa.Array, Flaws]:
    """Return the cells as text; those that are not UTF-8 are flaws."""
    try:
        return cells.cast(pa.string()), {}
    except pa.ArrowInvalid:
        pass
    texts: list[str | None] = []
    flaws: Flaws = {}
    for row, cell in enumerate(cells.to_pylist()):
        try:
            texts.append(None if cell is None else cell.decode())
        except UnicodeDecodeError as error:
            texts.append(None)
            flaws[row] = f"byte {error.start + 1} of {cell[:20]!r} is not UTF-8"
    return pa.array(texts, pa.string()), flaws


def _trimmed(text: pa.Array) -> pa.Array:
    """Return the text without spaces around it, null where nothing is left."""
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _one_by_one(values: list[Any], read: Callable[[Any], Any]) -> tuple[list[Any], Flaws]:
    found: list[Any] = []
    flaws: Flaws = {}
    for row, value in enumerate(values):
        try:
            found.append(None if value is None else read(value))
        except ValueError as error:
            found.append(None)
            flaws[row] = str(error)
    return found, flaws


def _as_read(values: list[Any], kind: CqlType) -> Column:
    """Return values in the form in which their column is read in one stroke."""
    if kind.name == "date":
        values = [None if value is None else _days(value) for value in values]
    arrow = _ARROW.get(kind.name)
    return values if arrow is None else pa.array(values, arrow)


def _days(value: date | Date) -> int:
    days: int = (value if isinstance(value, Date) else Date(value)).days_from_epoch
    return days


def _cast(arrow: pa.DataType) -> Whole:
    return lambda text: text.cast(arrow)


def _floats(arrow: pa.DataType) -> Whole:
    def read(text: pa.Array) -> pa.Array:
        numbers = text.cast(arrow)
        infinite = pc.is_inf(numbers)
        # Arrow reads 1e999 as infinity.
        if pc.any(infinite).as_py():
            said = pc.match_substring(text, "inf", ignore_case=True)
            if not pc.all(pc.equal(infinite, said)).as_py():
                raise ValueError("a number is out of range")
        return numbers

    return read


def _uuids(text: pa.Array) -> pa.Array:
    """Read UUIDs with four dashes; others are for the slow way."""
    given, places = _without_nulls(text)
    data = np.frombuffer(_bytes_of(given), dtype=np.uint8)
    if pc.any(pc.not_equal(pc.binary_length(given), _UUID_TEXT)).as_py():
        raise ValueError("not all have 36 characters")
    data = data.reshape(len(given), _UUID_TEXT)
    if not (data[:, _DASHES] == ord("-")).all():
        raise ValueError("a dash is missing")
    found = bytes.fromhex(np.delete(data, _DASHES, axis=1).tobytes().decode())
    # fromhex passes over blanks
    if len(found) != len(given) * 16:
        raise ValueError("not all digits are hexadecimal")
    uuids = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(given), [None, pa.py_buffer(found)]
    )
    return uuids if places is None else uuids.take(places)


def _blobs(text: pa.Array) -> pa.Array:
    """Read bytes written as 0x and hexadecimal digits."""
    given, places = _without_nulls(text)
    if pc.all(pc.starts_with(given, "0x")).as_py() is False:
        raise ValueError("not all begin with 0x")
    digits = pc.utf8_slice_codeunits(given, 2)
    lengths = pc.binary_length(digits).to_numpy(zero_copy_only=False)
    if (lengths % 2).any():
        raise ValueError("a digit is missing")
    found = bytes.fromhex(bytes(_bytes_of(digits)).decode())
    offsets = np.zeros(len(given) + 1, dtype=np.int64)
    np.cumsum(lengths // 2, out=offsets[1:])
    if len(found) != offsets[-1]:
        raise ValueError("not all digits are hexadecimal")
    blobs = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(given), [None, pa.py_buffer(offsets), pa.py_buffer(found)]
    )
    return blobs if places is None else blobs.take(places)


def _without_nulls(text: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Return the values that are there and, if some are not, where each row finds its own."""
    if not text.null_count:
        return text, None
    there = text.is_valid().to_numpy(zero_copy_only=False)
    places = np.cumsum(there) - 1
    return text.drop_null(), pa.array(places, mask=~there)


def _bytes_of(text: pa.Array) -> memoryview:
    """Return the bytes of all values one after the other."""
    _, where, data = text.buffers()
    if not len(text) or data is None:
        return memoryview(b"")
    offsets = np.frombuffer(where, dtype=np.int32)[text.offset :]
    return memoryview(data)[offsets[0] : offsets[len(text)]]


def _times(text: pa.Array) -> pa.Array:
    """Read times of day to the nanosecond; Arrow reads them as part of a timestamp only."""
    moments = pc.binary_join_element_wise("1970-01-01 ", text, "").cast(pa.timestamp("ns"))
    return moments.cast(pa.int64()).cast(pa.time64("ns"))


def _addresses(text: pa.Array) -> pa.Array:
    """Leave the text as it is: it is read when it is encoded."""
    if pc.any(pc.equal(text, "")).as_py():
        raise ValueError("an empty cell is a missing value")
    return text


_ARROW: dict[str, pa.DataType] = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint", "counter"), pa.int64()),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "double": pa.float64(),
    "float": pa.float32(),
    "inet": pa.string(),
}
_WHOLE: dict[str, Whole] = {
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint", "varint"), _cast(pa.int64())),
    "blob": _blobs,
    "boolean": _cast(pa.bool_()),
    "custom": _blobs,
    "date": _cast(pa.date32()),
    "double": _floats(pa.float64()),
    "float": _floats(pa.float32()),
    "inet": _addresses,
    "time": _times,
    "timestamp": _cast(pa.timestamp("us", "UTC")),
    "timeuuid": _uuids,
    "uuid": _uuids,
}
