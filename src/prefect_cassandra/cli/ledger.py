"""`prefect-cassandra ledger`: who has which write stamps, what is not done, and finishing it."""

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


@app.command
def repair(
    *,
    table: Annotated[str | None, Parameter(help="keyspace.table [default: all].")] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only say what would be done.")] = False,
    dead: Annotated[
        tuple[str, ...],
        Parameter(help="Flow runs that have ended, whatever Prefect says.", negative=()),
    ] = (),
    nodes: Nodes | None = None,
    output: Output = "table",
) -> int:
    """Finish what a crash left half done: undoings, sweeps, transactions of runs that have died.

    What became of a run is asked of the Prefect server that PREFECT_API_URL names. The login needs
    to read and write the tables and the ledger.
    """
    from contextlib import closing

    from prefect_cassandra.cli.undo_output import show_failures, show_undone, show_verdicts
    from prefect_cassandra.driver.identifiers import qualified
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.tasks.run_fates import RunFates
    from prefect_cassandra.writes.repairing import repair as carry_out
    from prefect_cassandra.writes.repairing import verdicts

    name = None if table is None else ".".join(qualified(table))
    with closing(Session((nodes or Nodes()).ledger_config())) as session:
        decided = verdicts(session, RunFates(dead), name)
        show_verdicts(decided, output)
        if dry_run:
            return 0
        done = carry_out(session, decided)
    if done.reports and output == "table":
        show_undone(done.reports, output)
    show_failures(done.failures)
    return 1 if done.failures else 0
