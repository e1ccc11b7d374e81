"""Rows on the wire cut into columns of bytes, without a Python object per cell where it can be.

A row is its values one after the other, each behind a four-byte length that is negative for null
(CQL native protocol v5, section 4.2.5.2); where a value starts is known only after those before
it. Two ways lead to columns. Rows whose values have the lengths of the row above are many in real
tables - numbers, moments, keys of one form - and a whole run of them is one NumPy view. What is
left goes through the driver's compiled parser, which copies values of a known width into arrays
and makes an object of the others only.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from cassandra import numpy_parser
from cassandra.bytesio import BytesIOReader
from cassandra.cqltypes import BytesType
from cassandra.deserializers import make_deserializers
from cassandra.parsing import ParseDesc

from prefect_cassandra.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTH = 4
# Below so many rows a run, the driver's parser is the faster of the two ways.
_WORTHWHILE = 128


def wire_columns(
    body: bytes, rows: int, widths: Sequence[int | None], start: int = 0
) -> list[pa.Array]:
    """Return each column's values as they came, as Arrow binaries.

    Args:
        body: Bytes that hold the rows and nothing behind them.
        rows: How many there are.
        widths: Of each column the bytes of every value, None where they vary. A value of no bytes
            in a column of fixed width is legal and means nothing; it comes out as null.
        start: Where in `body` the first row begins.

    Returns:
        A `fixed_size_binary` or `binary` array of `rows` values for each column.

    Raises:
        DataError: The bytes do not hold so many rows, or a value has another width.
    """
    if not rows:
        return [pa.nulls(0, _storage(width)) for width in widths]
    pieces: list[list[pa.Array]] = []
    done = 0
    while done < rows and done >= _WORTHWHILE * (len(pieces) - 1):
        count, start, columns = _run(body, start, rows - done, widths)
        pieces.append(columns)
        done += count
    if done < rows:
        pieces.append(_parse(body, start, rows - done, widths))
    elif start != len(body):
        raise _cut(rows)
    if len(pieces) == 1:
        return pieces[0]
    return [pa.concat_arrays(column) for column in zip(*pieces, strict=True)]


def _storage(width: int | None) -> pa.DataType:
    return pa.binary() if width is None else pa.binary(width)


def _run(
    body: bytes, start: int, rows: int, widths: Sequence[int | None]
) -> tuple[int, int, list[pa.Array]]:
    """Take the first row and those after it whose values have the same lengths.

    Returns:
        How many rows, where the next one begins, and the columns of these rows.
    """
    lengths = _first_row(body, start, len(widths), rows)
    layout = _layout(lengths)
    fits = min(rows, (len(body) - start) // layout.itemsize)
    view = np.frombuffer(body, layout, fits, start)
    alike = np.ones(fits, bool)
    for place, length in enumerate(lengths):
        alike &= view[f"l{place}"] == length
    count = fits if alike.all() else int(alike.argmin())
    columns = [
        _alike(view[f"v{place}"][:count] if length > 0 else None, count, length, width)
        for place, (length, width) in enumerate(zip(lengths, widths, strict=True))
    ]
    return count, start + count * layout.itemsize, columns


def _first_row(body: bytes, start: int, columns: int, rows: int) -> tuple[int, ...]:
    """Return the lengths of one row's values."""
    lengths = []
    try:
        for _ in range(columns):
            (length,) = struct.unpack_from(">i", body, start)
            lengths.append(length)
            start += _LENGTH + max(length, 0)
    except struct.error:
        raise _cut(rows) from None
    if start > len(body):
        raise _cut(rows)
    return tuple(lengths)


@lru_cache(maxsize=256)
def _layout(lengths: tuple[int, ...]) -> np.dtype[np.void]:
    """Return what a row with values of these lengths looks like to NumPy."""
    fields: list[tuple[str, str]] = []
    for place, length in enumerate(lengths):
        fields.append((f"l{place}", ">i4"))
        if length > 0:
            fields.append((f"v{place}", f"V{length}"))
    return np.dtype(fields)


def _alike(values: Any, count: int, length: int, width: int | None) -> pa.Array:
    """Return one column of a run: values of one length, or of none."""
    if length < 0 or (length == 0 and width is not None):
        return pa.nulls(count, _storage(width))
    data = pa.py_buffer(b"" if values is None else np.ascontiguousarray(values))
    if width is None:
        offsets = np.arange(count + 1, dtype=np.int32) * length
        return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), data])
    if length != width:
        raise _wrong_width(length, width)
    return pa.Array.from_buffers(pa.binary(width), count, [None, data])


@dataclass(slots=True)
class _Target:
    """Where the driver's parser copies a column of fixed width to: what it asks of an array."""

    width: int
    data: np.ndarray[Any, Any]
    mask: np.ndarray[Any, Any]
    dtype: np.dtype[Any] = field(init=False)
    ctypes: Any = field(init=False)
    strides: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.dtype, self.ctypes, self.strides = self.data.dtype, self.data.ctypes, self.data.strides


def _parse(body: bytes, start: int, rows: int, widths: Sequence[int | None]) -> list[pa.Array]:
    """Take all rows from `start` on through the driver's compiled parser."""
    parsed = _driver_columns(body, start, rows, widths)
    arrays = [_array(column) for column in parsed]
    # The parser copies as many bytes as a value has and does not say how many those were. All
    # lengths together are known, so a value of no bytes, or of too many, cannot hide.
    held = len(body) - start - rows * len(widths) * _LENGTH
    if held == sum(map(_bytes_of, arrays)):
        return arrays
    objects = _driver_columns(body, start, rows, [None] * len(widths))
    arrays = [
        pa.array(column, pa.binary()) if width is None else _one_by_one(column, width)
        for column, width in zip(objects, widths, strict=True)
    ]
    if held != sum(map(_bytes_of, arrays)):
        raise _cut(rows)
    return arrays


def _driver_columns(
    body: bytes, start: int, rows: int, widths: Sequence[int | None]
) -> Sequence[Any]:
    count = len(widths)
    names = list(range(count))
    # The parser asks `_make_array` with what stands here for the column's type.
    kinds = [_Width(width) if width is not None else BytesType for width in widths]
    makers = make_deserializers([BytesType] * count)
    plan = ParseDesc(names, kinds, None, [None] * count, makers, 4)
    try:
        found = numpy_parser.NumpyParser().parse_rows(
            BytesIOReader(struct.pack(">i", rows) + body[start:]), plan
        )
    except EOFError:
        raise _cut(rows) from None
    return [found[name] for name in names]


def _array(column: Any) -> pa.Array:
    if not isinstance(column, _Target):
        return pa.array(column, pa.binary())
    validity = None
    if column.mask.any():
        validity = pa.py_buffer(np.packbits(~column.mask, bitorder="little"))
    return pa.Array.from_buffers(
        pa.binary(column.width), len(column.mask), [validity, pa.py_buffer(column.data)]
    )


def _bytes_of(array: pa.Array) -> int:
    if pa.types.is_fixed_size_binary(array.type):
        return int(array.type.byte_width) * (len(array) - int(array.null_count))
    offsets = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1)
    return int(offsets[-1] - offsets[0])


def _one_by_one(values: Any, width: int) -> pa.Array:
    for value in values:
        if value and len(value) != width:
            raise _wrong_width(len(value), width)
    return pa.array([value or None for value in values], pa.binary(width))


def _cut(rows: int) -> DataError:
    return DataError(
        f"An answer does not hold the {rows:,} rows it announces.",
        hint="Read it again; if that does not help, report the column types of the query.",
    )


def _wrong_width(length: int, width: int) -> DataError:
    return DataError(
        f"A value of {length} bytes stands where every value has {width}.",
        hint="Read it again; if that does not help, report the column types of the query.",
    )


class _Width(int):
    """Stands for the type of a column whose values all have so many bytes."""


_driver_make_array = numpy_parser.make_array


def _make_array(kind: Any, size: int) -> Any:
    """Return where the driver's parser is to put a column of `size` values."""
    if not isinstance(kind, _Width):
        return _driver_make_array(kind, size)
    return _Target(int(kind), np.zeros(size, f"V{int(kind)}"), np.zeros(size, bool))


def _native_byte_order(column: Any) -> Any:
    """Return `column`, which arrives big-endian, in this machine's byte order.

    The driver's own of 3.30.1 calls `ndarray.newbyteorder`, which NumPy 2 removed; its caller
    swallows the error and delivers no rows.
    """
    if isinstance(column, _Target) or sys.byteorder == "big" or column.dtype.kind == "O":
        return column
    return column.byteswap().view(column.dtype.newbyteorder())


numpy_parser.make_array = _make_array
numpy_parser.make_native_byteorder = _native_byte_order
