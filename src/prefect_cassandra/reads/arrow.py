"""Wire bytes as Arrow columns, a whole column at a time.

How each type looks on the wire is in the native protocol v5 specification, section 6. A collection
holds its elements as a row holds its values, so the elements of a whole column, one list after
the other, are again rows of one column (of two for a map, of one per field for a tuple) and go
through the same splitter. Only what is of no fixed form - inet, varint, decimal, duration - is
turned value by value. A value of no bytes, legal in every type, is null where it means nothing.
"""

from __future__ import annotations

import ipaddress
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from prefect_cassandra.driver.arrow_types import DURATION, SCALARS, arrow_type
from prefect_cassandra.driver.numpy_rows import wire_columns
from prefect_cassandra.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.driver.raw_rows import RawRows

# NumPy's name of each number as it comes: most significant byte first.
_NUMBERS = {
    "bigint": ">i8",
    "counter": ">i8",
    "double": ">f8",
    "float": ">f4",
    "int": ">i4",
    "smallint": ">i2",
    "time": ">i8",
    "timestamp": ">i8",
    "tinyint": ">i1",
}
# Elements of these stand in a vector without a length; all others have one, those of fixed width
# too (`AbstractType.valueLengthIfFixed` of the server).
_PACKED = frozenset(
    ["bigint", "boolean", "double", "float", "int", "timestamp", "timeuuid", "uuid"]
)
_EPOCH_DAY = np.uint32(1 << 31)  # a date counts days from 1970-01-01, which is 2^31
_COUNT = 4
_SHOWN = 60


class Decoder:
    """Makes record batches of the pages of one query.

    Args:
        names: Column names.
        kinds: Their CQL types.
        instead: Other Arrow types for some CQL types; see `arrow_types.arrow_type`.
    """

    def __init__(
        self,
        names: Sequence[str],
        kinds: Sequence[CqlType],
        instead: Mapping[str, pa.DataType] | None = None,
    ) -> None:
        self.kinds = tuple(kinds)
        types = [arrow_type(kind, instead or {}) for kind in kinds]
        self.schema = pa.schema(list(zip(names, types, strict=True)))
        self._widths = [width(kind) for kind in kinds]

    def batch(self, page: RawRows) -> pa.RecordBatch:
        """Return a page as a record batch.

        Raises:
            DataError: A value is larger or finer than its Arrow type, the page is damaged, or the
                table has changed since the query began.
        """
        if page.names != tuple(self.schema.names) or page.types != self.kinds:
            raise DataError(
                "The table was changed while it was read: its columns have other types now.",
                hint="Read it again from the beginning.",
            )
        wires = wire_columns(page.body, page.rows, self._widths)
        columns = []
        for kind, wire, entry in zip(self.kinds, wires, self.schema, strict=True):
            try:
                columns.append(decode(kind, wire, entry.type))
            except (pa.ArrowException, ValueError, OverflowError, IndexError) as error:
                raise DataError(
                    f"column {entry.name}: {error}.",
                    hint=f"Not every {kind} fits {entry.type}; ask for it as text, or select it "
                    "without `as_table`.",
                ) from error
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def to_table(pages: Iterable[RawRows]) -> pa.Table:
    """Return the pages of one query as one table.

    Raises:
        DataError: A value is larger or finer than its Arrow type.
    """
    decoder: Decoder | None = None
    batches = []
    for page in pages:
        decoder = decoder or Decoder(page.names, page.types)
        batches.append(decoder.batch(page))
    return pa.Table.from_batches(batches, decoder.schema if decoder else pa.schema([]))


def width(kind: CqlType) -> int | None:
    """Return how many bytes every value of a type has on the wire; None when they vary."""
    if kind.name == "vector":
        inner = _packed_width(kind.args[0])
        return inner * kind.size if inner else None
    scalar = SCALARS.get(kind.name)
    return scalar.width or None if scalar is not None else None


def _packed_width(kind: CqlType) -> int | None:
    return width(kind) if kind.name in _PACKED or kind.name == "vector" else None


def decode(kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    """Return a column's values.

    Args:
        kind: Their CQL type.
        wire: Their bytes, as `wire_columns` delivers them.
        to: The Arrow type wanted, from `arrow_type`.

    Raises:
        ValueError: A value does not fit; also pyarrow's own errors.
    """
    if kind.name in _NUMBERS:
        numbers = np.frombuffer(wire.buffers()[1] or b"", _NUMBERS[kind.name], len(wire))
        return _with(wire, to, numbers.astype(numbers.dtype.newbyteorder("=")))
    make = _MAKERS.get(kind.name)
    return make(kind, wire, to) if make is not None else wire


def _with(wire: pa.Array, to: pa.DataType, values: np.ndarray[Any, Any]) -> pa.Array:
    """Return values under the nulls of the bytes they came from."""
    buffers = [wire.buffers()[0], pa.py_buffer(values)]
    return pa.Array.from_buffers(to, len(wire), buffers)


def _boolean(_kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    true = np.frombuffer(wire.buffers()[1] or b"", np.uint8, len(wire)) != 0
    return _with(wire, to, np.packbits(true, bitorder="little"))


def _date(_kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    days = np.frombuffer(wire.buffers()[1] or b"", ">u4", len(wire)).astype(np.uint32)
    return _with(wire, to, (days ^ _EPOCH_DAY).view(np.int32))


def _uuid(_kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    return pa.ExtensionArray.from_storage(to, wire)


def _text(_kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    return wire.cast(to)


def _each(
    read: Callable[[bytes], Any], _kind: CqlType, wire: pa.Array, to: pa.DataType
) -> pa.Array:
    """Turn values one by one; those of no bytes mean nothing."""
    values = [read(value) if value else None for value in wire.to_pylist()]
    if to == pa.string():
        values = [value if value is None else str(value) for value in values]
    try:
        return pa.array(values, to)
    except pa.ArrowException as error:
        raise ValueError(f"{error}: {_first_misfit(values, to)}") from error


def _first_misfit(values: Sequence[Any], to: pa.DataType) -> str:
    """Name the first value that does not fit."""
    for value in values:
        try:
            pa.array([value], to)
        except pa.ArrowException:
            text = str(value)
            return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return "none alone"


def _varint(value: bytes) -> Decimal:
    return Decimal(int.from_bytes(value, "big", signed=True))


def _decimal(value: bytes) -> Decimal:
    scale = int.from_bytes(value[:4], "big", signed=True)
    unscaled = int.from_bytes(value[4:], "big", signed=True)
    # Through text, because arithmetic would round to the context's 28 digits.
    return Decimal(f"{unscaled}E{-scale}")


def _inet(value: bytes) -> str:
    return str(ipaddress.ip_address(value))


def _duration(_kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    values = [_three(value) if value else None for value in wire.to_pylist()]
    if to == DURATION:
        names = [field.name for field in DURATION]
        return pa.array([v and dict(zip(names, v, strict=True)) for v in values], to)
    return pa.array([v and pa.MonthDayNano(v) for v in values], to)


def _three(value: bytes) -> tuple[int, int, int]:
    """Read months, days and nanoseconds: zigzag-coded variable-length integers."""
    numbers, place = [], 0
    for _ in range(3):
        number, place = _unsigned(value, place)
        numbers.append((number >> 1) ^ -(number & 1))
    return numbers[0], numbers[1], numbers[2]


def _unsigned(data: bytes, place: int) -> tuple[int, int]:
    """Read a variable-length integer; its first byte has a leading 1 for each byte that follows."""
    first = data[place]
    extra = 8 - (first ^ 0xFF).bit_length()
    number = first & (0xFF >> extra) if extra < 8 else 0  # noqa: PLR2004 -- bits of a byte
    end = place + 1 + extra
    return (number << 8 * extra) | int.from_bytes(data[place + 1 : end], "big"), end


def _spread(wire: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the bytes of a binary array without gaps, and where each value begins and the end."""
    offsets = np.frombuffer(wire.buffers()[1], np.int32, len(wire) + 1)
    data = np.frombuffer(wire.buffers()[2] or b"", np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


def _list(kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    counts, body = _elements(wire)
    (inner,) = wire_columns(body, int(counts.sum()), [width(kind.args[0])])
    return _collection(wire, to, counts, decode(kind.args[0], inner, to.value_type))


def _map(kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    counts, body = _elements(wire)
    wires = wire_columns(body, int(counts.sum()), [width(arg) for arg in kind.args])
    fields = (to.key_field, to.item_field)
    children = [
        decode(arg, inner, field.type)
        for arg, inner, field in zip(kind.args, wires, fields, strict=True)
    ]
    return _collection(wire, to, counts, pa.StructArray.from_arrays(children, fields=fields))


def _collection(
    wire: pa.Array, to: pa.DataType, counts: np.ndarray[Any, Any], elements: pa.Array
) -> pa.Array:
    """Cut elements into lists; those of no bytes are null, as the server has no empty ones."""
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    validity = _validity(_lengths(wire) > 0)
    return pa.Array.from_buffers(
        to, len(counts), [validity, pa.py_buffer(offsets)], children=[elements]
    )


def _struct(kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    """Read tuples and user-defined types, whose fields stand one after the other as in a row."""
    data, offsets = _spread(wire)
    present = np.diff(offsets) > 0
    widths = [width(arg) for arg in kind.args]
    rows = int(present.sum())
    try:
        wires = wire_columns(data.tobytes(), rows, widths)
    except DataError:
        # Written before the type got its last fields: all fields together are too few then.
        wires = wire_columns(_filled(wire, len(widths)), rows, widths)
    if rows < len(wire):
        # Before they are decoded: Arrow moves bytes about, but not lists of UUIDs.
        places = pa.array(np.cumsum(present) - 1, mask=~present)
        wires = [inner.take(places) for inner in wires]
    children = [
        decode(arg, inner, field.type)
        for arg, inner, field in zip(kind.args, wires, to, strict=True)
    ]
    return pa.Array.from_buffers(to, len(wire), [_validity(present)], children=children)


def _filled(wire: pa.Array, fields: int) -> bytes:
    """Return the values with null for each field that is missing at their ends."""
    parts = []
    for value in wire.to_pylist():
        if not value:
            continue
        found, place = 0, 0
        while place < len(value):
            place += _COUNT + max(
                0, int.from_bytes(value[place : place + _COUNT], "big", signed=True)
            )
            found += 1
        parts.append(value + b"\xff\xff\xff\xff" * (fields - found))
    return b"".join(parts)


def _vector(kind: CqlType, wire: pa.Array, to: pa.DataType) -> pa.Array:
    (element,) = kind.args
    packed = _packed_width(element)
    if packed is not None:
        count = len(wire) * kind.size
        inner = pa.Array.from_buffers(pa.binary(packed), count, [None, wire.buffers()[1]])
    else:
        inner = _vector_elements(element, wire, kind.size)
    values = decode(element, inner, to.value_type)
    present = (
        _lengths(wire) > 0 if packed is None else wire.is_valid().to_numpy(zero_copy_only=False)
    )
    return pa.Array.from_buffers(to, len(wire), [_validity(present)], children=[values])


def _vector_elements(element: CqlType, wire: pa.Array, size: int) -> pa.Array:
    """Read elements that have a length each, a variable-length integer."""
    values: list[bytes | None] = []
    for vector in wire.to_pylist():
        if not vector:
            values += [None] * size
            continue
        place = 0
        for _ in range(size):
            length, place = _unsigned(vector, place)
            values.append(vector[place : place + length])
            place += length
    one = width(element)
    return pa.array(values, pa.binary() if one is None else pa.binary(one))


def _elements(wire: pa.Array) -> tuple[np.ndarray[Any, Any], bytes]:
    """Take the counts off the front of collections.

    Returns:
        The number of elements of each, 0 for null, and the elements of all.
    """
    data, offsets = _spread(wire)
    present = np.diff(offsets) >= _COUNT
    places = offsets[:-1][present][:, None] + np.arange(_COUNT)
    counts = np.zeros(len(wire), np.int64)
    counts[present] = data[places].view(">i4").ravel()
    kept = np.ones(len(data), bool)
    kept[places] = False
    return counts, data[kept].tobytes()


def _lengths(wire: pa.Array) -> np.ndarray[Any, Any]:
    return np.diff(_spread(wire)[1])


def _validity(present: np.ndarray[Any, Any]) -> pa.Buffer | None:
    return None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))


_MAKERS: dict[str, Callable[[CqlType, pa.Array, pa.DataType], pa.Array]] = {
    "ascii": _text,
    "boolean": _boolean,
    "date": _date,
    "decimal": partial(_each, _decimal),
    "duration": _duration,
    "inet": partial(_each, _inet),
    "list": _list,
    "map": _map,
    "set": _list,
    "text": _text,
    "timeuuid": _uuid,
    "tuple": _struct,
    "udt": _struct,
    "uuid": _uuid,
    "varint": partial(_each, _varint),
    "vector": _vector,
}
