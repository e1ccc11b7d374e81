"""Record batches into files: Parquet, CSV, Arrow IPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from prefect_cassandra.driver.arrow_types import DURATION
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.text import as_text, text_schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from prefect_cassandra.reads.arrow import Decoder

Format = Literal["parquet", "csv", "arrow"]
Numbers = Literal["decimal", "text"]

_SUFFIXES = {"parquet": "parquet", "csv": "csv", "arrow": "arrow"}
# The first is what is taken when nothing is asked for.
_CODECS: dict[str, tuple[str, ...]] = {
    "parquet": ("zstd", "snappy", "gzip", "lz4", "brotli", "none"),
    "csv": ("none", "gzip", "zstd", "bz2"),
    "arrow": ("zstd", "lz4", "none"),
}
_CSV_ENDINGS = {"gzip": ".gz", "zstd": ".zst", "bz2": ".bz2"}
# A row group is what a reader takes at a time and what a writer holds in memory.
_GROUP_ROWS, _GROUP_BYTES = 1 << 16, 16 << 20


def codec(file_format: str, asked: str | None) -> str:
    """Return the codec of the files.

    Raises:
        ConfigurationError: There is no such format, or it has no such codec.
    """
    known = _CODECS.get(file_format)
    if known is None:
        raise ConfigurationError(
            f"{file_format!r} is no format of files.", hint=f"One of {', '.join(_CODECS)}."
        )
    if asked is not None and asked not in known:
        raise ConfigurationError(
            f"{file_format} files cannot be compressed with {asked!r}.",
            hint=f"One of {', '.join(known)}.",
        )
    return asked or known[0]


def suffix(file_format: str, compression: str) -> str:
    """Return how the names of the files end."""
    ending = _CSV_ENDINGS.get(compression, "") if file_format == "csv" else ""
    return f".{_SUFFIXES[file_format]}{ending}"


def instead(file_format: str, numbers: str) -> dict[str, pa.DataType]:
    """Return the Arrow types that a format takes instead of the usual ones."""
    found: dict[str, pa.DataType] = {}
    if numbers == "text" or file_format == "csv":
        found |= {"decimal": pa.string(), "varint": pa.string()}
    if file_format != "arrow":
        # Parquet has no type for months, days and nanoseconds that are each by themselves.
        found["duration"] = DURATION
    return found


class BatchFile:
    """One file of record batches; rows are written in groups, so that memory stays bounded.

    Args:
        path: Local path.
        decoder: What makes the batches; it knows their columns.
        file_format: `parquet`, `csv` or `arrow`.
        compression: One of the format's codecs.
    """

    def __init__(self, path: Path, decoder: Decoder, file_format: str, compression: str) -> None:
        self.rows = 0
        self._schema = decoder.schema
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._writer = _WRITERS[file_format](path, decoder, compression)

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch."""
        self.rows += batch.num_rows
        self._held.append(batch)
        self._held_rows += batch.num_rows
        self._held_bytes += batch.nbytes
        if self._held_rows >= _GROUP_ROWS or self._held_bytes >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write(pa.Table.from_batches(self._held, self._schema))
        self._held = []
        self._held_rows = self._held_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()


class _Parquet:
    def __init__(self, path: Path, decoder: Decoder, compression: str) -> None:
        # Numbers of a table seldom repeat: a dictionary of them is built in vain and given up, at
        # three times the cost of writing them as they are. Texts repeat, keys most of all.
        texts = [field.name for field in decoder.schema if pa.types.is_string(field.type)]
        self._writer = pq.ParquetWriter(
            path, decoder.schema, compression=compression, use_dictionary=texts or False
        )

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=_GROUP_ROWS)

    def close(self) -> None:
        self._writer.close()


class _Arrow:
    def __init__(self, path: Path, decoder: Decoder, compression: str) -> None:
        options = pa.ipc.IpcWriteOptions(compression=None if compression == "none" else compression)
        self._writer = pa.ipc.new_file(path, decoder.schema, options=options)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table.combine_chunks())

    def close(self) -> None:
        self._writer.close()


class _Csv:
    def __init__(self, path: Path, decoder: Decoder, compression: str) -> None:
        self._sink: Any = pa.OSFile(str(path), "wb")
        if compression != "none":
            self._sink = pa.CompressedOutputStream(self._sink, compression)
        self._kinds = decoder.kinds
        self._writer = pa_csv.CSVWriter(self._sink, text_schema(decoder.schema, decoder.kinds))

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(as_text(table, self._kinds))

    def close(self) -> None:
        self._writer.close()
        self._sink.close()


_WRITERS: Mapping[str, Any] = {"parquet": _Parquet, "csv": _Csv, "arrow": _Arrow}
