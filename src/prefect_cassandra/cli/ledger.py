"""`prefect-cassandra ledger`: who has which write stamps, and which loads are not done."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.connecting import Nodes

app = App(name="ledger", help="Who has which write stamps, and which loads are not done.")

Output = Annotated[Literal["table", "json"], Parameter(help="For people, or for programs.")]


@app.command
def status(
    *,
    table: Annotated[str | None, Parameter(help="keyspace.table [default: all].")] = None,
    hours: Annotated[
        float, Parameter(help="How far to look back from the newest block of each table.")
    ] = 24.0,
    nodes: Nodes | None = None,
    output: Output = "table",
) -> None:
    """Show the stamp clock of each table, the blocks of late, and the loads that are not done.

    The login needs to read the ledger: that of prefect_ledger or of a flow. Only a superuser sees
    the sizes on disk.
    """
    from contextlib import closing

    from prefect_cassandra.cli.ledger_output import show_overview
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.overview import overview

    with closing(Session((nodes or Nodes()).ledger_config())) as session:
        show_overview(overview(session, hours=hours, table=table), output)
