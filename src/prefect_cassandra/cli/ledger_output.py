"""How `prefect-cassandra ledger` shows what it found."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from prefect_cassandra.cli.output import data
from prefect_cassandra.ledger.blocks import moment

if TYPE_CHECKING:
    from prefect_cassandra.ledger.overview import Overview, TableLedger

_WIDE = 250


def show_overview(found: Overview, output: str) -> None:
    """Show the ledger, for people or as JSON."""
    if output == "json":
        sys.stdout.write(json.dumps(overview_json(found), indent=2) + "\n")
        return
    console = data()
    if not console.is_terminal:
        # A file or a pipe has no width; folding keys there would hide them from grep.
        console.width = _WIDE
    if not found.tables:
        console.print("No table has write stamps yet: the first load into one begins its clock.")
    else:
        console.print(_clocks(found.tables))
    if any(one.open for one in found.tables):
        console.print()
        console.print(_open(found.tables))
    for name, mebibytes in sorted(found.disk.items()):
        console.print(Text(f"prefect_ledger.{name}: {mebibytes:,} MiB on this node"))


def overview_json(found: Overview) -> dict[str, Any]:
    """Return the ledger as plain values."""
    plain = asdict(found)
    for table in plain["tables"]:
        for block in table["open"]:
            block["since"] = block["since"].isoformat()
    return plain


def _clocks(tables: tuple[TableLedger, ...]) -> Table:
    shown = Table("table", "clock at (UTC)", "ahead", "blocks", "open", "chunks", "rows")
    for one in tables:
        ahead = f"{one.ahead:.3f} s" if one.ahead > 0 else "-"
        shown.add_row(
            one.table,
            f"{moment(one.next):%Y-%m-%d %H:%M:%S.%f}",
            Text(ahead, style="red" if one.ahead > 1 else ""),
            f"{one.blocks:,}",
            f"{len(one.open):,}",
            f"{one.chunks:,}",
            f"{one.rows:,}",
        )
    return shown


def _open(tables: tuple[TableLedger, ...]) -> Table:
    shown = Table("not done", "load key", "since (UTC)", "run", "started by", "first stamp")
    for one in tables:
        for block in one.open:
            since = f"{block.since:%Y-%m-%d %H:%M:%S}"
            shown.add_row(
                one.table, block.load_key, since, block.run, block.person, str(block.start)
            )
    return shown
