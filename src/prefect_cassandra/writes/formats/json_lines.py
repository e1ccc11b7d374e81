"""JSON lines: one object a line, typed by the table that the rows go into."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.cells import read_json
from prefect_cassandra.writes.formats.naming import targets, types
from prefect_cassandra.writes.formats.text import column_part
from prefect_cassandra.writes.literals import parse_json, shown
from prefect_cassandra.writes.sources import Chunk, Column, Origin, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.files import Files
    from prefect_cassandra.writes.finding import File

# A parsed row takes several times its text.
BLOCK_BYTES = 4 * 2**20
_LOOKED_AT_BYTES = 2**20
# Cassandra takes 16 MiB in one write, which JSON spells in up to six times as many characters.
_LONGEST_ROW = 128 * 2**20
_EXACT = {"decimal", "varint"}


def shape(file: File, files: Files, table: TableInfo) -> Part:  # noqa: ARG001 -- as every format
    """Return a part without rows that has the columns of the file's first rows."""
    names = _first_names(file)
    wanted = targets(names, file.shown, files, complete=False)
    return Part(dict.fromkeys(wanted.values()), 0, _nothing)


def parts(file: File, files: Files, table: TableInfo) -> Iterator[Part]:
    """Yield the file's rows, block by block.

    A line that is no JSON object, or that names a column the table does not have, is a row that
    cannot be read.
    """
    names = dict.fromkeys(_first_names(file))
    exact = any(_digits_matter(column.cql_type) for column in table.columns)
    first = 0
    for lines in _blocks(file):
        rows = [parse_line(line, exact=exact) for line in lines]
        for row in rows:
            if isinstance(row, dict):
                names |= dict.fromkeys(row)
        text = [line.decode(errors="replace").strip() for line in lines]
        origin = Origin(file.shown, range(first, first + len(lines)), {}, text)
        wanted = targets(list(names), file.shown, files, complete=False)
        yield _part(rows, origin, wanted, table)
        first += len(lines)


def _nothing(_first_row: int, _start: int, _stop: int) -> Chunk:
    return Chunk(range(0), {})


def _digits_matter(cql_type: str) -> bool:
    return any(name in cql_type for name in _EXACT) or "<" in cql_type


def _first_names(file: File) -> list[str]:
    """Return the columns of the file's first megabyte, or of its first row if that is longer."""
    start, is_all = _start(file)
    lines = start.split(b"\n")
    if not is_all:
        lines.pop()
    names: dict[str, None] = {}
    for line in lines:
        row = parse_line(line, exact=False) if line.strip() else None
        if isinstance(row, dict):
            names |= dict.fromkeys(row)
    if start.lstrip().startswith(b"[") or (not names and start.strip()):
        raise DataError(
            f"{file.shown} does not hold one JSON object a line.",
            hint="Write every row as an object on a line of its own: jq -c '.[]' FILE.",
        )
    return list(names)


def _start(file: File) -> tuple[bytes, bool]:
    """Return the first rows of a file, at least one to its end, and whether that is all of it.

    Raises:
        DataError: The first row is longer than any that Cassandra would take.
    """
    start = b""
    with file.opened() as stream:
        while data := bytes(stream.read(_LOOKED_AT_BYTES)):
            start = (start + data).removeprefix(b"\xef\xbb\xbf")
            text = start.lstrip()
            if b"\n" in text or text.startswith(b"["):
                return start, not stream.read(1)
            if len(start) > _LONGEST_ROW:
                raise DataError(
                    f"{file.shown}: the first row has more than {_LONGEST_ROW >> 20} MiB",
                    hint="Write every row as an object on a line of its own: jq -c '.[]' FILE.",
                )
    return start, True


def parse_line(line: bytes, *, exact: bool) -> dict[str, Any] | str:
    """Return the object on a line, or why there is none."""
    try:
        value = parse_json(line.decode(), exact=exact)
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} of the line is not UTF-8"
    except ValueError as error:
        return f"the line is {error}"
    if isinstance(value, dict):
        return value
    return f"the line is {shown(line.decode())}, not a JSON object"


def _blocks(file: File) -> Iterator[list[bytes]]:
    """Yield the lines that are not blank, a block of the file at a time."""
    rest = b""
    with file.opened() as stream:
        start = True
        while data := bytes(stream.read(BLOCK_BYTES)):
            if start:
                data, start = data.removeprefix(b"\xef\xbb\xbf"), False
            head, line_break, tail = data.rpartition(b"\n")
            if not line_break:
                rest += data
                continue
            lines = (rest + head).split(b"\n")
            rest = tail
            if found := [line for line in lines if line.strip()]:
                yield found
    if rest.strip():
        yield [rest]


def _part(
    rows: list[dict[str, Any] | str],
    origin: Origin,
    wanted: dict[str, str],
    table: TableInfo,
) -> Part:
    """Give the values their types; what cannot be read is remembered with its row."""
    first = origin.rows[0]
    unreadable = {
        first + place: ("", row) for place, row in enumerate(rows) if isinstance(row, str)
    }
    objects = [row if isinstance(row, dict) else {} for row in rows]
    known = types(list(wanted.values()), table)
    columns: dict[str, Column] = {}
    for name, column in wanted.items():
        if column in known:
            values = [row.get(name) for row in objects]
            columns[column], flaws = read_json(values, known[column])
        else:
            reason = f"{table.keyspace}.{table.name} has no such column"
            flaws = {place: reason for place, row in enumerate(objects) if name in row}
        for place, reason in flaws.items():
            unreadable.setdefault(first + place, (column, reason))
    return column_part(columns, replace(origin, unreadable=unreadable))
