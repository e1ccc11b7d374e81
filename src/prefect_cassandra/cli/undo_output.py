"""How `prefect-cassandra undo` and `ledger repair` show what they did, and ask before it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from prefect_cassandra.cli.output import data, messages
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.ledger.overview import said_of_open
from prefect_cassandra.ledger.repair import Mending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prefect_cassandra.errors import PrefectCassandraError
    from prefect_cassandra.ledger.overview import OpenBlock
    from prefect_cassandra.ledger.repair import Verdict
    from prefect_cassandra.writes.undo_report import UndoReport

_WIDE = 250


def show_undone(reports: Sequence[UndoReport], output: str) -> None:
    """Show what was undone, or would be, for people or as JSON."""
    if output == "json":
        sys.stdout.write(json.dumps([asdict(one) for one in reports], indent=2) + "\n")
        return
    console = data()
    if not console.is_terminal:
        # A file or a pipe has no width; folding keys there would hide them from grep.
        console.width = _WIDE
    shown = Table("table", "load key", "rows removed", "cells restored", "cells cleared", "images")
    for one in reports:
        shown.add_row(
            one.table,
            one.load_key,
            f"{one.rows_removed:,}",
            f"{one.cells_restored:,}",
            Text(f"{one.cells_cleared:,}", style="yellow" if one.blind else ""),
            f"{one.imaged_chunks:,} of {one.chunks:,} chunks",
        )
    console.print(shown)
    for line in _warnings(reports):
        console.print(Text(line, style="yellow"))
    if any(one.dry_run for one in reports):
        console.print("Nothing was done yet.")


def warn_of_open(loads: Mapping[str, Sequence[OpenBlock]]) -> None:
    """Say which older loads may still write rows that are about to be removed."""
    for line in said_of_open(loads):
        messages().print(Text(line, style="yellow"))


def confirmed(planned: Sequence[UndoReport]) -> bool:
    """Show what would be done and ask whether to do it.

    Raises:
        ConfigurationError: There is nobody to ask.
    """
    show_undone(planned, "table")
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "Undoing asks before it does anything, and there is no terminal to ask on.",
            hint="Look at the counts with --dry-run, then say --yes.",
        )
    sys.stdout.write("Undo it? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def show_verdicts(verdicts: Sequence[Verdict], output: str) -> None:
    """Show what is unfinished and what is done about it."""
    if output == "json":
        sys.stdout.write(json.dumps([_plain(one) for one in verdicts], indent=2) + "\n")
        return
    console = data()
    if not console.is_terminal:
        console.width = _WIDE
    if not verdicts:
        console.print("Nothing is unfinished.")
        return
    shown = Table("table", "load key", "since (UTC)", "run", "do", "because")
    for one in verdicts:
        content = one.owed.content
        shown.add_row(
            content.table,
            content.key,
            f"{one.owed.since:%Y-%m-%d %H:%M:%S}",
            one.owed.run,
            Text(one.mending.value, style="" if one.mending is Mending.LEAVE else "yellow"),
            one.why,
        )
    console.print(shown)


def show_failures(failures: Mapping[str, PrefectCassandraError]) -> None:
    """Say, on standard error, in which tables nothing was done, and why."""
    for table, error in failures.items():
        sys.stderr.write(f"Nothing was done in {table}: {error}\n")


def _warnings(reports: Sequence[UndoReport]) -> list[str]:
    found = []
    for one in reports:
        if one.cells_left:
            found.append(
                f"{one.table}: {one.cells_left:,} collections keep elements of {one.load_key!r}, "
                "which it added to elements of others."
            )
        if one.kind == "DELETE":
            found.append(f"{one.table}: what {one.load_key!r} deleted does not come back.")
        elif one.blind:
            found.append(
                f"{one.table}: what {one.load_key!r} overwrote was not kept, so those cells are "
                "cleared, and rows of which it had overwritten every cell are removed."
            )
    return found


def _plain(verdict: Verdict) -> dict[str, object]:
    owed = verdict.owed
    return {
        **asdict(owed.content),
        "reason": owed.reason,
        "run": owed.run,
        "since": owed.since.isoformat(),
        "mending": verdict.mending.name,
        "why": verdict.why,
    }
