"""Columns whose values are bytes already, and the rows made of them: no object per cell or row.

In an EXECUTE or BATCH body every value is a signed 32-bit length and that many bytes; length -1
stands for null and -2 for "leave the cell as it is" (native protocol v5, section 3, `[value]`).
Neighbours of a fixed width are written side by side into one structured array. Such runs and the
columns of varying width are then joined row by row by Arrow: about 120 ns for a row of five values,
where numpy's scattered writes need 400 and more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cassandra.marshal import uvint_pack

from prefect_cassandra.driver.cqltype import from_driver
from prefect_cassandra.driver.types import element_checker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.driver.prepared import Prepared

NULL, UNSET = -1, -2
# When it weighs a batch the server adds time, TTL and deletion time to every value
# (`AbstractCell.dataSize`).
CELL_OVERHEAD = 16
# Texts of one length up to here join the run of fixed-width columns.
_UNIFORM_WIDTH = 256


@dataclass(frozen=True, slots=True)
class FixedCells:
    """A column of values of one width.

    Attributes:
        numbers: One item a row; anything where the value is missing.
        wire: Big-endian type the items are sent as; `V16` and the like are sent as they are.
        missing: True where there is no value; None when there is one everywhere.
    """

    numbers: NDArray[Any]
    wire: np.dtype[Any]
    missing: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def widest(self) -> int:
        """Bytes of the longest value."""
        return self.wire.itemsize

    def lengths(self) -> NDArray[np.int64]:
        """Return the bytes of each value; 0 where it is missing."""
        filled = np.full(len(self), self.wire.itemsize, np.int64)
        if self.missing is not None:
            filled[self.missing] = 0
        return filled

    def take(self, places: NDArray[np.int64]) -> FixedCells:
        """Return the values at these places, in this order."""
        missing = None if self.missing is None else _unless_none(self.missing[places])
        return FixedCells(self.numbers[places], self.wire, missing)

    def sent(self) -> NDArray[Any]:
        """Return the items in the byte order of the wire."""
        return self.numbers.astype(self.wire, copy=False)

    def changes(self) -> NDArray[np.bool_]:
        """Tell for each row but the first whether it differs from the one before."""
        if self.numbers.dtype.kind not in "Vf":
            found: NDArray[np.bool_] = self.numbers[1:] != self.numbers[:-1]
            return found
        # Of floats too the bytes count: 0.0 and -0.0 are two keys.
        raw = np.ascontiguousarray(self.sent()).view(np.uint8).reshape(len(self), -1)
        differs: NDArray[np.bool_] = (raw[1:] != raw[:-1]).any(axis=1)
        return differs

    def rises(self) -> NDArray[np.bool_] | None:
        """Tell for each row but the first whether it is more than the one before, in some order."""
        if self.numbers.dtype.kind == "V":
            return None
        # Two doubles may be one float: what is sent counts.
        numbers = self.sent() if self.numbers.dtype.kind == "f" else self.numbers
        found: NDArray[np.bool_] = numbers[1:] > numbers[:-1]
        return found

    def codes(self) -> NDArray[np.int64]:
        """Return a number per row, equal exactly where the bytes are."""
        items = np.ascontiguousarray(self.sent())
        width = items.itemsize
        if width in (1, 2, 4, 8):
            return _codes(pa.array(items.view(f"i{width}")))
        return _codes(_fixed_binary(items))

    def binary(self) -> pa.LargeBinaryArray:
        """Return the values as Arrow bytes, empty where they are missing."""
        items = np.ascontiguousarray(self.sent())
        if self.missing is None:
            return _large_binary(items, np.arange(len(items) + 1) * items.itemsize)
        ends = np.cumsum(self.lengths())
        return _large_binary(items[~self.missing], np.concatenate(([0], ends)))

    def value(self, row: int) -> bytes | None:
        """Return the bytes of one value, None where it is missing."""
        if self.missing is not None and self.missing[row]:
            return None
        return bytes(self.numbers[row : row + 1].astype(self.wire).tobytes())


@dataclass(frozen=True, slots=True)
class VariedCells:
    """A column of values of any width.

    Attributes:
        array: The values as `large_binary`, null where they are missing.
    """

    array: pa.LargeBinaryArray

    def __len__(self) -> int:
        return len(self.array)

    @property
    def missing(self) -> NDArray[np.bool_] | None:
        """True where there is no value; None when there is one everywhere."""
        if not self.array.null_count:
            return None
        found: NDArray[np.bool_] = self.array.is_null().to_numpy(zero_copy_only=False)
        return found

    @property
    def widest(self) -> int:
        """Bytes of the longest value."""
        return int(self.lengths().max(initial=0))

    def lengths(self) -> NDArray[np.int64]:
        """Return the bytes of each value; 0 where it is missing."""
        lengths = pc.binary_length(self.array)
        filled = lengths.fill_null(0) if lengths.null_count else lengths
        found: NDArray[np.int64] = filled.to_numpy(zero_copy_only=False)
        return found

    def take(self, places: NDArray[np.int64]) -> VariedCells:
        """Return the values at these places, in this order."""
        return VariedCells(self.array.take(pa.array(places)))

    def changes(self) -> NDArray[np.bool_]:
        """Tell for each row but the first whether it differs from the one before."""
        unequal = pc.not_equal(self.array.slice(1), self.array.slice(0, max(0, len(self) - 1)))
        found: NDArray[np.bool_] = unequal.to_numpy(zero_copy_only=False)
        return found

    def rises(self) -> NDArray[np.bool_] | None:
        """Tell for each row but the first whether it is more than the one before, in some order."""
        more = pc.greater(self.array.slice(1), self.array.slice(0, max(0, len(self) - 1)))
        found: NDArray[np.bool_] = more.to_numpy(zero_copy_only=False)
        return found

    def codes(self) -> NDArray[np.int64]:
        """Return a number per row, equal exactly where the bytes are."""
        return _codes(self.array)

    def binary(self) -> pa.LargeBinaryArray:
        """Return the values as Arrow bytes, empty where they are missing."""
        return self.array.fill_null(b"") if self.array.null_count else self.array

    def value(self, row: int) -> bytes | None:
        """Return the bytes of one value, None where it is missing."""
        found: bytes | None = self.array[row].as_py()
        return found

    def uniform(self) -> FixedCells | None:
        """Return the same values as cells of one width, when they have one and none is missing."""
        if self.array.null_count or not len(self.array):
            return None
        offsets = _offsets(self.array)
        width = int(offsets[1] - offsets[0])
        if not 0 < width <= _UNIFORM_WIDTH or not (np.diff(offsets) == width).all():
            return None
        values = np.frombuffer(self.array.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        kind = np.dtype(f"V{width}")
        return FixedCells(values.view(kind), kind)


Cells = FixedCells | VariedCells


@dataclass(frozen=True, slots=True)
class AbsentCells:
    """A column without a value in any row: some cells are deleted, the others left as they are.

    Attributes:
        codes: `NULL` or `UNSET` for each row.
    """

    codes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, places: NDArray[np.int64]) -> AbsentCells:
        """Return the cells at these places, in this order."""
        return AbsentCells(self.codes[places])


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded rows, one behind the other, each as a BATCH body holds it.

    Attributes:
        data: The bytes of all rows.
        offsets: Where each row begins in `data`, and behind the last where it ends.
        overhead: What the server adds to the bytes of each row when it weighs a batch.
    """

    data: memoryview
    offsets: NDArray[np.int64]
    overhead: int = 0

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def body(self, first: int, stop: int) -> memoryview:
        """Return the bytes of the rows from `first` to before `stop`, without copying them."""
        return self.data[int(self.offsets[first]) : int(self.offsets[stop])]

    def weights(self) -> NDArray[np.int64]:
        """Return what the server weighs the rows before each row with, at most; the sum is last."""
        weights: NDArray[np.int64] = self.offsets + np.arange(len(self.offsets)) * self.overhead
        return weights


def encode_rows(head: bytes, columns: Sequence[Cells | AbsentCells], missing: int) -> Rows:
    """Put columns together into rows.

    Args:
        head: What every row begins with.
        columns: The columns in marker order, all of one length.
        missing: What stands where a value is missing: `NULL` or `UNSET`.
    """
    size = len(columns[0])
    run: list[tuple[np.dtype[Any], Any]] = [(np.dtype(f"V{len(head)}"), np.void(head))]
    pieces: list[pa.LargeBinaryArray] = []
    for column in columns:
        if isinstance(column, AbsentCells):
            run.append((_LENGTH, column.codes))
            continue
        cells = column.uniform() or column if isinstance(column, VariedCells) else column
        if isinstance(cells, FixedCells) and cells.missing is None:
            run += [(_LENGTH, cells.wire.itemsize), (cells.wire, cells.numbers)]
            continue
        lengths, gone = cells.lengths(), cells.missing
        if gone is not None:
            lengths = np.where(gone, missing, lengths)
        run.append((_LENGTH, lengths))
        pieces += [_pack(run, size), cells.binary()]
        run = []
    if run:
        pieces.append(_pack(run, size))
    joined = (
        pieces[0]
        if len(pieces) == 1
        else pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))
    )
    data = joined.buffers()[2]
    overhead = CELL_OVERHEAD * len(columns)
    return Rows(memoryview(b"" if data is None else data), _offsets(joined), overhead)


def statement_head(prepared: Prepared) -> bytes:
    """Return what each row of a BATCH body begins with: "prepared", its id, how many values."""
    query_id: bytes = prepared.statement.query_id
    count = len(prepared.names)
    return b"\1" + len(query_id).to_bytes(2) + query_id + count.to_bytes(2)


@dataclass(frozen=True, slots=True)
class ValueEncoder:
    """Checks and encodes values of one type, one at a time.

    Attributes:
        kind: The type.
        encode: Checks and encodes a Python value that is not null; raises `DataError`.
        inner: The encoders of element, key and value or field types.
        packed: Bytes of each value inside a vector, where it then has no length; 0 when it has one.
    """

    kind: CqlType
    encode: Callable[[Any], bytes]
    inner: tuple[ValueEncoder, ...] = ()
    packed: int = 0


def value_encoder(prepared: Prepared, marker: int) -> ValueEncoder:
    """Return the encoder of a marker of `prepared`."""
    statement = prepared.statement
    return _encoder(statement.column_metadata[marker].type, statement.protocol_version)


def _encoder(driver_type: Any, version: int) -> ValueEncoder:
    kind = from_driver(driver_type)
    check = element_checker(kind)

    def encode(value: Any) -> bytes:
        encoded: bytes = driver_type.serialize(check(value, ""), version)
        return encoded

    bare = driver_type
    while len(kind.args) != len(_subtypes(bare)) and _subtypes(bare):
        bare = _subtypes(bare)[0]  # frozen<...> changes nothing about the bytes
    inner = tuple(_encoder(one, version) for one in _subtypes(bare))
    return ValueEncoder(kind, encode, inner, driver_type.serial_size() or 0)


def _subtypes(driver_type: Any) -> tuple[Any, ...]:
    if getattr(driver_type, "vector_size", 0):
        return (driver_type.subtype,)
    return tuple(getattr(driver_type, "subtypes", None) or ())


def vector_length(size: int) -> bytes:
    """Return the length of an element of a vector as the server writes it (`VIntCoding`)."""
    packed: bytes = uvint_pack(size)
    return packed


def equal_codes(columns: Sequence[Cells]) -> NDArray[np.int64]:
    """Return a number per row, equal exactly where all the columns are; none may be missing.

    They are numbered from 0 in order of first appearance.
    """
    starts = run_starts(columns)
    if 2 * len(starts) > len(columns[0]):
        return _joint_codes(columns)
    codes = _joint_codes([column.take(starts) for column in columns])
    return np.repeat(codes, np.diff(starts, append=len(columns[0])))


def run_starts(columns: Sequence[Cells]) -> NDArray[np.int64]:
    """Return the rows that differ from the one before, the first included; none may be missing."""
    if not len(columns[0]):
        return np.empty(0, np.int64)
    changes = columns[0].changes()
    for column in columns[1:]:
        changes = changes | column.changes()
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def _joint_codes(columns: Sequence[Cells]) -> NDArray[np.int64]:
    codes = columns[0].codes()
    for column in columns[1:]:
        more = column.codes()
        codes = number(codes * (int(more.max(initial=0)) + 1) + more)
    return codes


def number(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return numbers from 0 for equal values, in order of first appearance."""
    return _codes(pa.array(values))


_LENGTH = np.dtype(">i4")


def _pack(run: Sequence[tuple[np.dtype[Any], Any]], size: int) -> pa.LargeBinaryArray:
    """Write a run of fixed-width items side by side; items that are the same in every row once."""
    kind = np.dtype([(f"f{place}", one) for place, (one, _) in enumerate(run)])
    once = np.zeros(1, kind)
    for place, (_, value) in enumerate(run):
        if not isinstance(value, np.ndarray):
            once[f"f{place}"] = value
    whole = np.dtype(f"V{kind.itemsize}")
    packed = np.empty(size, kind)
    packed.view(whole)[:] = once.view(whole)[0]
    for place, (_, value) in enumerate(run):
        if isinstance(value, np.ndarray):
            packed[f"f{place}"] = value
    return _large_binary(packed, np.arange(size + 1) * kind.itemsize)


def _large_binary(data: NDArray[Any], offsets: NDArray[np.int64]) -> pa.LargeBinaryArray:
    where = pa.py_buffer(np.ascontiguousarray(offsets, np.int64))
    # A buffer of records would be refused; as plain bytes it is taken without a copy.
    held = pa.py_buffer(data.view(np.uint8))
    buffers = [None, where, held]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _fixed_binary(items: NDArray[Any]) -> pa.FixedSizeBinaryArray:
    kind = pa.binary(items.itemsize)
    return pa.Array.from_buffers(kind, len(items), [None, pa.py_buffer(items.view(np.uint8))])


def _offsets(array: pa.LargeBinaryArray) -> NDArray[np.int64]:
    held = np.frombuffer(array.buffers()[1], np.int64)
    return held[array.offset : array.offset + len(array) + 1]


def _codes(array: pa.Array) -> NDArray[np.int64]:
    codes = array.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    found: NDArray[np.int64] = codes.astype(np.int64)
    return found


def _unless_none(missing: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    return missing if missing.any() else None
