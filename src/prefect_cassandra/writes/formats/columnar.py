"""Parquet and Arrow IPC files: columns that have their types already."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.formats.naming import targets
from prefect_cassandra.writes.sources import WINDOW_ROWS, Origin, Part, arrow_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.files import Files
    from prefect_cassandra.writes.finding import File

# What one part of the load may take in memory; wide rows come fewer at a time.
_PART_BYTES = 32 * 2**20
# A file tells how large its columns are encoded. Decoded they can be a thousand times that: a text
# that comes a million times stands in a Parquet file once. So a few rows are decoded at a time,
# and put together until a part is full.
_STEP_BYTES = 2**20
_MOST_STEP_ROWS = 8_192
_SAMPLE_ROWS = 64
# Arrow otherwise keeps all that it has read, the whole file in the end.
_BUFFER_BYTES = 2**20


def shape(file: File, files: Files, table: TableInfo) -> Part:  # noqa: ARG001 -- as every format
    """Return a part without rows that has the file's columns."""
    with _opened(file) as source:
        # As the file calls them: a schema with a column twice has no table.
        wanted = targets(_schema(source).names, file.shown, files)
        # Not `empty_table()`: Arrow cannot make that for lists of UUIDs.
        empty = pa.Table.from_batches([], _schema(source)).select(list(wanted))
        return arrow_part(empty.rename_columns(list(wanted.values())), Origin(file.shown, ()))


def parts(file: File, files: Files, table: TableInfo) -> Iterator[Part]:  # noqa: ARG001 -- as every format
    """Yield the file's rows, as many at a time as memory should hold."""
    first = 0
    with _opened(file) as source:
        wanted = targets(_schema(source).names, file.shown, files)
        for batch in _batches(source, list(wanted)):
            rows = range(first, first + batch.num_rows)
            renamed = batch.rename_columns(list(wanted.values()))
            yield arrow_part(renamed, Origin(file.shown, rows))
            first += batch.num_rows


@contextmanager
def _opened(file: File) -> Iterator[Any]:
    """Open a file as Parquet or Arrow IPC.

    Raises:
        DataError: It is packed: both formats are read from their end and pack their own columns.
    """
    if file.codec:
        raise DataError(
            f"{file.shown} is {file.format} inside of {file.codec}.",
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
        yield from _joined(_steps(source, names))
        return
    for number in range(source.num_record_batches):
        yield source.get_batch(number).select(names)


def _steps(source: Any, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield a Parquet file a little at a time, as much as a look into each row group tells."""
    for number in range(source.metadata.num_row_groups):
        group = source.metadata.row_group(number)
        encoded = group.total_byte_size // max(1, group.num_rows)
        width = max(1, encoded, _decoded_width(source, number, names))
        rows = max(1, min(_MOST_STEP_ROWS, _STEP_BYTES // width))
        # Nested columns have several leaves, each with a dotted path of its own. One thread: this
        # one runs beside the one that writes already.
        yield from source.iter_batches(
            batch_size=rows, row_groups=[number], columns=names, use_threads=False
        )


def _decoded_width(source: Any, number: int, names: list[str]) -> int:
    """Return the bytes of a decoded row, of those columns whose encoding tells nothing of it.

    Numbers stay small whatever they are encoded as: only texts and bytes are looked at.
    """
    group = source.metadata.row_group(number)
    leaves = [group.column(place) for place in range(group.num_columns)]
    told = {
        leaf.path_in_schema.split(".")[0]
        for leaf in leaves
        if leaf.physical_type == "BYTE_ARRAY" and leaf.has_dictionary_page
    }
    asked = [name for name in names if name in told]
    if not asked:
        return 0
    first = source.iter_batches(
        batch_size=_SAMPLE_ROWS, row_groups=[number], columns=asked, use_threads=False
    )
    return max((batch.nbytes // max(1, batch.num_rows) for batch in islice(first, 1)), default=0)


def _joined(steps: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put batches together into parts, by their rows and by their bytes as they are in memory."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in steps:
        if held and (rows + batch.num_rows > WINDOW_ROWS or size + batch.nbytes > _PART_BYTES):
            yield pa.concat_batches(held)
            held, rows, size = [], 0, 0
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if held:
        yield pa.concat_batches(held)
