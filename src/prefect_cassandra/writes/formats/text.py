"""CSV files: cells of text, read block by block and typed by the table they go into.

Arrow splits the text into cells, all of them bytes, so that the cells of a row that is rejected can
be given back as they were; `cells` then gives them their types.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.cells import read_text
from prefect_cassandra.writes.formats.naming import targets, types
from prefect_cassandra.writes.sources import Chunk, Column, Origin, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.files import Files
    from prefect_cassandra.writes.finding import File

# A block is a part of the load. Arrow reads dozens of them ahead, so they are most of its memory.
BLOCK_BYTES = 2 * 2**20
# One row must fit into a block; Cassandra takes 16 MiB in one write, which is twice that in hex.
_LARGEST_BLOCK = 64 * 2**20
_HEADER_BYTES = 2**20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_RECODE = "Write it as UTF-8: iconv -f LATIN1 -t UTF-8 FILE > FILE.utf8 (with the right name)."


def shape(file: File, files: Files, table: TableInfo) -> Part:
    """Return a part without rows that has the file's columns.

    Raises:
        DataError: The file is empty, is not UTF-8 or names a column twice.
    """
    names = _names(file, files)
    return _part(
        dict.fromkeys(names, pa.array([], pa.binary())),
        Origin(file.shown, ()),
        targets(names, file.shown, files),
        table,
    )


def parts(file: File, files: Files, table: TableInfo) -> Iterator[Part]:
    """Yield the file's rows, block by block.

    Raises:
        DataError: The file is not CSV from some row on.
    """
    names = _names(file, files)
    wanted = targets(names, file.shown, files)
    for block in _Cells(file, files, names).blocks():
        cells = dict(zip(names, block.cells.columns, strict=True))
        if block.cells.num_rows:
            yield _part(cells, Origin(file.shown, block.rows, cells), wanted, table)
        if block.broken:
            yield _broken_part(block.broken, file.shown, names, wanted, table)


def _names(file: File, files: Files) -> list[str]:
    """Return the file's columns, from its header unless they were given."""
    with file.opened() as stream:
        start = bytes(stream.read(_HEADER_BYTES))
    if start.startswith(_UTF16) or b"\0" in start[:4096]:
        raise DataError(
            f"{file.shown} is UTF-16 or no text at all; it must be UTF-8.", hint=_RECODE
        )
    if files.names is not None:
        return list(files.names)
    if not start.strip():
        raise DataError(
            f"{file.shown} is empty: it has not even a header.",
            hint="Write it again, or give the names of its columns if it has no header.",
        )
    try:
        text = start.decode("utf-8-sig", "strict" if len(start) < _HEADER_BYTES else "ignore")
    except UnicodeDecodeError:
        # Only the header is asked here; cells that are not UTF-8 are named one by one.
        text = start.decode("utf-8-sig", "replace")
    rows = csv.reader(
        io.StringIO(text, newline=""), delimiter=_delimiter(file, files), quotechar=files.quote
    )
    names = next((row for row in rows if row), [])
    if any("\ufffd" in name for name in names):
        raise DataError(f"The header of {file.shown} is not UTF-8.", hint=_RECODE)
    return names


def _delimiter(file: File, files: Files) -> str:
    return files.delimiter or ("\t" if file.tabs else ",")


def _part(
    cells: dict[str, pa.Array], origin: Origin, wanted: dict[str, str], table: TableInfo
) -> Part:
    """Give the cells their types; cells that cannot be read are remembered with their rows."""
    known = types(list(wanted.values()), table)
    columns: dict[str, Column] = {}
    unreadable: dict[int, tuple[str, str]] = {}
    for name, column in wanted.items():
        if column not in known:
            columns[column] = cells[name]
            continue
        columns[column], flaws = read_text(cells[name], known[column])
        for row, reason in flaws.items():
            unreadable.setdefault(origin.rows[row], (column, reason))
    return column_part(columns, replace(origin, unreadable=unreadable))


def column_part(columns: dict[str, Column], origin: Origin) -> Part:
    """Return a part of columns that are read already."""

    def cut(_first_row: int, start: int, stop: int) -> Chunk:
        cut_out = {name: column[start:stop] for name, column in columns.items()}
        return Chunk(origin.rows[start:stop], cut_out, origin=origin)

    kinds = {n: c.type if isinstance(c, pa.Array) else None for n, c in columns.items()}
    return Part(kinds, len(origin.rows), cut)


@dataclass(frozen=True, slots=True)
class _Broken:
    """A row that does not have as many cells as there are columns."""

    row: int
    cells: int
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    """Some rows of the file as text, and those near them that are broken."""

    cells: pa.RecordBatch
    rows: Sequence[int]
    broken: list[_Broken]


def _broken_part(
    broken: list[_Broken], url: str, names: list[str], wanted: dict[str, str], table: TableInfo
) -> Part:
    """Return a part of rows that have no values, only a reason and their text."""
    nothing: dict[str, Column] = {
        column: read_text(pa.nulls(len(broken), pa.binary()), kind)[0]
        for column, kind in types(list(wanted.values()), table).items()
    }
    reasons = {
        one.row: ("", f"it has {one.cells} cells, {len(names)} are expected") for one in broken
    }
    rows, lines = [one.row for one in broken], [one.text for one in broken]
    return column_part(nothing, Origin(url, rows, {}, lines, reasons))


def _after(block: _Block, done: int) -> _Block:
    """Return what of a block was not yielded before."""
    if not done:
        return block
    first = int(np.searchsorted(np.asarray(block.rows), done))
    broken = [one for one in block.broken if one.row >= done]
    return _Block(block.cells.slice(first), block.rows[first:], broken)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of one file."""

    file: File
    files: Files
    names: list[str]

    def blocks(self) -> Iterator[_Block]:
        """Yield the file in blocks, in larger ones where a row does not fit."""
        size, done = BLOCK_BYTES, 0
        while True:
            try:
                for block in self._blocks_of(size):
                    fresh = _after(block, done)
                    done = max(done, block.rows[-1] + 1 if block.rows else 0)
                    yield fresh
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error):
                    raise
                if size >= _LARGEST_BLOCK:
                    raise DataError(
                        f"{self.file.shown}: a row after row {done} has more than {size >> 20} MiB",
                        hint="A quote that is never closed can make one row of many.",
                    ) from error
                size *= 8
            else:
                return

    def _blocks_of(self, size: int) -> Iterator[_Block]:
        skipped: list[_Broken] = []
        header = int(self.files.names is None)

        def skip(row: Any) -> str:
            # Arrow counts from 1 and counts the header; blank lines are no rows for it either.
            skipped.append(_Broken(row.number - 1 - header, row.actual_columns, row.text))
            return "skip"

        with self.file.opened() as stream:
            counted = _QuoteCounter(stream, self.files.quote.encode())
            first = 0
            for batch in self._read(counted, size, skip):
                if counted.left_open and _ends_inside(batch, skipped):
                    raise self._open_quote(first)
                rows, broken = _positions(first, batch.num_rows, skipped)
                first = rows[-1] + 1 if rows else first
                yield _Block(batch, rows, broken)
            if skipped:
                empty = [pa.array([], pa.binary())] * len(self.names)
                batch = pa.record_batch(empty, names=self.names)
                if counted.left_open and _ends_inside(batch, skipped):
                    raise self._open_quote(first)
                yield _Block(batch, (), skipped)

    def _open_quote(self, first: int) -> DataError:
        return DataError(
            f"{self.file.shown}: a quote opened in or after row {first} is not closed",
            hint="Close it, or say which character quotes cells, if any.",
        )

    def _read(self, stream: Any, size: int, skip: Any) -> Any:
        """Return Arrow's reader of the cells; nothing for a file that has a header and no rows."""
        names = self.files.names
        read = arrow_csv.ReadOptions(
            # Rows are numbered only when one thread reads them; it costs nothing.
            use_threads=False,
            block_size=size,
            column_names=None if names is None else list(names),
        )
        split = arrow_csv.ParseOptions(
            delimiter=_delimiter(self.file, self.files),
            quote_char=self.files.quote,
            newlines_in_values=True,
            invalid_row_handler=skip,
        )
        keep = arrow_csv.ConvertOptions(
            check_utf8=False,
            column_types={name: pa.binary() for name in self.names},
            null_values=list(self.files.null_marks),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        try:
            return arrow_csv.open_csv(pa.PythonFile(stream, "r"), read, split, keep)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return ()
            raise


def _positions(
    first: int, size: int, skipped: list[_Broken]
) -> tuple[Sequence[int], list[_Broken]]:
    """Return the row numbers of the next `size` good rows, and take the broken ones among them.

    Args:
        first: Row number of the first row that was not yielded.
        size: Number of good rows.
        skipped: Broken rows that the parser met so far, perhaps further on; those before the last
            good row are taken out.
    """
    broken: list[_Broken] = []
    stop = first + size
    while skipped and skipped[0].row < stop:
        broken.append(skipped.pop(0))
        stop += 1
    if not broken:
        return range(first, stop), broken
    gone = {one.row for one in broken}
    return [row for row in range(first, stop) if row not in gone], broken


def _ends_inside(batch: pa.RecordBatch, broken: list[_Broken]) -> bool:
    """Tell whether the last row of a batch, or one near it, has a line break in a cell."""
    last = [column[-1].as_py() for column in batch.columns if len(column)]
    return any(b"\n" in (cell or b"") for cell in last) or any("\n" in one.text for one in broken)


@dataclass(slots=True)
class _QuoteCounter:
    """A stream that counts quotes as they pass.

    Arrow takes everything after a quote that is never closed for one cell, to the end of the file,
    without a word. An odd number of quotes together with a last row of several lines tells.
    """

    stream: Any
    quote: bytes
    is_odd: bool = False
    ended: bool = False
    closed: bool = field(default=False, init=False)

    @property
    def left_open(self) -> bool:
        """Whether all was read and a quote has no partner."""
        return self.ended and self.is_odd

    def read(self, size: int = -1) -> bytes:
        """Read like any file."""
        data: bytes = self.stream.read(size)
        self.is_odd ^= bool(data.count(self.quote) % 2)
        self.ended = self.ended or len(data) < size or size < 0
        return data
