"""The demo on one machine: real flights through a real Prefect into a real Cassandra, counted."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.sharing import close_sessions, shared_session
from prefect_cassandra.errors import DataFolderError, LocalStackError, PrefectCassandraError
from prefect_cassandra.example import runs
from prefect_cassandra.example.flights import (
    DEPLOYMENT,
    KEYSPACE,
    ROLE,
    DemoResult,
    Source,
    count_tables,
    latest_to_arrive,
)
from prefect_cassandra.local import prefect_services
from prefect_cassandra.local.project import deploy
from prefect_cassandra.local.stack import Event, Stack
from prefect_cassandra.local.state import read_state
from prefect_cassandra.local.supervisor import Requests, listening
from prefect_cassandra.project.asking import insist, send
from prefect_cassandra.schema import reader_role

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect_cassandra.local.plan import StackConfig
    from prefect_cassandra.project.asking import Body

# A folder with this file may be deleted by the next demo; a folder of `local up` has none.
_MARKER = "demo"


def perform(
    config: StackConfig,
    flows: Path,
    report: Callable[[Event], None],
    show: Callable[[DemoResult], None],
    *,
    keep: bool,
) -> int:
    """Do everything: a fresh stack, the flows on it, the run, the count, and away with it again.

    Args:
        config: What to start; its data folder is emptied first, so that the count can only be of
            what this run wrote.
        flows: Folder with the flows.
        report: Told of each event, from several threads.
        show: Given the result while the stack is still up.
        keep: Stay up, with all data, until Ctrl-C.

    Returns:
        The exit code: 0 when every count is exact, 1 when not, 130 after an interrupt.
    """
    claim(config.data)
    stack = Stack(config, report)
    requests = Requests(stack)

    def check() -> None:
        if requests.first is not None:
            raise KeyboardInterrupt
        stack.check()

    def tell(text: str) -> None:
        check()
        report(Event("demo", "note", text))

    result: DemoResult | None = None
    with listening(requests):
        try:
            stack.up()
            deploy(stack, flows, tell)
            result = run_demo(stack, tell, check)
            show(result)
            if keep:
                stack.watch(requests.stop)
        except (PrefectCassandraError, KeyboardInterrupt):
            # Whatever broke because everything was told to stop is not news.
            if requests.first is None:
                report(Event("demo", "note", f"the logs stay in {config.data}"))
                raise
        else:
            # What is deleted next needs no flush to disk.
            stack.hurry()
        finally:
            close_sessions()
            stack.down()
    shutil.rmtree(config.data, ignore_errors=True)
    # Whoever keeps the stack up ends it with Ctrl-C, which is then no interruption.
    return requests.exit_code if result is None else int(not result.is_exact)


def claim(folder: Path) -> None:
    """Empty a folder that an earlier demo used, or take an empty one, and mark it as a demo's.

    Raises:
        DataFolderError: The folder holds something else, or a demo is running on it.
    """
    if folder.exists() and any(folder.iterdir()):
        _wipe(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _MARKER).touch()


def _wipe(folder: Path) -> None:
    if not (folder / _MARKER).exists():
        raise DataFolderError(
            f"{folder} holds something that is not a demo.", hint="Name another one with --data."
        )
    state = read_state(folder)
    if state is not None and state.is_supervised():
        raise DataFolderError(
            f"A demo is running on {folder}.", hint=f"prefect-cassandra local down --data {folder}"
        )
    shutil.rmtree(folder)


def run_demo(stack: Stack, tell: Callable[[str], None], check: Callable[[], None]) -> DemoResult:
    """Trigger the flights deployment, wait for the run, and count.

    Args:
        stack: A running stack with the flows deployed on it.
        tell: Called with one line for each thing worth knowing.
        check: Called again and again while waiting; raises to end the wait.

    Raises:
        LocalStackError: The run did not complete; quotes its last log lines.
    """
    source = Source()
    port = stack.config.server_port
    ask = partial(_ask, port)
    run = runs.trigger(ask, DEPLOYMENT)
    tell(f"flow run {run['name']} of deployment {DEPLOYMENT} was created")
    # Counting the source takes a second that the worker needs to pick the run up.
    _ = source.expected
    run = runs.wait(ask, run["id"], tell, check)
    said = runs.failure(ask, run)
    if said is not None:
        raise LocalStackError(said, hint=f"Read {stack.config.data / 'logs' / 'worker.log'}.")
    seconds = runs.seconds_by_table(ask, run["id"], KEYSPACE)
    points = ", ".join(f"{host}:{stack.cql_port}" for host in stack.contact_points)
    where = (f"process {run['infrastructure_pid']}", f"Cassandra at {points}")
    nobody = "the demo, through the API without a login"
    trail = runs.trail(ask, run, nobody=nobody, role=ROLE, where=where)
    tell("counting what arrived, by a scan of every table")
    # Reads what the flow wrote with a login that could not have written it.
    session = shared_session(stack.cluster_config(reader_role(KEYSPACE)))
    return DemoResult(
        count_tables(session, source, seconds),
        latest_to_arrive(session, source),
        tuple(trail),
        f"{prefect_services.ui_url(port)}/runs/flow-run/{run['id']}",
    )


def _ask(port: int, method: str, path: str, body: Body = None) -> Any:
    return insist(partial(send, port), method, path, body, LocalStackError)
