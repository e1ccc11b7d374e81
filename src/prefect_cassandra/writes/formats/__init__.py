"""The formats of files: one module each, which turns a file into parts of a load."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from prefect_cassandra.writes.finding import reading
from prefect_cassandra.writes.formats import columnar, json_lines, text
from prefect_cassandra.writes.read_ahead import read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.files import Files
    from prefect_cassandra.writes.finding import File
    from prefect_cassandra.writes.sources import Part

# Far stores answer slowly: most of the time that a look into a file takes is waiting.
_FILES_LOOKED_INTO = 8


class Reader(Protocol):
    """What the module of a format offers."""

    def shape(self, file: File, files: Files, table: TableInfo) -> Part:
        """Return a part without rows that has the file's columns."""

    def parts(self, file: File, files: Files, table: TableInfo) -> Iterator[Part]:
        """Yield the file's rows, as many at a time as memory should hold."""


READERS: dict[str, Reader] = {
    "csv": text,
    "json": json_lines,
    "parquet": columnar,
    "arrow": columnar,
}


def shapes(listed: Sequence[File], files: Files, table: TableInfo) -> Iterator[Part]:
    """Yield, of each file, a part without rows; files are looked into side by side."""

    def shape(file: File) -> Part:
        with reading(file.shown):
            return READERS[file.format].shape(file, files, table)

    with ThreadPoolExecutor(min(_FILES_LOOKED_INTO, len(listed)), "look-into") as pool:
        try:
            yield from pool.map(shape, listed)
        finally:
            pool.shutdown(cancel_futures=True)


def rows(listed: Sequence[File], files: Files, table: TableInfo) -> Iterator[Part]:
    """Yield the rows of all files, one file after the other, read a little ahead."""

    def every() -> Iterator[Part]:
        for file in listed:
            with reading(file.shown):
                yield from READERS[file.format].parts(file, files, table)

    return read_ahead(every())
