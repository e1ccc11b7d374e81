"""What people hand to a load, cut into chunks of columns.

Arrow tables, batches and readers, pandas frames, lists of dicts, anything that speaks the Arrow C
stream protocol (polars, DuckDB), files, and iterables of any of these. A chunk's column is an Arrow
array where Arrow has a type for it, else a plain list of Python values.

pandas has one mark for "missing" in float columns, NaN. So in data from pandas NaN is a missing
value; in Arrow data only null is, and NaN is a number like any other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.report import Reject

if TYPE_CHECKING:
    import pandas as pd

    from prefect_cassandra.driver.tables import TableInfo

Column: TypeAlias = pa.Array | list[Any]

CHUNK_ROWS = 5_000
WINDOW_ROWS = 100_000
WINDOW_BYTES = 32 << 20
# Runs of rows of one key that are this long fill a request well enough as they are.
_LONG_RUN = 100
_SCATTERED = 1.25


@runtime_checkable
class Source(Protocol):
    """Something that takes itself apart, such as files, which are typed by the target table."""

    def parts(self, table: TableInfo) -> Iterator[Part]:
        """Yield the input part by part; a part without rows only shows which columns come."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows of a part were read from, and what was written there.

    Attributes:
        file: Name of the file.
        rows: Row numbers in the file, counted from 0 without the header.
        cells: The text of each cell by the file's own column name, where the file holds text.
        lines: The text of the whole row instead, where it does not fall into cells.
        unreadable: Column and reason by row number of the rows that cannot be read. Their values
            are missing, so they must be left out.
    """

    file: str
    rows: Sequence[int]
    cells: Mapping[str, pa.Array] = field(default_factory=dict)
    lines: Sequence[str] | None = None
    unreadable: Mapping[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of the input, by column.

    Attributes:
        positions: Where in the whole input, or in its file, each row is, counted from 0.
        columns: Arrow array or list of Python values by column name.
        nan_is_missing: Whether NaN marks a missing value, as in pandas.
        origin: The file that the rows come from.
    """

    positions: Sequence[int]
    columns: dict[str, Column]
    nan_is_missing: bool = False
    origin: Origin | None = None

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.positions)

    @property
    def nbytes(self) -> int:
        """Bytes in the Arrow columns."""
        return sum(array.nbytes for array in self.columns.values() if isinstance(array, pa.Array))

    def unreadable(self) -> dict[int, tuple[str, str]]:
        """Return column and reason of the rows that could not be read, by place in the chunk."""
        if self.origin is None or not self.origin.unreadable:
            return {}
        found = self.origin.unreadable
        return {
            place: found[position]
            for place, position in enumerate(self.positions)
            if position in found
        }

    def reject(self, place: int, column: str, reason: str) -> Reject:
        """Name the row at a place of the chunk as one that cannot be written."""
        file = self.origin.file if self.origin is not None else ""
        return Reject(self.positions[place], column, reason, file)


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
        """Cut the part into chunks of at most `rows` rows, or larger ones of scattered rows.

        Args:
            first_row: Position of the part's first row in the whole input.
            group_by: Columns whose equal rows are worth bringing together, so that they can share
                a request. Where they are scattered a chunk has up to 100,000 rows, or 32 MiB.
            rows: Most rows in a chunk otherwise.
        """
        start = 0
        while start < self.size:
            stop = min(start + rows, self.size)
            if group_by and self.size > rows:
                wide = min(start + WINDOW_ROWS, self.size)
                chunk = self.cut(first_row + start, start, wide)
                share = min(1.0, WINDOW_BYTES / max(1, chunk.nbytes))
                stop = max(stop, start + int(chunk.size * share))
                if _scattered(chunk, group_by):
                    yield self.cut(first_row + start, start, stop)
                    start = stop
                    continue
            for first in range(start, stop, rows):
                yield self.cut(first_row + first, first, min(first + rows, stop))
            start = stop


def _scattered(chunk: Chunk, names: Sequence[str]) -> bool:
    """Tell whether equal rows are so far apart that many more of them could come together."""
    keys: list[pa.Array] = []
    for name in names:
        column = chunk.columns[name]
        if isinstance(column, list):
            return False
        keys.append(column.storage if isinstance(column, pa.ExtensionArray) else column)
    try:
        changes = np.zeros(chunk.size - 1, bool)
        for key in keys:
            unequal = pc.not_equal(key.slice(1), key.slice(0, chunk.size - 1))
            changes |= unequal.fill_null(True).to_numpy(zero_copy_only=False)  # noqa: FBT003 -- a value
        heads = pa.array(np.concatenate(([0], np.flatnonzero(changes) + 1)))
        if len(heads) * _LONG_RUN <= chunk.size:
            return False
        first = pa.table([key.take(heads) for key in keys], names=list(names))
        different = first.group_by(list(names)).aggregate([]).num_rows
    except pa.ArrowNotImplementedError:
        return False  # a type that Arrow cannot compare
    return bool(len(heads) > _SCATTERED * different)


def read_only_once(data: object) -> bool:
    """Tell whether reading the input uses it up: an iterator, a reader, or a list of such."""
    if isinstance(data, list | tuple):
        return any(map(read_only_once, data))
    return hasattr(data, "__next__") or hasattr(data, "read_next_batch")


def parts(data: object, table: TableInfo | None = None) -> Iterator[Part]:
    """Take the input apart without copying it.

    Args:
        data: The input.
        table: The target, which a `Source` needs to know.

    Raises:
        DataError: `data` is nothing a load can read, or a part names a column twice.
    """
    whole = _part(data)
    if whole is not None:
        yield whole
    elif isinstance(data, Source) and table is not None:
        yield from data.parts(table)
    elif callable(data):
        yield from parts(data(), table)
    elif hasattr(data, "__arrow_c_stream__"):
        yield from map(arrow_part, pa.RecordBatchReader.from_stream(data))
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes | Mapping):
        for item in data:
            yield from parts(item, table)
    else:
        raise DataError(
            f"cannot load rows from {type(data).__name__}",
            hint="Give a pyarrow table, a pandas frame, a list of dicts, Files, or an iterator of "
            "these.",
        )


def _part(data: object) -> Part | None:
    """Return the part that `data` is as a whole, or None when it has to be iterated."""
    if isinstance(data, pa.Table | pa.RecordBatch):
        return arrow_part(data)
    # Never import pandas for this: somebody who holds a frame has imported it already.
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _pandas_part(data)
    if isinstance(data, list | tuple) and all(isinstance(row, Mapping) for row in data):
        return _rows_part(data)
    return None


def arrow_part(table: pa.Table | pa.RecordBatch, origin: Origin | None = None) -> Part:
    """Return a part of Arrow columns.

    Args:
        table: The columns.
        origin: The file that they come from; its row numbers are then those of the rows.

    Raises:
        DataError: A column is named twice.
    """
    _refuse_repeats(table.schema.names)

    def cut(first_row: int, start: int, stop: int) -> Chunk:
        rows = table.slice(start, stop - start)
        columns = {n: _one_array(rows.column(n)) for n in table.schema.names}
        positions: Sequence[int] = range(first_row, first_row + stop - start)
        if origin is not None:
            positions = origin.rows[start:stop]
        return Chunk(positions, columns, origin=origin)

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
