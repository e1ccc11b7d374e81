"""Rejected rows in a file: as they were, and why. To be mended and loaded again.

Rows are collected aside, so that memory stays bounded and the columns of all of them are known when
the reject file is written. It appears when the load has ended, whole, also when the load failed. A
load without rejects leaves no file.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.urls import without_login
from prefect_cassandra.writes.finding import file_system, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prefect_cassandra.writes.files import Files
    from prefect_cassandra.writes.report import Reject
    from prefect_cassandra.writes.sources import Chunk, Origin

# The columns that a reject file has beside those of the input.
ADDED = ("reject_file", "reject_row", "reject_column", "reject_reason", "reject_line")
_LINE = ADDED[-1]
_SUFFIXES = (".csv", ".json", ".jsonl", ".ndjson")


@dataclass(slots=True)
class RejectFile:
    """A file of rejected rows; a context manager that writes it at the end, and a `RejectSink`.

    CSV has the cells of CSV input as they were, in the dialect of the input; JSON lines have the
    objects of JSON input as they were. Of other input the values are written as text.

    Args:
        path: Its name, which tells its format: `.csv` or `.jsonl`. A path or an fsspec URL.
        files: The input, whose delimiter, quotes and null mark a CSV file takes over.
        replace: Whether a file of that name may be replaced.
        storage_options: For fsspec, to open a URL; when absent those of the input, if its URL is of
            the same kind.

    Raises:
        ConfigurationError: The name tells no format, there is such a file already, or the URL
            cannot be opened.
        UnreachableError: Its store does not answer.
    """

    path: str
    files: Files | None = None
    replace: bool = False
    storage_options: Mapping[str, Any] | None = None
    count: int = field(default=0, init=False)
    _names: dict[str, None] = field(default_factory=dict, init=False)
    _aside: IO[str] = field(init=False)

    def __post_init__(self) -> None:
        if Path(self.path).suffix.lower() not in _SUFFIXES:
            raise ConfigurationError(
                f"The name of the reject file {without_login(self.path)} does not tell its format.",
                hint=f"Let it end in {', '.join(_SUFFIXES)}.",
            )
        # A far one too: a wrong login is better known before the load than after it.
        if not self.replace and self._is_there():
            raise ConfigurationError(
                f"There is a reject file {without_login(self.path)} already.",
                hint="Move it away: it may hold rows that nobody has mended.",
            )

    def __enter__(self) -> Self:
        """Open the file aside."""
        self._aside = tempfile.TemporaryFile("w+", encoding="utf-8")
        return self

    def __exit__(self, *_error: object) -> None:
        """Write the reject file, if there is anything to write."""
        with self._aside:
            if self.count:
                self._publish()

    def take(self, rejects: Sequence[Reject], chunk: Chunk) -> None:
        """Keep the rejected rows of one chunk."""
        places = {position: place for place, position in enumerate(chunk.positions)}
        origin = chunk.origin
        rows = None
        if origin is not None and not isinstance(origin.rows, range):
            rows = {row: place for place, row in enumerate(origin.rows)}
        for reject in rejects:
            row: tuple[dict[str, Any], str | None]
            if origin is not None and (origin.cells or origin.lines is not None):
                place = rows[reject.row] if rows is not None else origin.rows.index(reject.row)
                row = _as_written(origin, place)
            else:
                row = _values(chunk, places[reject.row]), None
            self._names |= dict.fromkeys(row[0])
            why = [reject.file, reject.row, reject.column, reject.reason]
            self._aside.write(json.dumps([why, *row]) + "\n")
        self.count += len(rejects)

    def _publish(self) -> None:
        """Write the file under another name beside its own, or far away in one piece."""
        self._aside.seek(0)
        folder = None if "://" in self.path else Path(self.path).resolve().parent
        # Undecodable bytes of the input come out as they were.
        with tempfile.NamedTemporaryFile(
            "w",
            dir=folder,
            prefix=".rejects-",
            encoding="utf-8",
            errors="surrogateescape",
            newline="",
            delete=False,
        ) as file:
            try:
                file.writelines(self._lines())
                file.flush()
                os.fsync(file.fileno())
                if folder is not None:
                    Path(file.name).replace(self.path)
                else:
                    self._send(file.name)
            finally:
                with suppress(FileNotFoundError):
                    Path(file.name).unlink()

    def _is_there(self) -> bool:
        if "://" not in self.path:
            return Path(self.path).exists()
        with reading(self.path):
            system, path = file_system(self.path, self._far_options())
            return bool(system.exists(path))

    def _send(self, name: str) -> None:
        """Send a file in one piece: there when all of it is, as in any object store."""
        system, path = file_system(self.path, self._far_options())
        with open(name, "rb") as file, system.open(path, "wb") as far:  # noqa: PTH123 -- as fsspec's
            shutil.copyfileobj(file, far)

    def _far_options(self) -> Mapping[str, Any]:
        if self.storage_options is not None:
            return self.storage_options
        files = self.files
        urls = () if files is None else [files.urls] if isinstance(files.urls, str) else files.urls
        kind = self.path.partition("://")[0]
        if files is None or not any(url.partition("://")[0] == kind for url in urls):
            return {}
        return files.storage_options

    def _lines(self) -> Iterator[str]:
        rows = (json.loads(line) for line in self._aside)
        if Path(self.path).suffix.lower() != ".csv":
            return (_json_line(*row) for row in rows)
        return self._csv_lines(rows)

    def _csv_lines(self, rows: Iterator[Any]) -> Iterator[str]:
        files = self.files
        delimiter = (files.delimiter if files else None) or ","
        quote = files.quote if files else '"'
        null = files.null_marks[0] if files and files.null_marks else ""

        def line(cells: Sequence[Any]) -> str:
            texts = (null if cell is None else _cell(cell, quote) for cell in cells)
            return delimiter.join(texts) + "\n"

        yield line([*self._names, *ADDED])
        for why, values, text in rows:
            yield line([*(values.get(name) for name in self._names), *why, text])


def _as_written(origin: Origin, place: int) -> tuple[dict[str, Any], str | None]:
    """Return the cells of a row, or its whole line, as the file has them."""
    if origin.lines is not None:
        return {}, origin.lines[place]
    cells = {name: column[place].as_py() for name, column in origin.cells.items()}
    return {
        name: cell.decode(errors="surrogateescape") if isinstance(cell, bytes) else cell
        for name, cell in cells.items()
    }, None


def _values(chunk: Chunk, place: int) -> dict[str, Any]:
    return {name: _plain(column[place]) for name, column in chunk.columns.items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it and as a load reads it again."""
    if hasattr(value, "as_py"):
        try:
            value = value.as_py()
        except (ValueError, OverflowError):  # finer or further than Python's own types
            return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "items"):
        pairs = [(_plain(key), _plain(item)) for key, item in value.items()]
        return dict(pairs) if all(isinstance(key, str) for key, _ in pairs) else pairs
    # A duration is a tuple as well, where it comes from Arrow.
    if isinstance(value, list | tuple | set | frozenset) and not hasattr(value, "months"):
        return [_plain(item) for item in value]
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"0x{bytes(value).hex()}"
    if hasattr(value, "months") and hasattr(value, "nanoseconds"):
        parts = (value.months, value.days, value.nanoseconds)
        sign = "-" if min(parts) < 0 else ""
        return "{}{}mo{}d{}ns".format(sign, *map(abs, parts))
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _json_line(why: Sequence[Any], values: Mapping[str, Any], text: str | None) -> str:
    """Return one line of JSON: the object as it was, with the reason added to it."""
    added = dict(zip(ADDED, why, strict=False))
    if text is not None and _is_object(text):
        # The text itself goes on, so that no number loses a digit.
        inside = text.strip()[1:-1].strip()
        return "{" + inside + (", " if inside else "") + json.dumps(added)[1:] + "\n"
    if text is not None:
        added[_LINE] = text
    return json.dumps({**values, **added}) + "\n"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _cell(value: Any, quote: str) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return quote + text.replace(quote, quote * 2) + quote
