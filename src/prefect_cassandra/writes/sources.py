"""What people hand to a load, cut into chunks of columns.

Arrow tables, batches and readers, pandas frames, lists of dicts, anything that speaks the Arrow C
stream protocol (polars, DuckDB), and iterables of any of these. A chunk's column is an Arrow array
where Arrow has a type for it, else a plain list of Python values.

pandas has one mark for "missing" in float columns, NaN. So in data from pandas NaN is a missing
value; in Arrow data only null is, and NaN is a number like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prefect_cassandra.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Column: TypeAlias = pa.Array | list[Any]

CHUNK_ROWS = 5_000
WINDOW_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of the input, by column.

    Attributes:
        positions: Where in the whole input each row is, counted from 0.
        columns: Arrow array or list of Python values by column name.
        nan_is_missing: Whether NaN marks a missing value, as in pandas.
    """

    positions: Sequence[int]
    columns: dict[str, Column]
    nan_is_missing: bool = False

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.positions)

    def take(self, rows: pa.Array) -> Chunk:
        """Return the rows at these places of the chunk, in this order."""
        places: list[int] = rows.to_pylist()
        columns: dict[str, Column] = {
            name: [column[place] for place in places]
            if isinstance(column, list)
            else column.take(rows)
            for name, column in self.columns.items()
        }
        return Chunk([self.positions[place] for place in places], columns, self.nan_is_missing)


@dataclass(frozen=True, slots=True)
class Part:
    """One table, frame or list of the input, not yet cut.

    Attributes:
        types: Arrow type by column name; None where only the values tell.
        size: Number of rows.
        cut: Gives the chunk of rows `start` to `stop`; its first argument is the row number of
            `start` in the whole input.
        nan_is_missing: Whether NaN marks a missing value, as in pandas.
        index_names: Names that a pandas index holds, for a better hint.
    """

    types: dict[str, pa.DataType | None]
    size: int
    cut: Callable[[int, int, int], Chunk]
    nan_is_missing: bool = False
    index_names: tuple[str, ...] = ()

    def chunks(
        self, first_row: int, group_by: Sequence[str] = (), rows: int = CHUNK_ROWS
    ) -> Iterator[Chunk]:
        """Cut the part into chunks of at most `rows` rows.

        Args:
            first_row: Position of the part's first row in the whole input.
            group_by: Columns whose equal rows should come together, so that they can share a
                request. It is done for 100,000 rows at a time; equal rows keep their order.
            rows: Most rows in a chunk.
        """
        window = rows if self.size <= rows or not group_by else max(rows, WINDOW_ROWS)
        for start in range(0, self.size, window):
            stop = min(start + window, self.size)
            order = None
            if window > rows:
                order = _grouped(self.cut(first_row + start, start, stop), group_by)
            if order is not None:
                chunk, places = order
                for place in range(0, len(places), rows):
                    yield chunk.take(places.slice(place, rows))
                continue
            for first in range(start, stop, rows):
                yield self.cut(first_row + first, first, min(first + rows, stop))


def _grouped(chunk: Chunk, names: Sequence[str]) -> tuple[Chunk, pa.Array] | None:
    """Return the order that brings equal rows together; None when Arrow cannot tell."""
    keys: dict[str, pa.Array] = {}
    for name in names:
        column = chunk.columns[name]
        if isinstance(column, list):
            return None
        keys[name] = column.storage if isinstance(column, pa.ExtensionArray) else column
    try:
        # Arrow's sort is stable, so rows of one key stay in input order.
        places = pc.sort_indices(pa.table(keys), sort_keys=[(n, "ascending") for n in keys])
    except pa.ArrowNotImplementedError:
        return None  # a type without an order
    return chunk, places


def parts(data: object) -> Iterator[Part]:
    """Take the input apart without copying it.

    Raises:
        DataError: `data` is nothing a load can read, or a part names a column twice.
    """
    whole = _part(data)
    if whole is not None:
        yield whole
    elif callable(data):
        yield from parts(data())
    elif hasattr(data, "__arrow_c_stream__"):
        yield from map(_arrow_part, pa.RecordBatchReader.from_stream(data))
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes | Mapping):
        for item in data:
            yield from parts(item)
    else:
        raise DataError(
            f"cannot load rows from {type(data).__name__}",
            hint="Give a pyarrow table, a pandas frame, a list of dicts, or an iterator of these.",
        )


def _part(data: object) -> Part | None:
    """Return the part that `data` is as a whole, or None when it has to be iterated."""
    if isinstance(data, pa.Table | pa.RecordBatch):
        return _arrow_part(data)
    # Never import pandas for this: somebody who holds a frame has imported it already.
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _pandas_part(data)
    if isinstance(data, list | tuple) and all(isinstance(row, Mapping) for row in data):
        return _rows_part(data)
    return None


def _arrow_part(table: pa.Table | pa.RecordBatch) -> Part:
    _refuse_repeats(table.schema.names)

    def cut(first_row: int, start: int, stop: int) -> Chunk:
        rows = table.slice(start, stop - start)
        columns = {n: _one_array(rows.column(n)) for n in table.schema.names}
        return Chunk(range(first_row, first_row + stop - start), columns)

    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    return Part({n: _plain_type(t) for n, t in types.items()}, table.num_rows, cut)


def _one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, with dictionaries and run ends unpacked."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps an oversized column in pieces
        array = pa.concat_arrays(array.chunks)
    return array.cast(_plain_type(array.type)) if _plain_type(array.type) != array.type else array


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values in a dictionary-encoded column; others as they are."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _pandas_part(frame: pd.DataFrame) -> Part:
    names = [str(name) for name in frame.columns]
    _refuse_repeats(names)

    def cut(first_row: int, start: int, stop: int) -> Chunk:
        rows = frame.iloc[start:stop]
        columns = {name: _pandas_column(rows.iloc[:, i]) for i, name in enumerate(names)}
        positions = range(first_row, first_row + stop - start)
        return Chunk(positions, columns, nan_is_missing=True)

    # The types of an empty slice are the types of the whole, except that object columns have none.
    empty = cut(0, 0, 0).columns
    types = {n: c.type if isinstance(c, pa.Array) else None for n, c in empty.items()}
    index = tuple(str(name) for name in frame.index.names if name is not None)
    return Part(types, len(frame), cut, nan_is_missing=True, index_names=index)


def _pandas_column(series: pd.Series[Any]) -> pa.Array | list[Any]:
    """Return a pandas column as an Arrow array; an object column of mixed values as a list."""
    if series.dtype != object:
        # Nulls of pandas' own types come through; NaN of plain float columns stays and is read as
        # missing later, where the target column is known.
        floats = isinstance(series.dtype, np.dtype) and series.dtype.kind == "f"
        with suppress(pa.ArrowException, TypeError):  # periods, intervals: the values will tell
            return _one_array(
                pa.array(series.to_numpy()) if floats else pa.Array.from_pandas(series)
            )
    missing = series.isna().tolist()
    return [None if gone else value for value, gone in zip(series.tolist(), missing, strict=True)]


def _rows_part(rows: list[Mapping[str, Any]] | tuple[Mapping[str, Any], ...]) -> Part:
    # Names in order of first use. Every row is asked, so that a misspelt name in the last row is
    # found before the first is written.
    names = list(dict.fromkeys(chain.from_iterable(rows)))

    def cut(first_row: int, start: int, stop: int) -> Chunk:
        columns: dict[str, Column] = {
            name: [row.get(name) for row in rows[start:stop]] for name in names
        }
        return Chunk(range(first_row, first_row + stop - start), columns)

    return Part(dict.fromkeys(names), len(rows), cut)


def _refuse_repeats(names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"the data names a column twice: {', '.join(repeated)}",
            hint="Rename or drop one of them; which of the two to write cannot be guessed.",
        )
