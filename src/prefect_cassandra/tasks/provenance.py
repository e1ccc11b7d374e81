"""Who writes, told by the run that a task belongs to: what the ledger keeps beside each block."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from prefect.context import FlowRunContext, TaskRunContext

from prefect_cassandra.ledger.blocks import Provenance
from prefect_cassandra.ledger.versions import IMAGE_LABEL, VERSION_LABEL
from prefect_cassandra.reads.urls import without_login

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun


_counting = threading.Lock()
# How often each attempt of a task has written what; forgotten when Prefect lets go of the attempt.
_repeats: dict[tuple[UUID, int], dict[str, int]] = {}
_SOURCE_LENGTH = 1_000


def default_key(name: str) -> str | None:
    """Return what names a write in each attempt of a task and each restart of its flow run.

    Prefect gives a restarted run new task runs with new keys. So a write is known by the place of
    its task among the run's tasks that write the same, counted where the flow itself runs. Tasks in
    other processes cannot count together: their writes are known by their task run, in all its
    attempts. A task of a flow author may also write the same several times by itself, by
    `load_table.fn`; each time is counted, from the beginning in each attempt. None outside of any
    run, where Prefect repeats nothing.

    Args:
        name: What is written: of a load the table as the caller names it, of a statement its table
            and content.
    """
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    if task is None:
        return None
    if flow is None or flow.flow_run is None or flow.detached:
        key = f"task-run/{task.task_run.id}/{name}"
    else:
        key = f"flow-run/{flow.flow_run.id}/{name}/{_place(flow, task.task_run.id, name)}"
    before = _times_before(task, name)
    return f"{key}/{before}" if before else key


def _place(flow: FlowRunContext, task: UUID, name: str) -> int:
    """Return the place of a task run among those of a flow's attempt that write the same."""
    # Prefect's own counters live exactly as long as one attempt of the flow.
    counters = flow.task_run_dynamic_keys
    mine, latest = f"prefect-cassandra/of/{task}/{name}", f"prefect-cassandra/{name}"
    with _counting:
        if mine not in counters:
            counters[mine] = counters[latest] = int(counters.get(latest, -1)) + 1
        return int(counters[mine])


def _times_before(task: TaskRunContext, name: str) -> int:
    """Return how often this attempt of a task has written the same before."""
    attempt = (task.task_run.id, task.task_run.run_count)
    with _counting:
        if attempt not in _repeats:
            _repeats[attempt] = {}
            # Without the lock, because it may come at any moment, also while this thread holds it.
            weakref.finalize(task, _repeats.pop, attempt, None)
        counts = _repeats[attempt]
        counts[name] = counts.get(name, -1) + 1
        return counts[name]


def provenance(data: object) -> Provenance:
    """Return what is known of the run and of where the rows come from.

    Args:
        data: The input of the load.
    """
    task, flow = TaskRunContext.get(), FlowRunContext.get()
    run = flow.flow_run if flow is not None else None
    labels = (run.labels if run is not None else None) or {}
    run_id = run.id if run is not None else task.task_run.flow_run_id if task is not None else None
    return Provenance(
        run=str(run_id or ""),
        task=str(task.task_run.id) if task is not None else "",
        attempt=task.task_run.run_count if task is not None else 1,
        deployment=str(run.deployment_id or "") if run is not None else "",
        version=str(labels.get(VERSION_LABEL) or _version(run)),
        image=str(labels.get(IMAGE_LABEL) or ""),
        commit=_commit(str(labels.get(VERSION_LABEL) or _version(run))),
        person=_person(run),
        source=_source(data),
    )


def _source(data: object) -> str:
    """Return where rows come from, without the secrets that a URL may hold."""
    urls = getattr(data, "urls", None)
    if urls is None:
        return type(data).__name__
    text = " ".join(map(without_login, [urls] if isinstance(urls, str) else urls))
    return text if len(text) <= _SOURCE_LENGTH else text[: _SOURCE_LENGTH - 1] + "…"


def _version(run: FlowRun | None) -> str:
    return (run.deployment_version or "") if run is not None else ""


def _person(run: FlowRun | None) -> str:
    """Return who started the run, as Prefect noted it: a person, a schedule, an automation."""
    started = run.created_by if run is not None else None
    if started is None:
        return ""
    return started.display_value or f"{started.type or 'unknown'} {started.id or ''}".strip()


def _commit(version: str) -> str:
    """Return the commit in a version that `flows push` gave, `v<number>-<commit>-<content>`."""
    parts = version.split("-")
    return parts[1] if len(parts) > 1 and parts[0].startswith("v") else ""
