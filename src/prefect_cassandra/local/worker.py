"""The worker's process: makes the work pool and its queues, tidies up after a crash, then polls.

Run as `python -m prefect_cassandra.local.worker DRAIN`. Prefect's own process worker does the work;
what is added is that it waits for the server while its imports are done already, and that SIGTERM
lets running flows end instead of ending them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectAlreadyExists
from prefect.states import Crashed
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from prefect_cassandra.local.guard import MARK, find_marked
from prefect_cassandra.local.prefect_services import (
    GO,
    POOL,
    QUEUES,
    WORKER_BRANCH,
    WORKER_NAME,
)

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

# A laptop that was shut over a week-end wakes to a pile of scheduled runs.
_RUNS_AT_ONCE = 10
# For a flow that was told to stop: its tasks end, it reports its state, Python exits.
_LAST_WORDS = 15.0


class LocalWorker(ProcessWorker):
    """Prefect's process worker that can stop taking runs and count those it has."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.is_draining = False
        self.running = 0
        self.idle = asyncio.Event()
        self.idle.set()

    @classmethod
    def __dispatch_key__(cls) -> str | None:
        # Under the inherited key, `process`, it would take the place of Prefect's own class.
        return "process-of-the-local-stack"

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Ask for work unless we are about to stop."""
        return [] if self.is_draining else await super().get_and_submit_flow_runs()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: Any = None,
    ) -> ProcessWorkerResult:
        """Run one flow run, counted; a crash that was reported already is not reported again."""
        self.running += 1
        self.idle.clear()
        try:
            result = await super().run(flow_run, configuration, task_status)
            if result.status_code and await is_reported(self.client, flow_run):
                # Whoever ran the process has said so. Saying it again, seconds later, would undo a
                # retry that somebody asked for in between.
                return ProcessWorkerResult(identifier=result.identifier, status_code=0)
            return result
        finally:
            self.running -= 1
            if not self.running:
                self.idle.set()


async def is_reported(client: PrefectClient, taken: FlowRun) -> bool:
    """Tell whether the server knows how an attempt ended.

    Asked of the history, not of the newest state: that is the next attempt's already when somebody
    asked for a retry while the crashed one was tidied up.

    Args:
        client: Of the server that has the run.
        taken: The run as it was when the worker took it.
    """
    states = await client.read_flow_run_states(taken.id)
    since = taken.state.timestamp if taken.state else taken.created
    return any(one.is_final() for one in states if since is None or one.timestamp > since)


async def make_pool(client: PrefectClient) -> None:
    """Make the work pool and its queues where they do not exist."""
    template = ProcessWorker.get_default_base_job_template()
    with suppress(ObjectAlreadyExists):
        await client.create_work_pool(
            WorkPoolCreate(
                name=POOL,
                type="process",
                base_job_template=template,
                # Not as the worker's own limit: that ends the worker when a crashed run is retried
                # before its process has been tidied up ("this borrower is already holding ...").
                concurrency_limit=_RUNS_AT_ONCE,
            )
        )
    existing = {queue.name for queue in await client.read_work_queues(work_pool_name=POOL)}
    for name in QUEUES:
        if name not in existing:
            await client.create_work_queue(name=name, work_pool_name=POOL)


async def settle_lost_runs(client: PrefectClient) -> list[str]:
    """Report runs as crashed whose processes cannot exist any more; return their names.

    Called before the first poll. Whatever ran under an earlier worker of this pool was ended before
    this one was started; a run that nobody reports stays Running for ever.
    """
    under_way = FlowRunFilterStateType(
        any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    )
    settled: list[str] = []
    while lost := await client.read_flow_runs(
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=under_way)),
    ):
        for run in lost:
            state: Any = Crashed(message="The local stack ended while this run was under way.")
            await client.set_flow_run_state(run.id, state, force=True)
            settled.append(run.name)
    return settled


async def work(drain: float) -> None:
    """Poll until asked to stop, then let running flows end.

    Args:
        drain: Seconds that running flows get. A flow that is not done then gets SIGTERM, on which
            it reports itself as crashed.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, asked.set)
    async with get_client() as client:
        await make_pool(client)
        for name in await settle_lost_runs(client):
            _say(f"Run {name!r} was lost with an earlier worker and is reported as crashed.")
    worker = LocalWorker(
        name=WORKER_NAME,
        work_pool_name=POOL,
        heartbeat_interval_seconds=10,
        create_pool_if_not_found=False,
    )
    polling = asyncio.create_task(worker.start(printer=_say))
    stop = asyncio.create_task(asked.wait())
    await asyncio.wait({polling, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if polling.done():
        return polling.result()
    await _drain(worker, drain)
    polling.cancel()
    with suppress(asyncio.CancelledError):
        await polling
    return None


async def _drain(worker: LocalWorker, seconds: float) -> None:
    worker.is_draining = True
    if worker.running:
        _say(f"Waiting up to {seconds:.0f} s for {worker.running} running flow(s).")
    with suppress(TimeoutError):
        await asyncio.wait_for(worker.idle.wait(), seconds)
        return
    # Stopping Prefect's worker would kill them: anyio kills the children of a cancelled task.
    for one in find_marked(Path(os.environ[MARK]), branch=WORKER_BRANCH):
        _say(f"Telling a flow to stop: {one.describe()}")
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(worker.idle.wait(), _LAST_WORDS)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Wait for the word, then work. The end of the pipe instead means that nobody needs us."""
    if sys.stdin.buffer.readline() != GO:
        return 1
    asyncio.run(work(float(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
