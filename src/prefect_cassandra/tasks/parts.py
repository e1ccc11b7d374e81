"""Parts of one piece of work, each a flow run of its own: in a Job of its own on Kubernetes.

A part that fails is started again by itself. A run that was started once is known by a key made of
the parent run and the part, so a parent that is started again waits for parts that are under way
and does not repeat those that are done.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment

from prefect_cassandra.errors import PartFailedError
from prefect_cassandra.tasks.following import run_logger
from prefect_cassandra.tasks.keys import part_key

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

_REPORT = "part-report"
_POLL = 2.0  # seconds between two looks at a part
# Threads that only wait; the parts themselves run elsewhere.
_WATCHED_AT_ONCE = 64


def run_parts(
    deployment: str,
    parts: Sequence[Mapping[str, Any]],
    *,
    retries: int = 2,
    poll: float = _POLL,
) -> list[dict[str, Any]]:
    """Run a deployment once for each part, all at the same time, and wait for all of them.

    Call it in a flow. How many really run at once is for the work pool and its queues to limit; the
    queue of the parts must not be one that the waiting flow itself fills.

    Args:
        deployment: `flow/deployment`; its flow tells what it did with `report_part`.
        parts: The parameters of each run, plain values that JSON can hold.
        retries: Times that one part is started again after it failed.
        poll: Seconds between two looks at a part.

    Returns:
        What each part told, in the order of `parts`; an empty dict when it told nothing.

    Raises:
        PartFailedError: A part failed more often than `retries` allows. All others are waited for
            first, and the parent's own retry repeats only those that are not done.
    """
    if not parts:
        return []
    context = FlowRunContext.get()
    parent = context.flow_run if context is not None else None
    spread = _Spread(deployment, str(parent.id if parent else uuid.uuid4()), retries, poll)
    with ThreadPoolExecutor(min(len(parts), _WATCHED_AT_ONCE), "part") as pool:
        # Prefect finds the parent of a run in the context of whoever starts it.
        futures = [
            pool.submit(copy_context().run, spread.finish, number, dict(part))
            for number, part in enumerate(parts)
        ]
    failed = [error for future in futures if (error := future.exception()) is not None]
    if failed:
        failed[0].add_note(f"{len(failed)} of {len(parts)} parts failed; the others are done.")
        raise failed[0]
    return [_told_by(future.result().id) for future in futures]


async def arun_parts(
    deployment: str,
    parts: Sequence[Mapping[str, Any]],
    *,
    retries: int = 2,
    poll: float = _POLL,
) -> list[dict[str, Any]]:
    """Do what `run_parts` does, without blocking the event loop."""
    return await asyncio.to_thread(run_parts, deployment, parts, retries=retries, poll=poll)


def report_part(report: Any) -> None:
    """Tell the flow that waits for this run what was done.

    Results need a storage that both pods reach; an artifact needs the Prefect server only.

    Args:
        report: A report of this package, or a mapping of plain values.
    """
    values = dict(report) if isinstance(report, Mapping) else asdict(report)
    create_table_artifact(
        [values],
        key=_REPORT,
        description="What this part did",
        # Not to be awaited, although the flow may be asynchronous.
        _sync=True,  # type: ignore[call-arg]  # of Prefect's dispatcher
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    """Some parts of one piece of work.

    Args:
        deployment: What is run for each.
        key: Names the whole, the same for a parent that is started again.
        retries: Times that one part is started again after it failed.
        poll: Seconds between two looks.
    """

    deployment: str
    key: str
    retries: int
    poll: float

    def finish(self, number: int, parameters: dict[str, Any]) -> FlowRun:
        """Run one part until it is done, and return the run that did it.

        Raises:
            PartFailedError: It failed more often than it may.
        """
        name = part_key(self.key, number, self.deployment, parameters)
        failures = 0
        for attempt in count():
            run = self._started(f"{name}-{attempt}", parameters)
            # A run that had ended before belongs to an earlier life of the parent.
            is_old = run.state is not None and run.state.is_final()
            run = run if is_old else self._ended(run)
            if run.state is not None and run.state.is_completed():
                return run
            if is_old:
                continue
            failures += 1
            if failures > self.retries:
                raise PartFailedError(
                    f"Part {number} of {self.deployment} failed {failures} times, last as flow "
                    f"run {run.name}: {run.state.message if run.state else 'no state'}",
                    hint=f"Its log: prefect flow-run logs {run.id}",
                )
            run_logger().warning(
                "Part %s (flow run %s) did not complete and is started again: %s",
                number,
                run.name,
                run.state.message if run.state else "no state",
            )
        raise AssertionError("unreachable")

    def _started(self, key: str, parameters: dict[str, Any]) -> FlowRun:
        """Start a run, or return the one that was started under this key before."""
        run = run_deployment(
            self.deployment,
            parameters=parameters,
            idempotency_key=key,
            timeout=0,
            # Not to be awaited, although the flow around may be asynchronous.
            _sync=True,  # type: ignore[call-arg]  # of Prefect's dispatcher
        )
        return cast("FlowRun", run)

    def _ended(self, run: FlowRun) -> FlowRun:
        """Wait until a run has ended."""
        with get_client(sync_client=True) as client:
            while run.state is None or not run.state.is_final():
                time.sleep(self.poll)
                run = client.read_flow_run(run.id)
        return run


def _told_by(run: UUID) -> dict[str, Any]:
    """Return what a part told with `report_part`; nothing when it told nothing."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                flow_run_id=ArtifactFilterFlowRunId(any_=[run]),
                key=ArtifactFilterKey(any_=[_REPORT]),
            )
        )
    if not found:
        return {}
    # A run that Prefect itself retried told once for each try.
    latest = max(found, key=lambda artifact: str(artifact.created))
    rows = json.loads(latest.data) if isinstance(latest.data, str) else latest.data
    told: dict[str, Any] = rows[0]  # type: ignore[index]  # what report_part wrote
    return told
