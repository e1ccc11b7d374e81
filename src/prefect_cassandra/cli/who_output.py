"""How `prefect-cassandra who` shows what it found."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from rich.table import Table
from rich.text import Text

from prefect_cassandra.cli.output import data
from prefect_cassandra.trail.verdict import Proof

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from prefect_cassandra.trail.report import CellTrail, Deletion, RowTrail, Work, Writer

_WIDE = 250
_LONGEST = 60
_COLOURS = {"proven": "green", "by stamp": "yellow", "not ours": "red"}


def show_row(found: RowTrail, output: str) -> None:
    """Show who wrote a row, for people or as JSON."""
    if output == "json":
        sys.stdout.write(json.dumps(found.as_json(), indent=2) + "\n")
        return
    console = _console()
    key = ", ".join(f"{name} = {value}" for name, value in found.key.items())
    console.print(Text(f"{found.table}, {key}"))
    named = [*(one.writer for one in found.cells), *(one.writer for one in found.deletions)]
    known = [one for one in named if _known(one)]
    writers = list(dict.fromkeys(map(_about, known)))
    if found.cells:
        console.print(_cells(found.cells, writers))
    for one in found.deletions:
        console.print(Text(_deleted(one, writers)))
    for number, writer in enumerate(writers, start=1):
        console.print()
        console.print(_writer(number, writer))
    if found.note:
        console.print(Text(found.note))


def show_works(works: Sequence[Work], output: str) -> None:
    """Show what was written, for people or as JSON."""
    if output == "json":
        sys.stdout.write(json.dumps([one.as_json() for one in works], indent=2) + "\n")
        return
    console = _console()
    if not works:
        console.print("Nothing that the ledger knows of.")
        return
    shown = Table(
        "table", "what", "load key", "state", "at (UTC)", "chunks", "rows", "run", "source"
    )
    for one in works:
        row = (one.table, one.kind, one.load_key, one.state.lower(), f"{one.at:%Y-%m-%d %H:%M:%S}")
        numbers = (f"{one.chunks:,}", f"{one.rows:,}")
        shown.add_row(*map(Text, (*row, *numbers, one.run, _short(one.source))))
    console.print(shown)
    rows = sum(one.rows for one in works)
    tables = len({one.table for one in works})
    console.print(Text(f"{rows:,} rows in {tables:,} tables"))


def _console() -> Console:
    console = data()
    if not console.is_terminal:
        # A file or a pipe has no width; folding keys there would hide them from grep.
        console.width = _WIDE
    return console


def _cells(cells: Sequence[CellTrail], writers: Sequence[Writer]) -> Table:
    shown = Table("column", "value", "written (UTC)", "who", "proof", "because")
    for one in cells:
        name = f"{one.column} (static)" if one.static else one.column
        if one.elements:
            name = f"{name} {_short(', '.join(map(str, one.elements)))}"
        when = f"{one.at:%Y-%m-%d %H:%M:%S.%f}" if one.at else str(one.stamp or "")
        if one.expires_in is not None:
            when = f"{when}, expires in {one.expires_in:,} s"
        value = "null" if one.text is None else _short(one.text)
        if one.writer is None:
            shown.add_row(Text(name), Text(value, style="dim"), when, "", "", "")
            continue
        who = str(writers.index(_about(one.writer)) + 1) if _known(one.writer) else "-"
        proof = Text(one.writer.proof, style=_COLOURS[one.writer.proof])
        shown.add_row(Text(name), Text(value), when, who, proof, Text(one.writer.why))
    return shown


def _deleted(one: Deletion, writers: Sequence[Writer]) -> str:
    """Return the line about a deletion."""
    what = {
        "PARTITION": "the whole partition",
        "RANGE": "a range of the partition, which may have had this row",
        "ROW": "the row",
    }.get(one.what, ", ".join(one.columns))
    by = f" by {writers.index(_about(one.writer)) + 1}" if _known(one.writer) else ""
    return f"deleted {one.at:%Y-%m-%d %H:%M:%S.%f}{by}: {what} ({_short(one.statement)})"


def _known(writer: Writer | None) -> TypeGuard[Writer]:
    return writer is not None and writer.proof is not Proof.NOT_OURS


def _about(writer: Writer) -> Writer:
    """Return a writer without what is said of each cell by itself."""
    return replace(writer, proof=Proof.PROVEN, why="")


def _writer(number: int, writer: Writer) -> Table:
    """Return the lines about one writer; what nobody knows is left out."""
    shown = Table.grid(padding=(0, 2))
    rows = None
    if writer.chunk is not None and writer.first_row is not None and writer.rows is not None:
        last = writer.first_row + writer.rows - 1
        rows = f"{writer.chunk}, rows {writer.first_row:,} to {last:,} of the input, counted from 0"
    lines = (
        ("run", writer.run),
        ("task", writer.task),
        ("attempt", str(writer.attempt or "")),
        ("started by", writer.person),
        ("deployment", " ".join(filter(None, (writer.deployment, writer.version)))),
        ("image", writer.image),
        ("commit", writer.commit),
        ("what", " ".join(filter(None, (writer.kind, writer.load_key)))),
        ("source", writer.source),
        ("chunk", rows),
    )
    for place, (word, value) in enumerate((word, value) for word, value in lines if value):
        shown.add_row(f"{number}:" if not place else "", word, Text(value))
    return shown


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
