"""One row's cells with their write times, as the table has them now.

Keys, nulls and deleted cells have no write time. A collection that is not frozen has one for each
element, and a user-defined type for each field. A static column belongs to its whole partition.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.cqltype import parse
from prefect_cassandra.driver.frames import routing_key
from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.errors import ConfigurationError, DataError
from prefect_cassandra.ledger.statements import removals_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    import pyarrow as pa

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.driver.raw_rows import RawRows
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
    from prefect_cassandra.ledger.statements import Removal


@dataclass(frozen=True, slots=True)
class Written:
    """What one stamp wrote of a column.

    Attributes:
        stamp: The write time, microseconds since 1970.
        expires_in: Seconds it still lives; None when it stays.
        elements: Which elements or fields of a column that has several: the elements of a set, the
            keys of a map, the places of a list from 0, the names of fields.
    """

    stamp: int
    expires_in: int | None
    elements: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Cells:
    """A column of a row.

    Attributes:
        column: Its name.
        static: Whether it belongs to the partition.
        value: As Arrow gives it to Python; of `decimal` and `varint` the digits as text.
        text: As a CSV cell has it; None for null.
        written: Who knows what wrote it, the newest first; nothing for null.
    """

    column: str
    static: bool
    value: Any
    text: str | None
    written: tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row, or the static columns of a partition.

    Attributes:
        key: Its key as text, by column.
        key_bytes: Its key in the bytes of its types, in key order; of a partition that one's.
        partition_bytes: The same of its partition key.
        cells: Its other columns.
    """

    key: dict[str, str | None]
    key_bytes: tuple[bytes, ...]
    partition_bytes: tuple[bytes, ...]
    cells: tuple[Cells, ...]


def typed_key(table: TableInfo, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of key columns that are given as text, as in `day=2013-07-04`.

    Raises:
        ConfigurationError: A name is no column of the key.
        DataError: A text is no value of its column's type.
    """
    from prefect_cassandra.writes.literals import reader  # noqa: PLC0415 -- only where it is needed

    require_key(table, texts)
    found: dict[str, Any] = {}
    for name, text in texts.items():
        column = table.column(name)
        assert column is not None  # noqa: S101 -- part of the key
        try:
            found[name] = reader(parse(column.cql_type, table.user_types))(text)
        except ValueError as error:
            raise DataError(f"{name}: {error}.", hint=f"{name} is a {column.cql_type}.") from None
    return found


def require_key(table: TableInfo, given: Mapping[str, object]) -> bool:
    """Check that names are those of the whole key, or of the partition key.

    Returns:
        Whether they are the whole key.

    Raises:
        ConfigurationError: They are neither, or the partition has no static columns.
    """
    name = f"{table.keyspace}.{table.name}"
    extra = [one for one in given if one not in table.primary_key]
    key = ", ".join(table.primary_key)
    if extra:
        raise ConfigurationError(
            f"{extra[0]!r} is no column of the primary key of {name}.", hint=f"The key is: {key}."
        )
    if set(given) == set(table.primary_key):
        return True
    if set(given) == set(table.partition_key) and _statics(table):
        return False
    missing = [one for one in table.primary_key if one not in given]
    raise ConfigurationError(
        f"{', '.join(missing)} is missing: one row of {name} has the key {key}.",
        hint="Give every column of the key"
        + (", or of the partition key for its static columns." if _statics(table) else "."),
    )


def read_row(session: Session, table: TableInfo, key: Mapping[str, Any]) -> Row | None:
    """Read a row, or with the partition key alone the static columns of a partition.

    Args:
        session: Logged in as a role that may read the table.
        table: The table.
        key: Values of the key's columns.

    Returns:
        None when there is no such row, or nothing in the partition.

    Raises:
        ConfigurationError: The key has other columns, or fewer.
        DataError: A value does not fit its column.

    Also raises what `Session.execute` does.
    """
    names, columns = _asked(table, key)
    pages = session.pages(_query(table, names, columns), [key[name] for name in names])
    page = next((one for one in pages if one.rows), None)
    return None if page is None else _row(page, names, columns, len(table.partition_key))


def read_deletions(
    session: Session, table: TableInfo, key: Mapping[str, Any], window: timedelta
) -> list[Removal]:
    """Return what stamped statements deleted of a row lately, the newest first.

    Args:
        session: Logged in as a role that may read the table and the ledger.
        table: The table.
        key: Values of the key's columns, as for `read_row`.
        window: How far to look back; every day is a read.

    Raises what `read_row` does, and NoStampsError when there is no ledger.
    """
    names, columns = _asked(table, key)
    prepared = session.prepare(_query(table, names, columns))
    checked = prepared.check([key[name] for name in names])
    partition = routing_key(prepared.encode(checked)[: len(table.partition_key)])
    texts = dict(zip(names, map(str, checked), strict=True))
    found = removals_of(session, f"{table.keyspace}.{table.name}", partition, window)
    return [one for one in found if all(texts.get(name) == one.keys[name] for name in one.keys)]


def _asked(table: TableInfo, key: Mapping[str, Any]) -> tuple[tuple[str, ...], list[ColumnInfo]]:
    """Return the key columns that are given, and the others that have to do with them."""
    whole = require_key(table, key)
    columns = [
        one for one in table.columns if one.kind == "static" or (whole and one.kind == "regular")
    ]
    return (table.primary_key if whole else table.partition_key), columns


def _statics(table: TableInfo) -> bool:
    return any(one.kind == "static" for one in table.columns)


def _query(table: TableInfo, names: Sequence[str], columns: Sequence[ColumnInfo]) -> str:
    chosen = [quote(name) for name in names]
    for one in columns:
        chosen.append(quote(one.name))
        for function in _functions(one):
            alias = quote(f"{function}({one.name})")
            chosen.append(f"{function}({quote(one.name)}) AS {alias}")
    where = " AND ".join(f"{quote(name)} = ?" for name in names)
    source = dotted(table.keyspace, table.name)
    return f"SELECT {', '.join(chosen)} FROM {source} WHERE {where} LIMIT 1"  # noqa: S608 -- quoted


def _functions(column: ColumnInfo) -> tuple[str, ...]:
    # A counter has no time to live, and asking for it is an error.
    return ("writetime",) if column.cql_type == "counter" else ("writetime", "ttl")


def _row(page: RawRows, names: Sequence[str], columns: Sequence[ColumnInfo], partition: int) -> Row:
    import pyarrow as pa  # noqa: PLC0415 -- costs a quarter of a second

    from prefect_cassandra.driver.numpy_rows import wire_columns  # noqa: PLC0415 -- numpy
    from prefect_cassandra.reads.arrow import Decoder, width  # noqa: PLC0415 -- pyarrow
    from prefect_cassandra.reads.formats import instead  # noqa: PLC0415 -- pyarrow
    from prefect_cassandra.reads.text import as_text  # noqa: PLC0415 -- pyarrow

    decoder = Decoder(page.names, page.types, instead("csv", "text"))
    found = pa.Table.from_batches([decoder.batch(page)])
    texts = as_text(found, page.types)
    wires = wire_columns(page.body, page.rows, [width(kind) for kind in page.types])
    kinds = dict(zip(page.names, page.types, strict=True))

    def text(name: str) -> str | None:
        shown: str | None = texts[name].cast(pa.string())[0].as_py()
        return shown

    cells = tuple(_cells(found, one, kinds[one.name], text(one.name)) for one in columns)
    key = {name: text(name) for name in names}
    stored = tuple(wires[place][0].as_py() or b"" for place in range(len(names)))
    return Row(key, stored, stored[:partition], cells)


def _cells(found: pa.Table, column: ColumnInfo, kind: CqlType, text: str | None) -> Cells:
    value = _value(found[column.name][0], text)
    stamps = found[f"writetime({column.name})"][0].as_py()
    lives = None
    if "ttl" in _functions(column):
        lives = found[f"ttl({column.name})"][0].as_py()
    if isinstance(stamps, list):
        written = _grouped(stamps, lives or [None] * len(stamps), _elements(kind, text))
    else:
        written = tuple(Written(one, lives) for one in (stamps,) if one is not None)
    return Cells(column.name, column.kind == "static", value, text, written)


def _grouped(
    stamps: Sequence[int | None], lives: Sequence[int | None], elements: Sequence[Any]
) -> tuple[Written, ...]:
    """Put the elements of one stamp together."""
    together: dict[tuple[int, int | None], list[Any]] = {}
    for stamp, left, element in zip(stamps, lives, elements, strict=True):
        if stamp is not None:  # a field of a user-defined type without a value
            together.setdefault((stamp, left), []).append(element)
    ordered = sorted(together.items(), key=lambda item: -item[0][0])
    return tuple(Written(stamp, left, tuple(held)) for (stamp, left), held in ordered)


def _elements(kind: CqlType, text: str | None) -> Sequence[Any]:
    """Return what to call the elements of a collection, in the order in which it has them."""
    if kind.name == "udt":
        return kind.fields
    held = json.loads(text or "[]")
    if kind.name == "map":
        return [key for key, _ in held]
    return held if kind.name == "set" else range(len(held))


def _value(found: pa.Scalar, text: str | None) -> Any:
    """Return a value as Python has it; as text where Python has none that is exact."""
    try:
        return found.as_py()
    except (ValueError, OverflowError):
        return text
