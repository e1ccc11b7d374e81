"""Runs that do not get on: late, pending for too long, or running without a Job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.doctor.check import Check, fail, ok, warn
from prefect_cassandra.kube.doctor.pods import moment
from prefect_cassandra.kube.jobs import outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from prefect_cassandra.kube.doctor.prefect_api import PrefectApi

NAME = "runs"
# How long a run may be in a state before it is stuck, in seconds.
LATE, PENDING, ORPHANED, CANCELLING = 60.0, 300.0, 60.0, 300.0
_SHOWN = 5
_MOST = 200
_ACTIVE = ["PENDING", "RUNNING", "CANCELLING"]


@dataclass(frozen=True, slots=True)
class Stuck:
    """One run that does not get on.

    Args:
        run: Its name.
        why: In words.
        hint: What to do.
    """

    run: str
    why: str
    hint: str


@dataclass(frozen=True, slots=True)
class Jobs:
    """The Jobs of one namespace.

    Args:
        namespace: Its name.
        found: Name of each Job to the Job.
    """

    namespace: str
    found: Mapping[str, Mapping[str, Any]]


def stuck(runs: Iterable[Mapping[str, Any]], jobs: Jobs, now: datetime) -> list[Stuck]:
    """Return the runs that are stuck.

    Args:
        runs: Not ended, as the API shows them.
        jobs: Those in the release's namespace.
        now: With a time zone.
    """
    return [found for run in runs if (found := _stuck(run, jobs, now)) is not None]


def _stuck(run: Mapping[str, Any], jobs: Jobs, now: datetime) -> Stuck | None:
    state, name = run["state"], str(run["name"])
    since = moment(state["timestamp"])
    due = moment(run.get("expected_start_time"))
    seconds = (now - since).total_seconds() if since else 0.0
    kind = state["type"]
    if kind == "SCHEDULED":
        late = (now - due).total_seconds() if due else 0.0
        hint = "Nobody took it: see `server.workers`, limits of pool and queue, and what is paused."
        return Stuck(name, f"late by {_span(late)}", hint) if late > LATE else None
    if kind == "PENDING" and seconds > PENDING:
        hint = (
            "Its pod is among `pods`, if it got one; a worker that ended between taking the run "
            "and making its Job leaves it so: set it to Late in the UI, or cancel it."
        )
        return Stuck(name, f"pending for {_span(seconds)}", hint)
    if kind == "CANCELLING" and seconds > CANCELLING:
        hint = "Delete its Job; or set it to Cancelled in the UI."
        return Stuck(name, f"cancelling for {_span(seconds)}", hint)
    if kind == "RUNNING" and seconds > ORPHANED:
        return _orphan(run, jobs, now)
    return None


def _orphan(run: Mapping[str, Any], jobs: Jobs, now: datetime) -> Stuck | None:
    """Say whether a running run has lost its Job; one that no worker of ours started never had."""
    place = str(run.get("infrastructure_pid") or "")
    namespace, _, name = place.partition(":")
    if namespace != jobs.namespace:
        # Nothing is known about the Jobs of another namespace.
        return None
    hint = "Nothing runs it any more: set it to Crashed in the UI, and run it again."
    job = jobs.found.get(name)
    if job is None:
        return Stuck(str(run["name"]), f"running, but its Job {place} is gone", hint)
    ended = outcome(dict(job))
    if ended is None:
        return None
    conditions = (job.get("status") or {}).get("conditions") or ()
    when = max((str(one.get("lastTransitionTime") or "") for one in conditions), default="")
    finished = moment(when or None)
    if finished is not None and (now - finished).total_seconds() < ORPHANED:
        # The worker's observer is about to tell the server.
        return None
    how = "is complete" if ended[0] else f"failed ({ended[1]})"
    return Stuck(str(run["name"]), f"running, but its Job {place} {how}", hint)


def judge_runs(found: Sequence[Stuck], looked_at: int) -> list[Check]:
    """Return a finding for each stuck run, at most a few; one that none is if none is."""
    if not found:
        return [ok(NAME, f"none of {looked_at} unfinished runs is stuck")]
    shown = [
        # A run that waits may still get on; one without its Job will not.
        (fail if one.why.startswith("running") else warn)(NAME, one.why, one.hint, f"run {one.run}")
        for one in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        hint = "They are in the UI, by state."
        shown.append(warn(NAME, f"{len(found) - _SHOWN} more runs are stuck", hint))
    return shown


def look_at_runs(api: PrefectApi, pool: str, jobs: Jobs, now: datetime) -> list[Check]:
    """Ask for the unfinished runs of a pool and judge them.

    Raises:
        UnreachableError, AuthenticationError, PlatformError: The server does not say.
    """
    pools = {"name": {"any_": [pool]}}
    due = {
        "state": {"type": {"any_": ["SCHEDULED"]}},
        # What is due in the future waits by right.
        "expected_start_time": {"before_": now.isoformat()},
    }
    runs: list[Mapping[str, Any]] = []
    for query in (due, {"state": {"type": {"any_": _ACTIVE}}}):
        body = {
            "flow_runs": query,
            "work_pools": pools,
            "limit": _MOST,
            "sort": "EXPECTED_START_TIME_ASC",
        }
        runs += api.ask("POST", "/flow_runs/filter", body) or []
    return judge_runs(stuck(runs, jobs, now), len(runs))


def _span(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"  # noqa: PLR2004 -- two hours
