"""One run of a deployment through Prefect's API: created, watched, and asked what it did."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from prefect_cassandra.project.ran import image_of, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prefect_cassandra.project.asking import Ask

_POLL = 0.5
_ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_WARNING = 30
_LATE_EVENTS = 20.0  # seconds


def trigger(ask: Ask, deployment: str) -> dict[str, Any]:
    """Create a run of a deployment, once however often the question has to be repeated."""
    found = ask("GET", f"/api/deployments/name/{deployment}")
    # With a key, asking again after a lost answer finds the first run instead of making a second.
    body = {"idempotency_key": f"demo-{uuid.uuid4()}"}
    run: dict[str, Any] = ask("POST", f"/api/deployments/{found['id']}/create_flow_run", body)
    return run


def wait(
    ask: Ask, run_id: str, tell: Callable[[str], None], check: Callable[[], None]
) -> dict[str, Any]:
    """Wait until the run ends; tells each new state and how many of its tasks are done.

    There is no limit in time: a slow machine is slow, and the person in front of it sees progress.

    Args:
        ask: The server.
        run_id: Which run.
        tell: Called with a line for each change.
        check: Called again and again; raises to end the wait.
    """
    known = ""
    while True:
        check()
        run: dict[str, Any] = ask("GET", f"/api/flow_runs/{run_id}")
        state = run["state"]
        line = f"{run['name']}: {state['name']}"
        if state["type"] == "RUNNING":
            line += f", {_tasks_done(ask, run_id)} tasks done"
        if line != known:
            tell(line)
            known = line
        if state["type"] in _ENDED:
            return run
        time.sleep(_POLL)


def failure(ask: Ask, run: dict[str, Any]) -> str | None:
    """Say how an ended run failed, with its last log lines; None when it completed."""
    state = run["state"]
    if state["type"] == "COMPLETED":
        return None
    query = {
        "logs": {"flow_run_id": {"any_": [run["id"]]}, "level": {"ge_": _WARNING}},
        "sort": "TIMESTAMP_DESC",
        "limit": 15,
    }
    lines = [line["message"] for line in reversed(ask("POST", "/api/logs/filter", query))]
    return "\n".join([f"the run {run['name']} ended {state['name']}: {state['message']}", *lines])


def seconds_by_table(ask: Ask, run_id: str, keyspace: str) -> dict[str, float]:
    """Add up how long the task runs that loaded each table took."""
    seconds: dict[str, float] = {}
    for task in _ended_tasks(ask, run_id):
        word, _, table = str(task["name"]).partition(" ")
        if word == "load":
            short = table.removeprefix(f"{keyspace}.")
            seconds[short] = seconds.get(short, 0.0) + float(task["total_run_time"])
    return seconds


def _ended_tasks(ask: Ask, run_id: str) -> list[dict[str, Any]]:
    """Return the task runs of a run that ended.

    The server learns of tasks by events, seconds after the run itself: what is late is waited for,
    and what is lost is left out.
    """
    query = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "END_TIME_DESC", "limit": 200}
    deadline = time.monotonic() + _LATE_EVENTS
    while True:
        tasks: list[dict[str, Any]] = ask("POST", "/api/task_runs/filter", query)
        ended = [task for task in tasks if task["state_type"] in _ENDED]
        if len(ended) == len(tasks) or time.monotonic() > deadline:
            return ended
        time.sleep(_POLL)


def _tasks_done(ask: Ask, run_id: str) -> int:
    query = {
        "flow_runs": {"id": {"any_": [run_id]}},
        "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
    }
    return int(ask("POST", "/api/task_runs/count", query))


def trail(
    ask: Ask, run: dict[str, Any], *, nobody: str, role: str, where: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Answer who, what and where for one run, as pairs of a label and a text.

    Args:
        ask: The server.
        run: As `wait` returned it.
        nobody: Who started it when the server does not know.
        role: The Cassandra role it wrote as, with what that may do.
        where: What it ran on, beside its work pool and queue.
    """
    deployment = ask("GET", f"/api/deployments/{run['deployment_id']}")
    creator = run.get("created_by") or {}
    yield "who", creator.get("display_value") or nobody
    yield "", f"as Cassandra role {role}"
    yield "what", f"flow run {run['name']} ({run['id']}), attempt {run['run_count']}"
    yield "", f"deployment {deployment['name']} version {version_of(run)}"
    if image := image_of(run, deployment):
        yield "", f"image {image}"
    yield "where", f"work pool {run['work_pool_name']}, queue {run['work_queue_name']}"
    for line in where:
        yield "", line
    yield "when", f"{run['start_time']} to {run['end_time']}, {run['total_run_time']:.1f} s"
