"""Which encoded key values are one key for Cassandra although their bytes differ.

Clustering columns are compared as values: `DecimalType` compares numbers, so 1.0 and 1.00 are one
row. Partition keys are told apart by their bytes, so there they are two. Elements of a frozen set,
and keys of a frozen map, are sorted by the server before it stores them: their order in what was
sent means nothing, in either kind of key.

Bytes are those of the native protocol (v5, section 6): a decimal is a 32-bit scale and a two's
complement number; a collection its number of elements and for each its length and bytes; a tuple or
user-defined type the length and bytes of each field.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.driver.encoded import Cells

_LENGTH = struct.Struct(">i")
_COUNTED = frozenset({"list", "set", "map"})
_FIELDS = frozenset({"tuple", "udt"})


def identities(
    columns: Sequence[Cells], kinds: Sequence[CqlType], *, by_value: bool
) -> list[Cells]:
    """Return columns whose bytes are equal exactly where Cassandra takes the key values for one.

    Args:
        columns: Encoded key columns, without missing values.
        kinds: Their types.
        by_value: Whether they are clustering columns; else they are of the partition key.
    """
    return [
        _identity(column, kind, by_value=by_value)
        for column, kind in zip(columns, kinds, strict=True)
    ]


def key_identity(
    values: Sequence[bytes], kinds: Sequence[CqlType], partition: int
) -> tuple[bytes, ...]:
    """Return the bytes that stand for a key, whatever spelling of it is at hand.

    Args:
        values: The key's columns in key order, each in the bytes of its type.
        kinds: Their types.
        partition: How many of them are the partition key.
    """
    return tuple(
        _one(value, kind, by_value=place >= partition)
        for place, (value, kind) in enumerate(zip(values, kinds, strict=True))
    )


def _identity(column: Cells, kind: CqlType, *, by_value: bool) -> Cells:
    # Statements ask for single keys, and should not pay for pyarrow.
    import pyarrow as pa  # noqa: PLC0415

    from prefect_cassandra.driver.encoded import VariedCells  # noqa: PLC0415

    if not isinstance(column, VariedCells) or not _has_several_spellings(kind, by_value=by_value):
        return column
    encoded = column.array.dictionary_encode()
    one = [_one(value, kind, by_value=by_value) for value in encoded.dictionary.to_pylist()]
    return VariedCells(pa.array(one, pa.large_binary()).take(encoded.indices))


def _has_several_spellings(kind: CqlType, *, by_value: bool) -> bool:
    if kind.name == "decimal":
        return by_value
    if kind.name in {"set", "map"}:
        return True
    return kind.name in _COUNTED | _FIELDS and any(
        _has_several_spellings(arg, by_value=by_value) for arg in kind.args
    )


def _one(value: bytes, kind: CqlType, *, by_value: bool) -> bytes:
    """Return the one spelling that stands for all spellings of a value; empty values stay."""
    if not value or not _has_several_spellings(kind, by_value=by_value):
        return value
    if kind.name == "decimal":
        return _decimal(value)
    if kind.name in _FIELDS:
        # A field of which nothing was sent is null, as one of length -1 is.
        pairs = zip(_pieces(value), kind.args, strict=False)
        return b"".join(_piece(part, arg, by_value=by_value) for part, arg in pairs)
    parts = _pieces(value[_LENGTH.size :])
    items: Sequence[bytes] = [
        b"".join(_piece(next(parts), arg, by_value=by_value) for arg in kind.args)
        for _ in range(_LENGTH.unpack_from(value)[0])
    ]
    if kind.name != "list":
        items = sorted(set(items))
    return _LENGTH.pack(len(items)) + b"".join(items)


def _piece(value: bytes | None, kind: CqlType, *, by_value: bool) -> bytes:
    if value is None:
        return _LENGTH.pack(-1)
    found = _one(value, kind, by_value=by_value)
    return _LENGTH.pack(len(found)) + found


def _pieces(value: bytes) -> Iterator[bytes | None]:
    """Yield the values that stand one behind the other, each after its length."""
    place = 0
    while place < len(value):
        (length,) = _LENGTH.unpack_from(value, place)
        place += _LENGTH.size
        yield None if length < 0 else value[place : place + length]
        place += max(0, length)


def _decimal(value: bytes) -> bytes:
    """Return a decimal without the zeros at its end."""
    (scale,) = _LENGTH.unpack_from(value)
    digits = int.from_bytes(value[_LENGTH.size :], signed=True)
    while digits and not digits % 10:
        digits, scale = digits // 10, scale - 1
    if not digits:
        scale = 0
    # Any bytes that differ for different numbers will do; the scale may be beyond 32 bits now.
    return f"{digits}e{-scale}".encode()
