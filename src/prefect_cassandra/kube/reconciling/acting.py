"""Carries one decision out, so that a second time changes nothing, and says so on the run.

A state is proposed, never forced: the server's own rules have the last word. It is told only after
it was accepted. Before anything is done the run is looked at again, alone; what that look does not
come to as well is left.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PrefectCassandraError
from prefect_cassandra.kube.doctor.cluster_api import in_namespace
from prefect_cassandra.kube.reconciling.decisions import Kind, decide
from prefect_cassandra.kube.reconciling.facts import REQUEUED_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.kube.doctor.cluster_api import ClusterApi
    from prefect_cassandra.kube.doctor.prefect_api import PrefectApi
    from prefect_cassandra.kube.reconciling.decisions import Action, Rules
    from prefect_cassandra.kube.reconciling.facts import Job
    from prefect_cassandra.kube.reconciling.observing import Observer

LOGGER = "prefect-cassandra.reconciler"
_EVENT = "prefect-cassandra.reconciler"
_WARNING = 30
_ACCEPTED = "ACCEPT"
# A decision about a state has this id wherever it is made, so a repeat is known as one.
_NAMES = uuid.uuid5(uuid.NAMESPACE_DNS, "reconciler.prefect-cassandra.io")

# Kind to type and name of the state.
_STATES = {
    Kind.REQUEUE: ("SCHEDULED", "AwaitingRetry"),
    Kind.CRASH: ("CRASHED", "Crashed"),
    Kind.FAIL: ("FAILED", "Failed"),
    Kind.CANCEL: ("CANCELLED", "Cancelled"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a decision.

    Args:
        action: The decision.
        is_done: Whether it was carried out.
        text: What happened instead; empty when it was.
    """

    action: Action
    is_done: bool
    text: str = ""


class Actor:
    """Changes runs and deletes Jobs.

    Args:
        cluster: Kubernetes' API.
        prefect: Prefect's API.
        observer: Looks at a run again.
        rules: How long things may last.
        tell: Called with a line for what could not be written on a run.
    """

    def __init__(
        self,
        cluster: ClusterApi,
        prefect: PrefectApi,
        observer: Observer,
        rules: Rules,
        tell: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._prefect = prefect
        self._observer = observer
        self._rules = rules
        self._tell = tell

    async def carry_out(self, action: Action) -> Outcome:
        """Do what was decided, if it still is what one would decide.

        Raises:
            UnreachableError, AuthenticationError, PermissionDeniedError, PlatformError: One of the
                APIs does not do as it is asked; the next pass decides anew.
        """
        run_id = action.run.id
        sight = await self._observer.look_at(run_id)
        again = decide(sight.runs.get(run_id), sight.jobs.get(run_id, ()), sight, self._rules)
        if again is None or again.key != action.key:
            return Outcome(action, is_done=False, text="something happened meanwhile")
        if again.may_start_it:
            await asyncio.to_thread(self._count, again)
        if again.kind is Kind.DELETE:
            gone = [job for job in again.jobs if not await self._delete(job)]
            refused = "somebody else was faster" if len(gone) == len(again.jobs) else ""
        else:
            refused = await asyncio.to_thread(self._propose, again)
            # After the state: it is what keeps the pods from handing the run back.
            for job in again.jobs if not refused else ():
                await self._delete(job)
        if refused:
            return Outcome(again, is_done=False, text=refused)
        await asyncio.to_thread(self._leave_word, again)
        return Outcome(again, is_done=True)

    async def _delete(self, job: Job) -> bool:
        """Delete a Job; its pods get the time that their template gives them."""
        path = in_namespace(job.namespace, "jobs", job.name, group="batch/v1")
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            # A Job that got the name meanwhile is not meant.
            "preconditions": {"uid": job.uid},
        }
        return await self._cluster.attempt("DELETE", path, options) is not None

    def _count(self, action: Action) -> None:
        """Count before it is done: counted and not done is one less, never one without end."""
        run = action.run
        label = {REQUEUED_LABEL: f"{run.starts}:{run.requeues + 1}"}
        self._prefect.ask("PATCH", f"/flow_runs/{run.id}/labels", label)

    def _propose(self, action: Action) -> str:
        """Propose a state; returns why the server refuses, nothing when it accepts."""
        run = action.run
        body = {"state": state_of(action, datetime.now(UTC)), "force": False}
        answer = self._prefect.ask("POST", f"/flow_runs/{run.id}/set_state", body)
        if answer is None:
            return "the run is gone"
        if answer.get("status") == _ACCEPTED:
            return ""
        said = (answer.get("details") or {}).get("reason") or answer.get("status")
        return f"the server refuses: {said}"

    def _leave_word(self, action: Action) -> None:
        """Write what was done into the run's log and as an event; neither is worth a failure."""
        now = datetime.now(UTC)
        for path, body in (
            ("/logs/", [log_of(action, now)]),
            ("/events", [event_of(action, now)]),
        ):
            try:
                self._prefect.ask("POST", path, body)  # type: ignore[arg-type]  # both take lists
            except PrefectCassandraError as error:
                self._tell(f"run {action.run.name}: not written to {path}: {error.message}")


def state_of(action: Action, now: datetime) -> dict[str, Any]:
    """Return the state that a decision proposes, as Prefect's API takes it.

    Args:
        action: Anything but the deletion of a Job.
        now: With a time zone.
    """
    kind, name = _STATES[action.kind]
    details: dict[str, Any] = {"transition_id": str(_id_of(action, "state"))}
    if action.kind is Kind.REQUEUE:
        details["scheduled_time"] = (now + timedelta(seconds=action.delay)).isoformat()
    message = f"Reconciler: {action.reason}."
    return {"type": kind, "name": name, "message": message, "state_details": details}


def described(action: Action) -> str:
    """Return in a sentence what a decision does."""
    names = ", ".join(job.name for job in action.jobs)
    done = {
        Kind.REQUEUE: f"put back, due in {action.delay:g} s",
        Kind.CRASH: "set to Crashed",
        Kind.FAIL: "set to Failed",
        Kind.CANCEL: "set to Cancelled",
        Kind.DELETE: f"Job {names} deleted",
    }
    also = f", Job {names} deleted" if names and action.kind is not Kind.DELETE else ""
    return f"{done[action.kind]}{also}: {action.reason}"


def log_of(action: Action, now: datetime) -> dict[str, Any]:
    """Return the line for the run's log, as Prefect's API takes it."""
    return {
        "name": LOGGER,
        "level": _WARNING,
        "message": f"Reconciler: {described(action)}.",
        "timestamp": now.isoformat(),
        "flow_run_id": action.run.id,
    }


def event_of(action: Action, now: datetime) -> dict[str, Any]:
    """Return the event, as Prefect's API takes it; automations match its name or its reason."""
    return {
        "id": str(_id_of(action, "event")),
        "occurred": now.isoformat(),
        "event": f"{_EVENT}.{action.kind}",
        "resource": {
            "prefect.resource.id": f"prefect.flow-run.{action.run.id}",
            "prefect.resource.name": action.run.name,
        },
        "payload": {
            "reason": action.reason,
            "state": action.run.state,
            "jobs": [job.name for job in action.jobs],
        },
    }


def _id_of(action: Action, what: str) -> uuid.UUID:
    return uuid.uuid5(_NAMES, "/".join((what, *action.key)))
