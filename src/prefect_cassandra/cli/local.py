"""`prefect-cassandra local`: Cassandra, Prefect and a worker on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(name="local", help="Run Cassandra, Prefect and a worker on this machine.")

Data = Annotated[
    Path | None,
    Parameter(help="Folder of everything the stack keeps [default: setting local.data_folder]."),
]
Passed = Annotated[
    str, Parameter(allow_leading_hyphen=True, help="Handed on; put -- before options.")
]


@app.command
def up(  # noqa: PLR0913 -- one parameter an option
    *,
    nodes: Annotated[Literal[1, 3], Parameter(help="Number of Cassandra nodes.")] = 1,
    data: Data = None,
    tls: Annotated[bool, Parameter(negative=(), help="Encrypt CQL.")] = False,
    prefect: Annotated[bool, Parameter(help="Start a Prefect server and a worker as well.")] = True,
    detach: Annotated[
        bool, Parameter(negative=(), help="Return when everything answers and let it run.")
    ] = False,
    cql_port: Annotated[int | None, Parameter(help="Port for CQL [default: 9042].")] = None,
    storage_port: Annotated[
        int | None, Parameter(help="Port between the nodes [default: 7000].")
    ] = None,
    jmx_port: Annotated[
        int | None, Parameter(help="JMX port of the first node [default: 7199].")
    ] = None,
    server_port: Annotated[
        int | None, Parameter(help="Port of the Prefect server [default: 4200].")
    ] = None,
    heap: Annotated[str | None, Parameter(help="Java heap of each node [default: 640M].")] = None,
    start_timeout: Annotated[
        float | None, Parameter(help="Seconds one part may take to answer [default: 180].")
    ] = None,
) -> int:
    """Start Cassandra, a Prefect server and a worker, and stay with them.

    Ctrl-C stops everything in order, a second Ctrl-C at once. Defaults come from the settings
    PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_*.
    """
    from prefect_cassandra.cli.output import Progress, show_up
    from prefect_cassandra.local.stack import Stack, StackConfig
    from prefect_cassandra.local.supervisor import run, start_detached

    config = StackConfig.from_settings(
        nodes=nodes,
        data=data,
        tls=tls,
        prefect=prefect,
        cql_port=cql_port,
        storage_port=storage_port,
        jmx_port=jmx_port,
        server_port=server_port,
        heap=heap,
        start_timeout=start_timeout,
    )
    with Progress() as progress:
        if detach:
            start_detached(config, progress)
            progress.finish()
            show_up(Stack(config), detached=True)
            return 0

        def on_up(stack: Stack) -> None:
            progress.finish()
            show_up(stack, detached=False)

        return run(config, progress, on_up)


@app.command
def deploy(
    flows: Annotated[Path, Parameter(help="Folder with keyspaces.yaml and prefect.yaml.")] = Path(
        "flows"
    ),
    *,
    data: Data = None,
) -> None:
    """Put a folder of flows on a running stack: keyspaces, roles, blocks, deployments.

    Safe to repeat. Prefect's own `prefect deployment run FLOW/DEPLOYMENT` then starts a run.
    """
    from prefect_cassandra.cli.output import messages, show_deployed
    from prefect_cassandra.local import project
    from prefect_cassandra.local.plan import data_folder

    stack = project.attached(data_folder(data))
    show_deployed(stack, project.deploy(stack, flows, messages().print))


@app.command
def down(*, data: Data = None) -> None:
    """Stop the stack of a folder, whoever started it, and wait until all of it is gone."""
    from prefect_cassandra.cli.output import Progress, messages
    from prefect_cassandra.local.plan import data_folder
    from prefect_cassandra.local.supervisor import stop

    folder = data_folder(data)
    with Progress() as progress:
        was_running = stop(folder, progress)
    if not was_running:
        messages().print(f"Nothing is running on {folder}.")


@app.command
def status(*, data: Data = None, output: Literal["table", "json"] = "table") -> int:
    """Say what runs: part, pid, since when, memory, address.

    Exit code 0 when the stack runs, 1 when nothing does or when it is not whole.
    """
    from prefect_cassandra.cli.output import show_status
    from prefect_cassandra.local.plan import data_folder
    from prefect_cassandra.local.status import read_status

    found = read_status(data_folder(data))
    show_status(found, output)
    return found.exit_code


@app.command
def nodetool(
    *arguments: Passed,
    data: Data = None,
    node: Annotated[int, Parameter(help="Number of the node.")] = 1,
) -> int:
    """Run Cassandra's nodetool against a running node: `local nodetool -- status`."""
    from prefect_cassandra.local import tools
    from prefect_cassandra.local.plan import cache_folder, data_folder

    return tools.nodetool(data_folder(data), cache_folder(), node, arguments)


@app.command
def cqlsh(
    *arguments: Passed,
    data: Data = None,
    node: Annotated[int, Parameter(help="Number of the node.")] = 1,
) -> None:
    """Open Cassandra's shell as the superuser: `local cqlsh -- -e "DESCRIBE KEYSPACES"`."""
    from prefect_cassandra.local import tools
    from prefect_cassandra.local.plan import data_folder

    tools.cqlsh(data_folder(data), node, arguments)
