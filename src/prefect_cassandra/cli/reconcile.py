"""`prefect-cassandra reconcile`: runs and Jobs are made to tell the same story."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.where import Where

app = App(name="reconcile")


@app.default
def reconcile(  # noqa: PLR0913 -- options of a command line
    *,
    where: Where = Where(),
    once: Annotated[
        bool, Parameter(negative=(), help="Put right what there is, then end.")
    ] = False,
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Only say what is to be put right; ends after one look.")
    ] = False,
    inside: Annotated[
        bool,
        Parameter(negative=(), help="This is a pod of the release: names and logins are its own."),
    ] = False,
    host: Annotated[str, Parameter(help="Address of the health server.")] = "0.0.0.0",  # noqa: S104 -- the kubelet asks from outside the pod
    port: Annotated[int, Parameter(help="Port of the health server, path /health.")] = 8080,
    output: Annotated[
        Literal["table", "json"], Parameter(help="For people, or for programs; with --once.")
    ] = "table",
) -> int:
    """Compare flow runs with their Jobs and put right what Prefect has left.

    Runs that wait for ever, Jobs that outlive their runs, runs whose pod is gone. Without --once it
    goes on until SIGTERM, as the chart runs it; of several, one works.

    Exit code 0 when nothing is left to put right, 1 when --dry-run found something or something was
    left alone, 2 for a kubeconfig that cannot be used, 3 when cluster or server do not answer or
    another reconciler works, 5 when you may not.
    """
    import asyncio

    from prefect_cassandra.cli.output import tell
    from prefect_cassandra.cli.reconcile_output import show_findings
    from prefect_cassandra.kube.reconciling import loop
    from prefect_cassandra.settings import ReconcilerSettings

    place, settings = loop.Where(where.found(), inside), ReconcilerSettings()
    if dry_run:
        found = asyncio.run(loop.look_once(place, settings))
        show_findings(found, output)
        return 1 if found.actions else 0
    if once:
        found = asyncio.run(loop.reconcile_once(place, settings, tell))
        show_findings(found, output)
        return 0 if all(outcome.is_done for outcome in found.outcomes) else 1
    asyncio.run(loop.reconcile(place, settings, _say, (host, port)))
    return 0


def _say(text: str) -> None:
    """Print a line of a container's log: at once, and without a terminal's width."""
    print(text, flush=True)  # noqa: T201 -- a log has no colours
