"""Pages as a server would send them, made with the driver's own encoding."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from cassandra import cqltypes

from prefect_cassandra.driver.cqltype import CqlType, parse
from prefect_cassandra.driver.raw_rows import RawRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.driver.cqltype import UserType

_NESTED = {
    "list": cqltypes.ListType,
    "set": cqltypes.SetType,
    "map": cqltypes.MapType,
    "tuple": cqltypes.TupleType,
}
_SCALARS = {
    kind.typename: kind
    for kind in vars(cqltypes).values()
    if isinstance(kind, type) and hasattr(kind, "typename")
}


def driver_type(kind: CqlType) -> Any:
    """Return the driver's class of a CQL type."""
    inner = [driver_type(arg) for arg in kind.args]
    if kind.name == "udt":
        return cqltypes.UserType.make_udt_class("ks", kind.label, kind.fields, inner)
    if kind.name == "vector":
        named = {"vector_size": kind.size, "subtype": inner[0]}
        return type("Vector", (cqltypes.VectorType,), named)
    if kind.name in _NESTED:
        return _NESTED[kind.name].apply_parameters(inner)
    return _SCALARS["varchar" if kind.name == "text" else kind.name]


def cell(value: bytes | None) -> bytes:
    """Return a value behind its length."""
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


def page(
    columns: dict[str, str], rows: Sequence[Sequence[Any]], udts: tuple[UserType, ...] = ()
) -> RawRows:
    """Return rows of Python values as a page; `bytes` stand for themselves in any column.

    Args:
        columns: Names and CQL types.
        rows: Values in column order.
        udts: User-defined types that the columns name.
    """
    kinds = [driver_type(parse(text, udts)) for text in columns.values()]
    body = b"".join(
        cell(value if value is None or isinstance(value, bytes) else kind.to_binary(value, 5))
        for row in rows
        for kind, value in zip(kinds, row, strict=True)
    )
    return RawRows(tuple(columns), tuple(kinds), len(rows), body)
