"""Parquet and Arrow IPC files: columns that have their types already."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.formats.naming import targets
from prefect_cassandra.writes.sources import WINDOW_ROWS, Origin, Part, arrow_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.files import Files
    from prefect_cassandra.writes.finding import File

# What one part of the load may take in memory; wide rows come fewer at a time.
_PART_BYTES = 32 * 2**20
_FEWEST_ROWS = 1_000
# Arrow otherwise keeps all that it has read, the whole file in the end.
_BUFFER_BYTES = 2**20


def shape(file: File, files: Files, table: TableInfo) -> Part:  # noqa: ARG001 -- as every format
    """Return a part without rows that has the file's columns."""
    with _opened(file) as source:
        # As the file calls them: a schema with a column twice has no table.
        wanted = targets(_schema(source).names, file.url, files)
        # Not `empty_table()`: Arrow cannot make that for lists of UUIDs.
        empty = pa.Table.from_batches([], _schema(source)).select(list(wanted))
        return arrow_part(empty.rename_columns(list(wanted.values())), Origin(file.url, ()))


def parts(file: File, files: Files, table: TableInfo) -> Iterator[Part]:  # noqa: ARG001 -- as every format
    """Yield the file's rows, as many at a time as memory should hold."""
    first = 0
    with _opened(file) as source:
        wanted = targets(_schema(source).names, file.url, files)
        for batch in _batches(source, list(wanted)):
            rows = range(first, first + batch.num_rows)
            renamed = batch.rename_columns(list(wanted.values()))
            yield arrow_part(renamed, Origin(file.url, rows))
            first += batch.num_rows


@contextmanager
def _opened(file: File) -> Iterator[Any]:
    """Open a file as Parquet or Arrow IPC.

    Raises:
        DataError: It is packed: both formats are read from their end and pack their own columns.
    """
    if file.codec:
        raise DataError(
            f"{file.url} is {file.format} inside of {file.codec}.",
            hint="Unpack it; both formats pack their columns themselves.",
        )
    with file.opened() as stream:
        if file.format == "arrow":
            yield pa.ipc.open_file(stream)
        else:
            with pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False) as parquet:
                yield parquet


def _schema(source: Any) -> pa.Schema:
    return source.schema_arrow if isinstance(source, pq.ParquetFile) else source.schema


def _batches(source: Any, names: list[str]) -> Iterator[pa.RecordBatch]:
    if isinstance(source, pq.ParquetFile):
        # Nested columns have several leaves, each with a dotted path of its own.
        rows = _rows_at_once(source.metadata)
        # One thread: this one runs beside the one that writes already.
        yield from source.iter_batches(batch_size=rows, columns=names, use_threads=False)
        return
    for number in range(source.num_record_batches):
        yield source.get_batch(number).select(names)


def _rows_at_once(metadata: Any) -> int:
    """Return how many rows of a Parquet file fit into one part."""
    size = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    row_bytes: int = max(1, size // max(1, metadata.num_rows))
    rows = min(WINDOW_ROWS, _PART_BYTES // row_bytes)
    return max(_FEWEST_ROWS, rows)
