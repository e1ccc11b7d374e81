"""What is known of a flow run, its Jobs and their pods: plain values, read from the APIs' JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prefect_kubernetes.diagnostics import DiagnosisCategory, diagnose_k8s_pod

from prefect_cassandra.kube.doctor.causes import shortened
from prefect_cassandra.kube.doctor.facts import COMPONENT, FLOW_RUN
from prefect_cassandra.kube.doctor.pods import moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

Object = dict[str, Any]

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
REQUEUED_LABEL = "prefect-cassandra.requeued"
"""Label of a flow run: `starts:times`, how often it was put back before it had started again."""
NO_RESTART_TAG = "no-restart"
"""Tag of a flow run, or of its deployment: once it has run, it is not run again by itself."""

_IN_PROCESS = "in_process"
_INSTANCE = "app.kubernetes.io/instance"
# What no waiting mends by itself, or rarely: the pod has not started and says why.
_BLOCKED = frozenset(
    {
        DiagnosisCategory.IMAGE_PULL_ERROR,
        DiagnosisCategory.UNSCHEDULABLE,
        DiagnosisCategory.UNSCHEDULABLE_INSUFFICIENT_RESOURCES,
        DiagnosisCategory.UNSCHEDULABLE_NODE_AFFINITY,
        DiagnosisCategory.UNSCHEDULABLE_TAINT,
    }
)
# Where Kubernetes itself goes on waiting, but Prefect has no diagnosis.
_WAITING = frozenset({"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One flow run, as Prefect's server knows it.

    Args:
        id: Its id.
        name: Its name.
        state_id: Id of its state: another one means that something happened meanwhile.
        type: Type of its state, such as `PENDING`.
        state: Name of its state, such as `InfrastructurePending`.
        since: When it came into that state.
        place: Where the worker says that it runs: `namespace:job`; empty when nobody said.
        starts: How often it began to run.
        retries: How often its flow wants to be tried again.
        retry_delay: Seconds before that.
        retries_in_process: Whether the process that runs it is to try again, and no worker.
        requeues: How often it was put back since it last began to run.
        is_deployed: Whether it belongs to a deployment; without one no worker takes it again.
        tags: Its tags.
    """

    id: str
    name: str
    state_id: str
    type: str
    state: str
    since: datetime
    place: str = ""
    starts: int = 0
    retries: int = 0
    retry_delay: float = 0.0
    retries_in_process: bool = False
    requeues: int = 0
    is_deployed: bool = True
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod of a Job.

    Args:
        name: Its name.
        phase: As Kubernetes has it: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
        since: When it was made.
        leaves_at: When it has to be gone; None when nobody deleted it.
        trouble: What is wrong with it, in words; empty when nothing is.
        is_blocked: Whether that keeps it from starting at all.
    """

    name: str
    phase: str
    since: datetime
    leaves_at: datetime | None = None
    trouble: str = ""
    is_blocked: bool = False

    @property
    def works(self) -> bool:
        """Tell whether a program of it runs, and is to go on."""
        return self.phase == "Running" and self.leaves_at is None

    def is_over(self, now: datetime, lost_after: float) -> bool:
        """Tell whether nothing of it runs any more, as far as anybody can know.

        Args:
            now: With a time zone.
            lost_after: Seconds after its time that a deleted pod counts as lost with its node.
        """
        if self.phase in {"Succeeded", "Failed"}:
            return True
        return self.leaves_at is not None and now > self.leaves_at + timedelta(seconds=lost_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One Job that was made for a flow run.

    Args:
        name: Its name.
        uid: Its uid: a later Job may have the name, never the uid.
        namespace: Its namespace.
        run_id: The flow run.
        created: When it was made.
        outcome: `complete` or `failed`; empty while it is neither.
        reason: Why it failed, in Kubernetes' words.
        ended: When it did.
        is_leaving: Whether it was deleted and waits for its pods.
        is_suspended: Whether somebody holds it back; its having no pods is no accident then.
        is_repeated: Whether Kubernetes makes another pod of it when one fails.
        is_ours: Whether it was made from the release's own template.
        pods: Its pods.
    """

    name: str
    uid: str
    namespace: str
    run_id: str
    created: datetime
    outcome: str = ""
    reason: str = ""
    ended: datetime | None = None
    is_leaving: bool = False
    is_suspended: bool = False
    is_repeated: bool = False
    is_ours: bool = True
    pods: tuple[Pod, ...] = ()

    @property
    def place(self) -> str:
        """Return how a worker writes down where a run is."""
        return f"{self.namespace}:{self.name}"

    @property
    def lives(self) -> bool:
        """Tell whether it may still run something, and is to."""
        return not self.outcome and not self.is_leaving

    @property
    def works(self) -> bool:
        """Tell whether a program of it runs, and is to go on."""
        return self.lives and any(pod.works for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that was seen in one look.

    Args:
        namespace: The only one that was looked at.
        now: When.
        runs: By id; those of the release's work pool.
        jobs: Flow run id to its Jobs, the oldest first.
    """

    namespace: str
    now: datetime
    runs: Mapping[str, Run] = field(default_factory=dict)
    jobs: Mapping[str, Sequence[Job]] = field(default_factory=dict)


def run_of(found: Mapping[str, Any]) -> Run | None:
    """Return a flow run as Prefect's API shows it; None for one that has no state yet."""
    state = found.get("state") or {}
    since = moment(state.get("timestamp"))
    if since is None:
        return None
    policy = found.get("empirical_policy") or {}
    starts = int(found.get("run_count") or 0)
    return Run(
        id=str(found["id"]),
        name=str(found.get("name") or ""),
        state_id=str(state.get("id") or ""),
        type=str(state.get("type") or ""),
        state=str(state.get("name") or ""),
        since=since,
        place=str(found.get("infrastructure_pid") or ""),
        starts=starts,
        retries=int(policy.get("retries") or 0),
        retry_delay=float(policy.get("retry_delay") or 0.0),
        retries_in_process=policy.get("retry_type") == _IN_PROCESS,
        requeues=requeues_of(found.get("labels") or {}, starts),
        is_deployed=bool(found.get("deployment_id")),
        tags=frozenset(found.get("tags") or ()),
    )


def requeues_of(labels: Mapping[str, Any], starts: int) -> int:
    """Return how often a run was put back since it last began to run."""
    noted, _, times = str(labels.get(REQUEUED_LABEL) or "").partition(":")
    is_of_this_start = noted == str(starts) and times.isdecimal()
    return int(times) if is_of_this_start else 0


def pod_of(found: Object) -> Pod:
    """Return a pod as Kubernetes' API shows it."""
    meta, status = found["metadata"], found.get("status") or {}
    diagnosis = diagnose_k8s_pod(status)
    waiting = _waiting(status)
    trouble = shortened(f"{diagnosis.summary}: {diagnosis.detail}") if diagnosis else waiting
    phase = str(status.get("phase") or "Unknown")
    is_known = bool(waiting) or (diagnosis is not None and diagnosis.category in _BLOCKED)
    return Pod(
        name=str(meta["name"]),
        phase=phase,
        since=_made(meta),
        leaves_at=moment(meta.get("deletionTimestamp")),
        trouble=trouble,
        is_blocked=phase == "Pending" and is_known,
    )


def job_of(found: Object, release: str, pods: Sequence[Pod] = ()) -> Job:
    """Return a Job as Kubernetes' API shows it.

    Args:
        found: The Job.
        release: Name of the Helm release; a Job with another one is not ours.
        pods: Those that belong to it.
    """
    meta, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    labels = meta.get("labels") or {}
    ended = _ending(status)
    return Job(
        name=str(meta["name"]),
        uid=str(meta["uid"]),
        namespace=str(meta["namespace"]),
        run_id=str(labels.get(FLOW_RUN) or ""),
        created=_made(meta),
        outcome={"Complete": "complete", "Failed": "failed"}.get(str(ended.get("type")), ""),
        reason=shortened(": ".join(filter(None, (ended.get("reason"), ended.get("message"))))),
        ended=moment(ended.get("lastTransitionTime")),
        is_leaving="deletionTimestamp" in meta,
        is_suspended=bool(spec.get("suspend")),
        # Kubernetes' own default is 6.
        is_repeated=int(spec.get("backoffLimit", 6)) > 0,
        is_ours=labels.get(COMPONENT) == "flow" and labels.get(_INSTANCE) == release,
        pods=tuple(pods),
    )


def owner_of(pod: Object) -> str:
    """Return the uid of the Job that a pod belongs to; empty when it belongs to none."""
    owners = pod["metadata"].get("ownerReferences") or ()
    return next((str(one["uid"]) for one in owners if one.get("kind") == "Job"), "")


def _ending(status: Mapping[str, Any]) -> Object:
    """Return the condition that says how a Job ended, an empty one while it has not."""
    for one in status.get("conditions") or ():
        if one.get("type") in {"Complete", "Failed"} and one.get("status") == "True":
            return dict(one)
    return {}


def _waiting(status: Mapping[str, Any]) -> str:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or ():
            waiting = (one.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") in _WAITING:
                text = f"{one.get('name')}: {waiting['reason']}: {waiting.get('message') or ''}"
                return shortened(text.rstrip(": "))
    return ""


def _made(meta: Mapping[str, Any]) -> datetime:
    when = moment(meta.get("creationTimestamp"))
    if when is None:
        raise ValueError(f"{meta.get('name')} has no creationTimestamp")
    return when
