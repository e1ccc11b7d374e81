"""Arrow columns as the text of CSV cells, exact enough to be loaded again.

Numbers, moments in the years 1 to 9999, dates and text are left to Arrow's own CSV writer, which
turns whole columns into text. Blobs become `0xcafe`, UUIDs their 36 characters, durations
`1mo2d3ns`, collections JSON: lists, sets, vectors and tuples as arrays, maps as arrays of pairs,
user-defined types as objects. A cell without a value is empty, empty text is `""`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.driver.cqltype import CqlType

_NESTED = frozenset({"list", "set", "map", "tuple", "udt", "vector"})
_UUIDS = frozenset({"uuid", "timeuuid"})
# In JSON these stand as numbers or texts by themselves; all others are written as text.
_JSON_NATIVE = frozenset(
    [
        "ascii",
        "bigint",
        "boolean",
        "counter",
        "decimal",
        "double",
        "float",
        "inet",
        "int",
        "smallint",
        "text",
        "tinyint",
        "varint",
    ]
)
_NATIVE = _JSON_NATIVE | {"date", "time", "timestamp"}
_HEX = np.frombuffer(bytes(range(256)).hex().encode(), "u2")
_DASHED = np.array([8, 12, 16, 20])  # before which of the 32 digits
_FIRST_MOMENT, _LAST_MOMENT = -62_135_596_800_000, 253_402_300_799_999  # years 1 and 9999, in ms


def text_schema(schema: pa.Schema, kinds: Sequence[CqlType]) -> pa.Schema:
    """Return the schema of what `as_text` returns for tables of `schema`."""
    return pa.schema(
        [
            (field.name, field.type if kind.name in _PLAIN else pa.string())
            for field, kind in zip(schema, kinds, strict=True)
        ]
    )


def as_text(table: pa.Table, kinds: Sequence[CqlType]) -> pa.Table:
    """Return a table in which every column is one that Arrow's CSV writer writes exactly.

    Args:
        table: The rows.
        kinds: The columns' CQL types.
    """
    schema = text_schema(table.schema, kinds)
    columns = [
        column
        if kind.name in _PLAIN
        else pa.chunked_array([_text(kind, chunk) for chunk in column.chunks], pa.string())
        for kind, column in zip(kinds, table.columns, strict=True)
    ]
    return pa.table(columns, schema=schema)


def _text(kind: CqlType, values: pa.Array) -> pa.Array:
    if kind.name in _NESTED:
        found = [None if value is None else _json(value) for value in _jsonable(kind, values)]
        return pa.array(found, pa.string())
    if kind.name == "timestamp":
        return _moments(values)
    if kind.name in _UUIDS:
        return _uuids(values)
    if kind.name == "duration":
        return pa.array([_duration(value) for value in values.to_pylist()], pa.string())
    if kind.name in _NATIVE:
        return values.cast(pa.string())
    return _hex(values)


def _moments(values: pa.Array) -> pa.Array:
    """Write moments; outside of the years that a text can hold, milliseconds since 1970."""
    numbers = values.cast(pa.int64())
    near = pc.and_(pc.greater_equal(numbers, _FIRST_MOMENT), pc.less_equal(numbers, _LAST_MOMENT))
    moments = pc.if_else(near, values, pa.scalar(None, values.type)).cast(pa.string())
    return pc.if_else(near, moments, numbers.cast(pa.string()))


def _uuids(values: pa.Array) -> pa.Array:
    storage = values.storage
    data = np.frombuffer(
        storage.buffers()[1] or b"", np.uint8, len(storage) * 16, storage.offset * 16
    )
    digits = _HEX[data].view(np.uint8).reshape(len(storage), 32)
    text = np.insert(digits, _DASHED, ord("-"), axis=1)
    offsets = np.arange(len(storage) + 1, dtype=np.int32) * 36
    made = pa.Array.from_buffers(
        pa.string(), len(storage), [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    )
    return _under(values, made)


def _hex(values: pa.Array) -> pa.Array:
    """Write bytes as `0x` and two digits for each."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset :][: len(values) + 1]
    data = np.frombuffer(values.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    starts = 2 * (offsets - offsets[0]).astype(np.int64)
    digits = pa.Array.from_buffers(
        pa.large_string(), len(values), [None, pa.py_buffer(starts), pa.py_buffer(_HEX[data])]
    )
    prefix, between = pa.scalar("0x", pa.large_string()), pa.scalar("", pa.large_string())
    return _under(values, pc.binary_join_element_wise(prefix, digits, between).cast(pa.string()))


def _under(values: pa.Array, made: pa.Array) -> pa.Array:
    """Return what was made of all values, null where they are."""
    return made if not values.null_count else pc.if_else(values.is_valid(), made, None)


def _duration(value: Any) -> str | None:
    if value is None:
        return None
    months, days, nanoseconds = value["months"], value["days"], value["nanoseconds"]
    sign = "-" if min(months, days, nanoseconds) < 0 else ""
    return f"{sign}{abs(months)}mo{abs(days)}d{abs(nanoseconds)}ns"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _jsonable(kind: CqlType, values: pa.Array) -> list[Any]:
    """Return values as what `json` writes: leaves that JSON does not know become text first."""
    match kind.name:
        case "list" | "set" | "vector":
            return _cut(values, _jsonable(kind.args[0], values.flatten()))
        case "map":
            keys, items = (
                _jsonable(arg, part)
                for arg, part in zip(kind.args, (values.keys, values.items), strict=True)
            )
            start, end = values.offsets[0].as_py(), values.offsets[-1].as_py()
            pairs = [list(pair) for pair in zip(keys[start:end], items[start:end], strict=True)]
            return _cut(values, pairs)
        case "tuple" | "udt":
            parts = [
                _jsonable(arg, part) for arg, part in zip(kind.args, values.flatten(), strict=True)
            ]
            rows: Any = zip(*parts, strict=True)
            if kind.name == "udt":
                rows = (dict(zip(kind.fields, row, strict=True)) for row in rows)
            else:
                rows = map(list, rows)
            there = values.is_valid().to_pylist()
            return [row if valid else None for row, valid in zip(rows, there, strict=True)]
    found: list[Any] = (values if kind.name in _JSON_NATIVE else _text(kind, values)).to_pylist()
    return found


def _cut(lists: pa.Array, elements: list[Any]) -> list[Any]:
    """Cut the elements of all lists, one after the other, into the lists."""
    found: list[Any] = []
    place = 0
    # Of the offsets, because Arrow tells the lengths of lists but not those of maps.
    if pa.types.is_map(lists.type):
        lengths = np.diff(lists.offsets.to_numpy()).tolist()
    else:
        lengths = pc.list_value_length(lists).to_pylist()
    for length, valid in zip(lengths, lists.is_valid().to_pylist(), strict=True):
        if not valid:
            found.append(None)
            continue
        found.append(elements[place : place + length])
        place += length
    return found


_PLAIN = _NATIVE - {"timestamp"}
