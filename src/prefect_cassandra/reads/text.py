"""Arrow columns as the text of CSV cells, exact enough to be loaded again.

Numbers, days and moments in the years 1 to 9999 and text are left to Arrow, which turns whole
columns into text; other years have a sign. Blobs become `0xcafe`, UUIDs their 36 characters,
durations `1mo2d3ns`, collections JSON: lists, sets, vectors and tuples as arrays, maps as arrays of
pairs, user-defined types as objects. A cell without a value is empty, empty text is `""`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prefect_cassandra.reads.far_dates import FIRST_DAY, LAST_DAY, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect_cassandra.driver.cqltype import CqlType

_NESTED = frozenset({"list", "set", "map", "tuple", "udt", "vector"})
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
_DAY = 86_400_000  # milliseconds


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
    write = _WRITERS.get(kind.name)
    if write is not None:
        return write(values)
    if kind.name in _NATIVE:
        return values.cast(pa.string())
    return _hex(values)


def _dates(values: pa.Array) -> pa.Array:
    return _spelled(values, values.cast(pa.int32()), 1, spelled)


def _moments(values: pa.Array) -> pa.Array:
    return _spelled(values, values.cast(pa.int64()), _DAY, _far_moment)


def _spelled(values: pa.Array, numbers: pa.Array, day: int, far: Callable[[int], str]) -> pa.Array:
    """Write days or moments; those that Arrow cannot write, one by one.

    Args:
        values: What to write.
        numbers: The same, counted from 1970.
        day: How many of these units a day has.
        far: Writes one that is outside of the years 1 to 9999.
    """
    first, last = FIRST_DAY * day, (LAST_DAY + 1) * day - 1
    near = pc.and_(pc.greater_equal(numbers, first), pc.less_equal(numbers, last))
    if pc.all(near).as_py() is not False:
        return values.cast(pa.string())
    found = pc.if_else(near, values, pa.scalar(None, values.type)).cast(pa.string())
    others = pc.if_else(near, pa.scalar(None, numbers.type), numbers).to_pylist()
    written = [None if one is None else far(one) for one in others]
    return pc.coalesce(found, pa.array(written, pa.string()))


def _far_moment(milliseconds: int) -> str:
    day, rest = divmod(milliseconds, _DAY)
    seconds, part = divmod(rest, 1_000)
    minutes, second = divmod(seconds, 60)
    return f"{spelled(day)} {minutes // 60:02}:{minutes % 60:02}:{second:02}.{part:03}Z"


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


def _durations(values: pa.Array) -> pa.Array:
    return pa.array([_duration(value) for value in values.to_pylist()], pa.string())


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


_WRITERS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "date": _dates,
    "duration": _durations,
    "timestamp": _moments,
    "timeuuid": _uuids,
    "uuid": _uuids,
}
_PLAIN = _NATIVE - {"date", "timestamp"}
