"""Rows of a query as an Arrow table, typed by the query and not by what it happened to return.

The Arrow type follows from the CQL type alone, so an empty result has the same schema as a full
one. `decimal` and `varint` have no bound in CQL; they become decimal128(38, 18) and
decimal128(38, 0), as in Spark's connector, and a value that does not fit exactly is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from prefect_cassandra.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect_cassandra.driver.cqltype import CqlType

_SCALARS: dict[str, pa.DataType] = {
    "ascii": pa.string(),
    "bigint": pa.int64(),
    "blob": pa.binary(),
    "boolean": pa.bool_(),
    "counter": pa.int64(),
    "date": pa.date32(),
    "decimal": pa.decimal128(38, 18),
    "double": pa.float64(),
    "duration": pa.month_day_nano_interval(),
    "float": pa.float32(),
    "inet": pa.string(),
    "int": pa.int32(),
    "smallint": pa.int16(),
    "text": pa.string(),
    "time": pa.time64("ns"),
    "timestamp": pa.timestamp("ms", "UTC"),
    "timeuuid": pa.uuid(),
    "tinyint": pa.int8(),
    "uuid": pa.uuid(),
    "varint": pa.decimal128(38, 0),
}
_TABLE_ROWS = 5_000


def arrow_type(kind: CqlType) -> pa.DataType:
    """Return the Arrow type that holds every value of a CQL type; `binary` for custom types."""
    inner = [arrow_type(arg) for arg in kind.args]
    match kind.name:
        case "list" | "set":
            return pa.list_(inner[0])
        case "vector":
            return pa.list_(inner[0], kind.size)
        case "map":
            return pa.map_(*inner)
        case "tuple":
            return pa.struct([(str(place), one) for place, one in enumerate(inner)])
        case "udt":
            return pa.struct(list(zip(kind.fields, inner, strict=True)))
    return _SCALARS.get(kind.name, pa.binary())


def to_table(
    names: Sequence[str], kinds: Sequence[CqlType], rows: Iterable[Mapping[str, Any]]
) -> pa.Table:
    """Return rows as one Arrow table.

    Args:
        names: Column names, in order.
        kinds: Their CQL types.
        rows: Dictionaries of plain values, as the driver room's `Result` yields them.

    Raises:
        DataError: A value is larger or finer than its Arrow type.
    """
    schema = pa.schema([(n, arrow_type(k)) for n, k in zip(names, kinds, strict=True)])
    columns: dict[str, list[pa.Array]] = {name: [] for name in names}
    for some in _slices(rows):
        for name, kind in zip(names, kinds, strict=True):
            columns[name].append(_array([row[name] for row in some], kind, name))
    return pa.table(
        [pa.chunked_array(columns[field.name], field.type) for field in schema], schema=schema
    )


def _slices(rows: Iterable[Mapping[str, Any]]) -> Iterable[list[Mapping[str, Any]]]:
    """Cut an iterable into lists, so that Python objects never pile up for a whole result."""
    some: list[Mapping[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) == _TABLE_ROWS:
            yield some
            some = []
    if some:
        yield some


def _array(values: list[Any], kind: CqlType, name: str) -> pa.Array:
    try:
        return pa.array([_ready(value, kind) for value in values], arrow_type(kind))
    except (pa.ArrowException, ValueError, OverflowError, TypeError) as error:
        raise DataError(
            f"column {name}: {error}",
            hint=f"Not every {kind} fits {arrow_type(kind)}; query without `as_table`.",
        ) from error


def _ready(value: Any, kind: CqlType) -> Any:  # noqa: PLR0911 -- one line per type that differs
    """Return a plain value in the form that pyarrow takes for its type."""
    if value is None:
        return None
    match kind.name:
        case "time":
            # A time finer than a microsecond has no Python twin; the driver's own class keeps it.
            return getattr(value, "nanosecond_time", value)
        case "duration":
            return pa.MonthDayNano([value.months, value.days, value.nanoseconds])
        case "date":
            return getattr(value, "days_from_epoch", value)
        case "list" | "set" | "vector":
            return [_ready(item, kind.args[0]) for item in value]
        case "map":
            pairs = value.items() if isinstance(value, Mapping) else value
            return [(_ready(k, kind.args[0]), _ready(v, kind.args[1])) for k, v in pairs]
        case "tuple":
            return {
                str(place): _ready(item, one)
                for place, (item, one) in enumerate(zip(value, kind.args, strict=True))
            }
        case "udt":
            return {
                field: _ready(value[field], one)
                for field, one in zip(kind.fields, kind.args, strict=True)
            }
    return value
