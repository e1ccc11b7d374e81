"""`prefect-cassandra undo`: take back what flow runs wrote."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.connecting import Nodes

app = App(name="undo", help="Take back what flow runs wrote; what came later stays.")

Output = Annotated[Literal["table", "json"], Parameter(help="For people, or for programs.")]


@app.default
def undo(  # noqa: PLR0913 -- every option of the command
    run: Annotated[
        tuple[str, ...],
        Parameter(help="Identifiers of flow runs; undo those of one table together."),
    ],
    /,
    *,
    table: Annotated[str | None, Parameter(help="keyspace.table [default: all].")] = None,
    dry_run: Annotated[bool, Parameter(negative=(), help="Only count what would be done.")] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Do not count and ask first.")] = False,
    nodes: Nodes | None = None,
    output: Output = "table",
) -> int:
    """Undo what flow runs wrote: their rows vanish, what they overwrote comes back.

    What a load overwrote is known when it was made with before_image=True or in a transaction; else
    it is cleared, and the counts say so before anything is done. Counting reads each table as a
    whole where there are no images. Cancel a run that is still under way first: its retries would
    write the rows again. Undoing twice changes nothing.

    The login needs to read and write the tables and the ledger: that of a keyspace's flows.
    """
    from contextlib import closing
    from datetime import timedelta

    from prefect_cassandra.cli.undo_output import confirmed, show_undone, warn_of_open
    from prefect_cassandra.driver.identifiers import qualified
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.overview import open_below
    from prefect_cassandra.settings import LedgerSettings
    from prefect_cassandra.writes.undo import undo_contents
    from prefect_cassandra.writes.undo_lookup import contents_of_runs

    name = None if table is None else ".".join(qualified(table))
    with closing(Session((nodes or Nodes()).ledger_config())) as session:
        contents = contents_of_runs(session, run, name)
        window = timedelta(days=LedgerSettings().undo_window)
        warn_of_open(open_below(session, contents, window))
        if dry_run or not yes:
            planned = undo_contents(session, contents, dry_run=True)
            if dry_run:
                show_undone(planned, output)
                return 0
            if not confirmed(planned):
                return 1
        show_undone(undo_contents(session, contents, person=_me()), output)
    return 0


def _me() -> str:
    """Return who runs this command, for the record."""
    from getpass import getuser
    from socket import gethostname

    return f"{getuser()}@{gethostname()}"
