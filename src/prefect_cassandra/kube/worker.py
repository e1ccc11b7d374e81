"""The worker's process: waits for its work pool, then polls it and makes Jobs.

Prefect's own Kubernetes worker does the work. What is added: it does not make the pool itself, with
a template nobody asked for, but waits for the chart's; it answers for its health from the first
second; and on SIGTERM it takes no more runs but finishes making the Jobs it has begun, because a
run that is neither waiting nor has a Job stays Pending for ever.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect_kubernetes.worker import KubernetesWorker

from prefect_cassandra.kube.health import served
from prefect_cassandra.kube.run_labels import LabelledConfiguration
from prefect_cassandra.kube.waiting import NotYetError, answering, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.schemas.objects import FlowRun

_PAUSE = 0.2
_PATIENCE = 10.0


class PlatformWorker(KubernetesWorker):  # type: ignore[misc]  # it has no types
    """Prefect's Kubernetes worker that can stop taking runs, and says what it starts."""

    job_configuration = LabelledConfiguration

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.is_draining = False

    @classmethod
    def __dispatch_key__(cls) -> str | None:
        # Under the inherited key, `kubernetes`, it would take the place of Prefect's own class.
        return "kubernetes-of-the-platform"

    @property
    def is_submitting(self) -> bool:
        """Whether a run was taken whose Job is not made yet."""
        return bool(self._submitting_flow_run_ids)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Ask for work unless we are about to stop."""
        return [] if self.is_draining else await super().get_and_submit_flow_runs()

    async def run(
        self, flow_run: FlowRun, configuration: LabelledConfiguration, task_status: Any = None
    ) -> Any:
        """Make the Job, and meanwhile label the run with what the Job is made of."""
        labelling = asyncio.create_task(self._label(flow_run, configuration.run_labels()))
        try:
            return await super().run(flow_run, configuration, task_status)
        finally:
            await labelling

    async def _label(self, flow_run: FlowRun, labels: dict[str, str]) -> None:
        try:
            await self.client.update_flow_run_labels(flow_run.id, labels)
        except Exception:  # noqa: BLE001 -- whatever it is, it is logged and no reason to stop
            # The run goes on without: its Job is worth more than its label.
            self.get_flow_run_logger(flow_run).exception("The run could not be labelled")


async def wait_for_pool(name: str, tell: Callable[[str], None]) -> None:
    """Return when the server has the work pool, however long that takes."""

    async def attempt() -> None:
        try:
            with answering():
                async with get_client() as client:
                    await client.read_work_pool(name)
        except ObjectNotFound as error:
            raise NotYetError("the server does not have it yet") from error

    await eventually(attempt, f"work pool {name}", tell)


async def work(
    pool: str, *, host: str, port: int, drain: float, tell: Callable[[str], None]
) -> None:
    """Poll a work pool until SIGTERM or SIGINT.

    Args:
        pool: Its name.
        host: Address of the health server.
        port: Port of the health server.
        drain: Seconds that begun Jobs get to be made.
        tell: Called with a line for each thing worth knowing.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, asked.set)
    settings = get_current_settings().worker
    worker: PlatformWorker | None = None

    def is_healthy() -> bool:
        # Waiting for the pool is no illness: a restart would not bring it sooner.
        if worker is None:
            return True
        # Thirty times this without an answer is ill. A server that is away for a minute is not a
        # reason to restart, however often it is asked.
        return bool(worker.is_worker_still_polling(max(settings.query_seconds, _PATIENCE)))

    with served(host, port, is_healthy):
        waiting = asyncio.create_task(wait_for_pool(pool, tell))
        if not await _first(waiting, asked):
            return
        worker = PlatformWorker(
            work_pool_name=pool,
            heartbeat_interval_seconds=int(settings.heartbeat_seconds),
            create_pool_if_not_found=False,
        )
        polling = asyncio.create_task(worker.start(printer=tell))
        if not await _first(polling, asked, then_cancel=False):
            await _drain(worker, drain, tell)
            await _cancel(polling)


async def _first(
    task: asyncio.Task[None], asked: asyncio.Event, *, then_cancel: bool = True
) -> bool:
    """Wait until the task ends or we are asked to stop; true when the task ended."""
    stop = asyncio.create_task(asked.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if task.done():
        task.result()
        return True
    if then_cancel:
        await _cancel(task)
    return False


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _drain(worker: PlatformWorker, seconds: float, tell: Callable[[str], None]) -> None:
    worker.is_draining = True
    if worker.is_submitting:
        tell("asked to stop; finishing the Jobs that were begun")
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while worker.is_submitting:  # noqa: ASYNC110 -- Prefect has no event for it
                await asyncio.sleep(_PAUSE)


def run(pool: str, *, host: str, port: int, drain: float, tell: Callable[[str], None]) -> None:
    """Run the worker to its end; the arguments are those of `work`."""
    asyncio.run(work(pool, host=host, port=port, drain=drain, tell=tell))
