"""Checking values before they are bound, so that nothing is changed or lost in silence.

The driver takes a naive time for UTC, cuts microseconds off, writes a NaN where a null was meant
and binds the words of a dictionary it does not know to nothing. Here each of these is an error that
names the row and the column. `checker` builds one closure per column type, once, because a bulk
load asks it for every cell.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cassandra.query import UNSET_VALUE
from cassandra.util import Date, Duration, Time

from prefect_cassandra.driver.cqltype import CqlType, UserType, parse
from prefect_cassandra.driver.scalars import SCALARS, Check, Where, plain, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "UNSET",
    "Date",
    "Duration",
    "Time",
    "UserType",
    "check_value",
    "checker",
    "element_checker",
]

# Binding UNSET leaves the stored cell as it is; binding None writes a tombstone over it.
UNSET = UNSET_VALUE


def check_value(value: object, cql_type: str, where: Where) -> Any:
    """Return `value` as it can be bound to a column of `cql_type`.

    Args:
        value: Anything; None stays null and `UNSET` stays unset.
        cql_type: The column's type as CQL spells it.
        where: What to call this place in an error: "row 17, column dep_delay", or a function that
            returns it.

    Raises:
        DataError: The value does not fit, or fits only by changing it.
    """
    return checker(cql_type)(value, where)


@lru_cache(maxsize=1024)
def checker(
    cql_type: str | CqlType, user_types: tuple[UserType, ...] = (), *, key: bool = False
) -> Check:
    """Return the function that checks one column's values.

    Args:
        cql_type: The column's type.
        user_types: User-defined types of its keyspace, as `TableInfo.user_types` has them.
        key: Whether the column is part of the primary key, where null is refused.
    """
    kind = parse(cql_type, user_types) if isinstance(cql_type, str) else cql_type
    check = element_checker(kind)

    def check_cell(value: object, where: Where) -> Any:
        if value is None or value is UNSET:
            if key:
                raise refuse(where, "a key column needs a value", "Drop the row, or fill the key.")
            return value
        return check(value, where)

    return check_cell


def element_checker(kind: CqlType) -> Check:
    """Return the check for a value that is neither null nor unset."""
    if kind.name in _CONTAINERS:
        return _CONTAINERS[kind.name](kind)
    return SCALARS.get(kind.name, SCALARS["custom"])


def _sequence(kind: CqlType) -> Check:
    """Check lists and sets; both go to the driver as lists, which need no hashing."""
    inner = _no_nulls(element_checker(kind.args[0]))

    def check(value: object, where: Where) -> Any:
        items = _items(value, kind, where)
        return [inner(item, where) for item in items]

    return check


def _vector(kind: CqlType) -> Check:
    inner = _no_nulls(element_checker(kind.args[0]))

    def check(value: object, where: Where) -> Any:
        items = _items(value, kind, where)
        if len(items) != kind.size:
            raise refuse(where, f"{len(items)} elements do not fit {kind}")
        return [inner(item, where) for item in items]

    return check


def _map(kind: CqlType) -> Check:
    keys, values = (_no_nulls(element_checker(arg)) for arg in kind.args)

    def check(value: object, where: Where) -> Any:
        value = plain(value)
        # Arrow hands maps over as lists of pairs.
        pairs = value.items() if hasattr(value, "items") else value
        if not isinstance(value, list | tuple) and not hasattr(value, "items"):
            raise refuse(where, f"{type(value).__name__} is not a map, {kind} is asked for")
        try:
            found = [(keys(k, where), values(v, where)) for k, v in pairs]  # type: ignore[union-attr]
        except (TypeError, ValueError) as error:
            raise refuse(where, f"not a map or a list of pairs: {error}") from error
        return Pairs(found)

    return check


def _tuple(kind: CqlType) -> Check:
    inner = [_nullable(element_checker(arg)) for arg in kind.args]

    def check(value: object, where: Where) -> Any:
        items = plain(value)
        if not isinstance(items, list | tuple) or len(items) != len(inner):
            raise refuse(where, f"{kind} needs a tuple of {len(inner)} elements")
        return tuple(one(item, where) for one, item in zip(inner, items, strict=True))

    return check


def _udt(kind: CqlType) -> Check:
    inner = {
        field: _nullable(element_checker(arg))
        for field, arg in zip(kind.fields, kind.args, strict=True)
    }

    def check(value: object, where: Where) -> Any:
        value = plain(value)
        if hasattr(value, "_asdict"):
            value = value._asdict()
        if not hasattr(value, "keys"):
            raise refuse(where, f"{kind} needs a mapping of its fields: {', '.join(kind.fields)}")
        unknown = [field for field in value if field not in inner]  # type: ignore[attr-defined]
        if unknown:
            raise refuse(where, f"{kind} has no field {unknown[0]!r}, only {', '.join(inner)}")
        return tuple(one(value.get(field), where) for field, one in inner.items())  # type: ignore[attr-defined]

    return check


class Pairs(list[tuple[Any, Any]]):
    """A map whose keys need not be hashable: the driver asks a map for nothing but its items."""

    def items(self) -> list[tuple[Any, Any]]:
        """Return the pairs."""
        return self


def _items(value: object, kind: CqlType, where: Where) -> Any:
    value = plain(value)
    if hasattr(value, "tolist") and getattr(value, "ndim", 0) == 1:
        # NumPy elements are checked as they are: tolist() would hide what datetime64 they were.
        return list(value)  # type: ignore[call-overload]
    if isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "SortedSet":
        return value
    raise refuse(where, f"{type(value).__name__} is not a collection, {kind} is asked for")


def _no_nulls(check: Check) -> Check:
    def check_element(value: object, where: Where) -> Any:
        if value is None or value is UNSET:
            raise refuse(where, "a collection cannot hold null", "Leave the element out.")
        return check(value, where)

    return check_element


def _nullable(check: Check) -> Check:
    return lambda value, where: None if value is None else check(value, where)


_CONTAINERS: dict[str, Callable[[CqlType], Check]] = {
    "list": _sequence,
    "set": _sequence,
    "map": _map,
    "tuple": _tuple,
    "udt": _udt,
    "vector": _vector,
}
