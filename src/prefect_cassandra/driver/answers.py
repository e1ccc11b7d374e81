"""What comes back: rows as dictionaries of plain Python values, fetched page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.cqltype import CqlType, from_driver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from prefect_cassandra.driver.raw_rows import RawRows

_APPLIED = "[applied]"
_MILLISECOND = 1000  # microseconds
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer.

    Args:
        columns: Column names.
        rows: The rows as plain values.
        state: Where the next page starts; None on the last.
        schema_agreed: False when nodes still disagreed about the schema after a schema change.
        types: The columns' CQL types.
        raw: The rows as they came, when they were asked for so; `rows` is empty then.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] | list[Row] = ()
    state: bytes | None = None
    schema_agreed: bool = True
    types: tuple[CqlType, ...] = ()
    raw: RawRows | None = None


class Result:
    """The answer to one statement.

    Iterating yields rows as dictionaries and fetches pages as they are needed; iterating again
    fetches the later pages again, so that a long result is never held as a whole. `rows` holds it.
    Timestamps come with UTC, dates, maps, sets and user-defined types as plain Python values.
    In an async flow use `async for` and `arows`: the plain forms wait for later pages.
    """

    def __init__(
        self,
        first: Page,
        fetch: Callable[[bytes], Page],
        afetch: Callable[[bytes], Awaitable[Page]],
    ) -> None:
        self._first = first
        self._fetch = fetch
        self._afetch = afetch
        self._rows: list[Row] | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the columns; empty when the statement returns no rows."""
        return list(self._first.columns)

    @property
    def types(self) -> list[CqlType]:
        """CQL types of the columns, known even when there is no row."""
        return list(self._first.types)

    @property
    def rows(self) -> list[Row]:
        """All rows; waits for every page."""
        if self._rows is None:
            self._rows = list(self)
        return self._rows

    async def arows(self) -> list[Row]:
        """All rows, without blocking the event loop."""
        if self._rows is None:
            self._rows = [row async for row in self]
        return self._rows

    def one(self) -> Row | None:
        """Return the first row, or None when there is none."""
        return next(iter(self), None)

    @property
    def applied(self) -> bool | None:
        """Whether a conditional write took effect; None for any other statement."""
        if _APPLIED not in self._first.columns or not self._first.rows:
            return None
        return bool(self._first.rows[0][_APPLIED])

    @property
    def schema_agreed(self) -> bool:
        """False when, after a schema change, nodes still disagreed at the end of the wait."""
        return self._first.schema_agreed

    def __iter__(self) -> Iterator[Row]:
        if self._rows is not None:
            yield from self._rows
            return
        page = self._first
        yield from page.rows
        while page.state is not None:
            page = self._fetch(page.state)
            yield from page.rows

    async def __aiter__(self) -> AsyncIterator[Row]:
        page = self._first if self._rows is None else Page(rows=self._rows)
        for row in page.rows:
            yield row
        while page.state is not None:
            page = await self._afetch(page.state)
            for row in page.rows:
                yield row

    def __repr__(self) -> str:
        return f"Result(columns={list(self._first.columns)})"


def page_of(names: Sequence[str] | None, kinds: Sequence[Any] | None, raw: Any) -> list[Row]:
    """Turn the driver's tuples into dictionaries of plain values."""
    if not names:
        return []
    converts = [converter(from_driver(kind)) for kind in kinds or ()]
    if not any(converts):
        return [dict(zip(names, row, strict=True)) for row in raw]
    pairs = list(zip(names, converts, strict=True))
    return [
        {
            name: convert(value) if convert is not None and value is not None else value
            for (name, convert), value in zip(pairs, row, strict=True)
        }
        for row in raw
    ]


def converter(kind: CqlType) -> Callable[[Any], Any] | None:
    """Return what turns the driver's value of this type into a plain one; None if nothing must."""
    inner = [converter(arg) for arg in kind.args]
    if kind.name == "udt":
        return lambda value: dict(zip(kind.fields, _fields(value, inner), strict=True))
    if kind.name in ("list", "vector", "tuple") and not any(inner):
        return None
    build = _CONTAINERS.get(kind.name)
    return build(*inner) if build is not None else _SCALARS.get(kind.name)


def _aware(value: Any) -> Any:
    """Say UTC, which the driver leaves out, and undo its rounding through a float.

    After the year 2242 its seconds-as-float is off by microseconds; a timestamp has milliseconds.
    """
    off = value.microsecond % _MILLISECOND
    if off:
        value += timedelta(microseconds=-off if off < _MILLISECOND // 2 else _MILLISECOND - off)
    return value.replace(tzinfo=UTC)


def _plain_date(value: Any) -> Any:
    try:
        return value.date()
    except ValueError:
        return value  # outside the years 1 to 9999, which only the driver's own class can hold


def _plain_time(value: Any) -> Any:
    return value if value.nanosecond_time % 1000 else value.time()


def _each(values: Any, convert: Callable[[Any], Any] | None) -> list[Any]:
    if convert is None:
        return list(values)
    return [convert(value) if value is not None else None for value in values]


def _fields(values: Any, converts: list[Callable[[Any], Any] | None]) -> list[Any]:
    return [
        convert(value) if convert is not None and value is not None else value
        for value, convert in zip(values, converts, strict=True)
    ]


def _plain_set(values: list[Any]) -> Any:
    try:
        return set(values)
    except TypeError:
        return values  # elements that are collections themselves


def _plain_map(
    value: Any,
    key: Callable[[Any], Any] | None,
    inner: Callable[[Any], Any] | None,
) -> Any:
    keys, values = _each(value.keys(), key), _each(value.values(), inner)
    try:
        return dict(zip(keys, values, strict=True))
    except TypeError:
        return list(zip(keys, values, strict=True))  # keys that are collections themselves


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "timestamp": _aware,
    "date": _plain_date,
    "time": _plain_time,
}
_CONTAINERS: dict[str, Callable[..., Callable[[Any], Any]]] = {
    "list": lambda inner: lambda value: _each(value, inner),
    "vector": lambda inner: lambda value: _each(value, inner),
    "set": lambda inner: lambda value: _plain_set(_each(value, inner)),
    "map": lambda key, inner: lambda value: _plain_map(value, key, inner),
    "tuple": lambda *inner: lambda value: tuple(_fields(value, list(inner))),
}
