"""What is loaded and unloaded: four data sets, as tables of Arrow, as CSV and as Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from flows.flights.source import data_folder, month_of, read_flights
from support.snippets import ROOT

if TYPE_CHECKING:
    from pathlib import Path

KEYSPACE = "bench"
# What everybody loads; `large` is for those who claim that memory does not grow with a file.
USUAL = ("flights", "sensors", "shuffled", "wide")
MILLION = 1_000_000
# Tables are emptied again and again; a compaction would fall on whoever comes next.
_STORED = "compaction = {'class': 'UnifiedCompactionStrategy', 'enabled': 'false'}"
_SENSORS = (
    "sensors (sensor text, ts bigint, v1 double, v2 double, q int, PRIMARY KEY (sensor, ts)) "
    f"WITH {_STORED}"
)
_WIDE = f"wide (k text, c bigint, payload text, PRIMARY KEY (k, c)) WITH {_STORED}"

Pieces = Callable[[], Iterator[pa.Table]]


@dataclass(frozen=True)
class Dataset:
    """Rows, the table they go into and how others are told about them.

    Args:
        name: What it is called on the command line.
        letter: What the issue calls it.
        ddl: What follows CREATE TABLE, without the keyspace.
        pieces: Makes the rows, the same ones every time.
        partition: Columns of the partition key.
        batch: Rows of one partition that a client puts into one batch, where it has to say.
        counted: Whether rows are only counted and not added up, because there are too many.
    """

    name: str
    letter: str
    ddl: str
    pieces: Pieces
    partition: tuple[str, ...]
    batch: int = 50
    counted: bool = False

    @property
    def table(self) -> str:
        """Return the table's name, without the keyspace."""
        return self.ddl.split(" ", 1)[0]

    def file(self, folder: Path, kind: str) -> Path:
        """Return the file of one kind (`parquet` or `csv`), written when it is not there."""
        path = folder / f"{self.name}.{kind}"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".half")
            {"parquet": _write_parquet, "csv": _write_csv}[kind](half, self.pieces())
            half.replace(path)
        return path


@dataclass(frozen=True)
class Content:
    """All rows of a table in two numbers, whatever their order.

    Args:
        rows: How many there are.
        checksum: Sum of Python's hashes of the rows, modulo 2^64; another value in any cell is
            another sum. It holds within one process only.
    """

    rows: int
    checksum: int

    @classmethod
    def of(cls, rows: Iterable[tuple[Any, ...]]) -> Content:
        """Add up rows of plain Python values."""
        count = checksum = 0
        for count, row in enumerate(rows, start=1):  # noqa: B007 -- the count is wanted afterwards
            checksum += hash(row)
        return cls(count, checksum % 2**64)

    def __add__(self, other: Content) -> Content:
        return Content(self.rows + other.rows, (self.checksum + other.checksum) % 2**64)


def content_of(pieces: Iterable[pa.Table], columns: list[str]) -> Content:
    """Add up tables of Arrow, with values as the driver returns them.

    Dates count as days since 1970, as the driver's own class hashes them, timestamps are naive.
    """
    total = Content(0, 0)
    for piece in pieces:
        values = [plain(piece[name]) for name in columns]
        total += Content.of(zip(*values, strict=True))
    return total


def plain(column: pa.ChunkedArray) -> list[Any]:
    """Return one column as the values that the driver would return."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return list(column.to_pylist())


def flights() -> Iterator[pa.Table]:
    """Yield the flights of 2013, month by month."""
    year = read_flights(data_folder())
    for month in range(1, 13):
        yield month_of(year, month)


def sensors(millions: int = 1) -> Iterator[pa.Table]:
    """Yield a series of 1,000 readings for each of 1,000 sensors, and as many more per million."""
    times = np.tile(np.arange(1000, dtype=np.int64) * 1000 + 1_700_000_000_000, 1000)
    for piece in range(millions):
        rng = np.random.default_rng(7 + piece)
        names = pa.array([f"sensor-{piece * 1000 + n:06d}" for n in range(1000)])
        yield pa.table(
            {
                "sensor": names.take(pa.array(np.repeat(np.arange(1000), 1000))),
                "ts": times,
                "v1": rng.normal(size=MILLION),
                "v2": rng.normal(size=MILLION),
                "q": rng.integers(0, 100, MILLION).astype(np.int32),
            }
        )


def shuffled() -> Iterator[pa.Table]:
    """Yield the readings of a million in no order at all."""
    for piece in sensors():
        yield piece.take(pa.array(np.random.default_rng(11).permutation(len(piece))))


def wide() -> Iterator[pa.Table]:
    """Yield 20,000 rows of 10 KB of text, 20 to a partition."""
    rng = np.random.default_rng(13)
    letters = np.frombuffer(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", "S1"
    )
    for first in range(0, 1000, 100):
        text = letters[rng.integers(0, 64, 2000 * 10_000)].tobytes().decode()
        yield pa.table(
            {
                "k": [f"key-{first + n // 20:05d}" for n in range(2000)],
                "c": pa.array([n % 20 for n in range(2000)], pa.int64()),
                "payload": [text[n * 10_000 : (n + 1) * 10_000] for n in range(2000)],
            }
        )


def _flights_ddl() -> str:
    """Return the table of the example flow, with compaction off as for all others."""
    text = (ROOT / "flows/flights/schema/0001_by_origin_day.cql").read_text(encoding="utf-8")
    columns = text.partition("by_origin_day (")[2].partition(") WITH ")[0]
    return f"flights ({columns}) WITH {_STORED}"


def datasets() -> dict[str, Dataset]:
    """Return all data sets by name."""
    series = partial(Dataset, ddl=_SENSORS, partition=("sensor",))
    return {
        one.name: one
        for one in (
            Dataset("flights", "a", _flights_ddl(), flights, ("origin", "day")),
            series("sensors", "b", pieces=sensors),
            series("shuffled", "c", pieces=shuffled),
            Dataset("wide", "d", _WIDE, wide, ("k",), batch=5),
            series("large", "b x 20", pieces=partial(sensors, 20), counted=True),
        )
    }


def _write_parquet(path: Path, pieces: Iterable[pa.Table]) -> None:
    writer = None
    for piece in pieces:
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece, row_group_size=100_000)
    if writer is not None:
        writer.close()


def _write_csv(path: Path, pieces: Iterable[pa.Table]) -> None:
    """Write what every loader reads: a header, nothing for null, times as cqlsh writes them."""
    writer = None
    options = csv.WriteOptions(quoting_style="none", quoting_header="none")
    for piece in pieces:
        ready = pa.table({name: _as_text(piece[name]) for name in piece.column_names})
        writer = writer or csv.CSVWriter(path, ready.schema, write_options=options)
        writer.write_table(ready)
    if writer is not None:
        writer.close()


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column.cast(pa.timestamp("s", "UTC")), "%Y-%m-%d %H:%M:%S+0000")
    return column
