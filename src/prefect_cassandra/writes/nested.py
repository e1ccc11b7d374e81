"""Whole columns of lists, sets, maps, tuples, user-defined types and vectors into bytes.

A collection holds its elements as a row holds its values, each behind its length, and begins with
their number; a tuple has no number; a vector of numbers has neither (native protocol v5, sections
3 and 6). So the elements of a column, one list after the other, are encoded as a column themselves
and put together like rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from prefect_cassandra.driver.encoded import (
    NULL,
    FixedCells,
    VariedCells,
    encode_rows,
    vector_length,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prefect_cassandra.driver.encoded import Cells, Rows, ValueEncoder

Problems = dict[int, str]
# Encodes a column of elements and tells what is wrong with which of them.
EncodeElements = Callable[[pa.Array, "ValueEncoder"], tuple["Cells", Problems]]
_COUNT = np.dtype(">i4")


def encode_nested(
    column: pa.Array, encoder: ValueEncoder, elements: EncodeElements
) -> tuple[Cells, Problems] | None:
    """Encode a column of a type that is made of others.

    Args:
        column: Arrow lists, maps or structs.
        encoder: The encoder of its CQL type.
        elements: Encodes the elements.

    Returns:
        The values, missing where they are null or a problem, and the problems by row; None when
        only a look at each value can tell.
    """
    name, kind = encoder.kind.name, column.type
    if name == "map" and pt.is_map(kind):
        return _maps(column, encoder, elements)
    if name in ("list", "set") and _is_list(kind):
        flat, lengths = column.flatten(), _lengths(column)
        return _collections([flat], lengths, column, encoder, elements)
    if name == "vector" and _is_list(kind):
        return _vectors(column, encoder, elements)
    if name in ("tuple", "udt") and pt.is_struct(kind):
        return _structs(column, encoder, elements)
    return None


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _lengths(column: pa.Array) -> NDArray[np.int64]:
    """Return the number of elements of each list; 0 for a null."""
    lengths = pc.list_value_length(column).fill_null(0)
    found: NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _maps(
    column: pa.MapArray, encoder: ValueEncoder, elements: EncodeElements
) -> tuple[Cells, Problems]:
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    lengths = np.diff(column.offsets.to_numpy().astype(np.int64))
    present = column
    if lengths[~valid].any():
        # Only then, because Arrow cannot do it where keys or values are UUIDs.
        present = column.drop_null()
        lengths[~valid] = 0
    offsets = present.offsets.to_numpy().astype(np.int64)
    start, size = int(offsets[0]), int(offsets[-1] - offsets[0])
    flat = [present.keys.slice(start, size), present.items.slice(start, size)]
    return _collections(flat, lengths, column, encoder, elements)


def _collections(
    flat: list[pa.Array],
    lengths: NDArray[np.int64],
    column: pa.Array,
    encoder: ValueEncoder,
    elements: EncodeElements,
) -> tuple[Cells, Problems]:
    """Encode lists, sets and maps, whose elements, or keys and values, come as flat columns."""
    starts = np.concatenate(([0], np.cumsum(lengths)))
    problems: Problems = {}
    cells: list[Cells] = []
    for values, inner in zip(flat, encoder.inner, strict=True):
        encoded, wrong = elements(values, inner)
        cells.append(encoded)
        if encoded.missing is not None:
            nulls = np.flatnonzero(encoded.missing).tolist()
            wrong = dict.fromkeys(nulls, "a collection cannot hold null") | wrong
        for place, reason in wrong.items():
            row = int(np.searchsorted(starts[:-1], place, "right")) - 1
            problems.setdefault(row, reason)
    rows = encode_rows(b"", cells, NULL)
    joined = pc.binary_join_element_wise(
        FixedCells(lengths, _COUNT).binary(),
        _sliced(rows, rows.offsets[starts]),
        pa.scalar(b"", pa.large_binary()),
    )
    return _without(joined, column, problems), problems


def _structs(
    column: pa.StructArray, encoder: ValueEncoder, elements: EncodeElements
) -> tuple[Cells, Problems] | None:
    kind = encoder.kind
    given = [field.name for field in column.type]
    if kind.name == "tuple":
        if len(given) != len(encoder.inner):
            return None
        fields = column.flatten()
    else:
        if not set(given) <= set(kind.fields):
            return None
        by_name = dict(zip(given, column.flatten(), strict=True))
        fields = [by_name.get(name, pa.nulls(len(column))) for name in kind.fields]
    problems: Problems = {}
    cells: list[Cells] = []
    for values, inner in zip(fields, encoder.inner, strict=True):
        encoded, wrong = elements(values, inner)
        cells.append(encoded)
        for row, reason in wrong.items():
            problems.setdefault(row, reason)
    rows = encode_rows(b"", cells, NULL)
    return _without(_sliced(rows, rows.offsets), column, problems), problems


def _vectors(
    column: pa.Array, encoder: ValueEncoder, elements: EncodeElements
) -> tuple[Cells, Problems]:
    size, lengths = encoder.kind.size, _lengths(column)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(valid & (lengths != size)).tolist()
    problems = {row: f"{lengths[row]} elements do not fit {encoder.kind}" for row in wrong}
    rows = np.flatnonzero(valid & (lengths == size))
    cells, inside = elements(column.take(pa.array(rows)).flatten(), encoder.inner[0])
    if cells.missing is not None:
        nulls = np.flatnonzero(cells.missing).tolist()
        inside = dict.fromkeys(nulls, "a collection cannot hold null") | inside
    for place, reason in inside.items():
        problems.setdefault(int(rows[place // size]), reason)
    if not encoder.inner[0].packed:
        cells = _measured(cells)
    # Whole vectors side by side, from which each row takes its own.
    packed = cells.binary()
    starts = _offsets(packed)[:: size or 1]
    buffers = [None, pa.py_buffer(np.ascontiguousarray(starts)), packed.buffers()[2]]
    whole = pa.Array.from_buffers(pa.large_binary(), len(rows), buffers)
    places = np.zeros(len(column), np.int64)
    places[rows] = np.arange(len(rows))
    gone = np.ones(len(column), bool)
    gone[rows] = False
    gone[list(problems)] = True
    return VariedCells(whole.take(pa.array(places, mask=gone))), problems


def _measured(cells: Cells) -> VariedCells:
    """Put its length before each value, as vectors of values of any width have it."""
    different, which = np.unique(cells.lengths(), return_inverse=True)
    sizes = pa.array([vector_length(int(one)) for one in different], pa.large_binary())
    empty = pa.scalar(b"", pa.large_binary())
    joined = pc.binary_join_element_wise(sizes.take(pa.array(which)), cells.binary(), empty)
    return VariedCells(joined)


def _offsets(array: pa.LargeBinaryArray) -> NDArray[np.int64]:
    held = np.frombuffer(array.buffers()[1], np.int64)
    return held[array.offset : array.offset + len(array) + 1]


def _sliced(rows: Rows, offsets: NDArray[np.int64]) -> pa.LargeBinaryArray:
    """Return the bytes between each two offsets."""
    buffers: list[Any] = [
        None,
        pa.py_buffer(np.ascontiguousarray(offsets)),
        pa.py_buffer(rows.data),
    ]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _without(values: pa.LargeBinaryArray, column: pa.Array, problems: Problems) -> VariedCells:
    """Blank the values of rows that are null or a problem."""
    if not column.null_count and not problems:
        return VariedCells(values)
    gone = column.is_null().to_numpy(zero_copy_only=False).copy()
    gone[list(problems)] = True
    return VariedCells(pc.if_else(pa.array(gone), pa.scalar(None, values.type), values))
