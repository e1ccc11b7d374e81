"""`prefect-cassandra demo`: the main job on one machine, counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from prefect_cassandra.example.flights import DemoResult

app = App(
    name="demo", help="Send 336,776 real flights through Prefect into Cassandra and count them."
)


@app.default
def demo(
    flows: Annotated[Path, Parameter(help="Folder with the example flows.")] = Path("flows"),
    *,
    keep: Annotated[
        bool, Parameter(negative=(), help="Leave the stack up to explore, until Ctrl-C.")
    ] = False,
    data: Annotated[
        Path | None, Parameter(help="Folder to work in; emptied before and deleted after.")
    ] = None,
) -> int:
    """Start a stack, deploy the flows, run the flights through it and count what arrived.

    Exit code 0 when every row of the source is in Cassandra, 1 when a count differs.
    """
    from prefect_cassandra.cli.output import Progress
    from prefect_cassandra.local.demo import perform
    from prefect_cassandra.local.plan import StackConfig, data_folder

    config = StackConfig.from_settings(data=data or data_folder(None).with_name("demo"))
    with Progress() as progress:

        def show(result: DemoResult) -> None:
            progress.finish()
            show_result(result)
            if keep:
                show_kept()

        return perform(config, flows, progress, show, keep=keep)


def show_result(result: DemoResult) -> None:
    """Print the counts, the worst carriers and the trail of the run."""
    from rich.table import Table
    from rich.text import Text

    from prefect_cassandra.cli.output import data

    console = data()
    tables = Table(title="Rows", title_justify="left", box=None, pad_edge=False)
    tables.add_column("table")
    for heading in ("in the source", "without a key", "in Cassandra", "seconds"):
        tables.add_column(heading, justify="right")
    tables.add_column("")
    for one in result.tables:
        mark = Text("exact", "green") if one.is_exact else Text("DIFFERS", "bold red")
        unkeyed = f"{one.unkeyed:,}" if one.unkeyed else ""
        tables.add_row(
            one.table, f"{one.source:,}", unkeyed, f"{one.found:,}", f"{one.seconds:.1f}", mark
        )
    worst = Table(title="Latest to arrive", title_justify="left", box=None, pad_edge=False)
    worst.add_column("carrier")
    worst.add_column("")
    worst.add_column("flights", justify="right")
    worst.add_column("minutes late", justify="right")
    for row in result.worst:
        worst.add_row(
            row["carrier"], row["name"], f"{row['flights']:,}", f"{row['mean_arr_delay']:.1f}"
        )
    trail = Table.grid(padding=(0, 2))
    for label, text in result.trail:
        trail.add_row(Text(label, "bold"), text)
    trail.add_row(Text("UI", "bold"), result.ui_url)
    for part in (tables, worst, trail):
        console.print(part, Text(""))
    for one in result.tables:
        if not one.is_exact:
            wanted = one.source - one.unkeyed
            console.print(
                Text(
                    f"{one.table} should hold {wanted:,} rows and holds {one.found:,}.", "bold red"
                )
            )


def show_kept() -> None:
    """Say that the stack stays up, and until when."""
    from rich.text import Text

    from prefect_cassandra.cli.output import messages

    messages().print(Text("Everything stays up until Ctrl-C.", "dim"))
