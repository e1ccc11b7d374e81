"""What the cluster has of a release: read once, then looked at by the decisions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PermissionDeniedError, PlatformError
from prefect_cassandra.kube.doctor.cluster_api import in_namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect_cassandra.kube.doctor.cluster_api import ClusterApi
    from prefect_cassandra.kube.kubectl import Release

Object = dict[str, Any]

COMPONENT = "prefect-cassandra.io/component"
FLOW_RUN = "prefect.io/flow-run-id"
_LOG_LINES = 30
# Logs of more containers than this tell nothing new.
_MOST_LOGS = 12


@dataclass(frozen=True, slots=True)
class Facts:
    """Objects of one release, as the API gives them.

    Attributes:
        pods: Its pods, those of Jobs and flows included.
        jobs: Its Jobs, those of flows included.
        workloads: Its Deployments and StatefulSets.
        claims: Its PersistentVolumeClaims.
        classes: Names of the cluster's storage classes; None when they may not be read.
        warnings: Name of an object, such as `Pod/pc-server-0`, to the last warning event about it.
        logs: `pod/container` to the last lines of a container that failed or has ended.
    """

    pods: tuple[Object, ...] = ()
    jobs: tuple[Object, ...] = ()
    workloads: tuple[Object, ...] = ()
    claims: tuple[Object, ...] = ()
    classes: frozenset[str] | None = None
    warnings: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)


async def read_facts(api: ClusterApi, release: Release) -> Facts:
    """Read everything that the decisions about a release look at.

    Raises:
        PermissionDeniedError: The caller may not read the pods or Jobs.
        PlatformError: The cluster does not answer.
    """
    place, labels = release.namespace, f"app.kubernetes.io/instance={release.name}"
    pods, jobs, deployments, stateful = await asyncio.gather(
        api.items(in_namespace(place, "pods"), labelSelector=labels),
        api.items(in_namespace(place, "jobs", group="batch/v1"), labelSelector=labels),
        api.items(in_namespace(place, "deployments", group="apps/v1"), labelSelector=labels),
        api.items(in_namespace(place, "statefulsets", group="apps/v1"), labelSelector=labels),
    )
    claims, events, classes = await asyncio.gather(
        _allowed(api, in_namespace(place, "persistentvolumeclaims"), labelSelector=labels),
        _allowed(api, in_namespace(place, "events"), fieldSelector="type=Warning"),
        _allowed(api, "/apis/storage.k8s.io/v1/storageclasses"),
    )
    return Facts(
        pods=tuple(pods),
        jobs=tuple(jobs),
        workloads=(*_kind("Deployment", deployments), *_kind("StatefulSet", stateful)),
        claims=tuple(claims or ()),
        classes=None if classes is None else frozenset(one["metadata"]["name"] for one in classes),
        warnings=last_warnings(events or ()),
        logs=await _logs(api, place, pods),
    )


async def _allowed(api: ClusterApi, path: str, **query: str | int) -> list[Object] | None:
    """Return a list, None when it may not be read: other findings do not depend on it."""
    try:
        return await api.items(path, **query)
    except PermissionDeniedError:
        return None


def _kind(kind: str, found: Iterable[Object]) -> list[Object]:
    """Name the kind in each object: in a list, the API leaves it out."""
    return [one | {"kind": kind} for one in found]


def last_warnings(events: Iterable[Object]) -> dict[str, str]:
    """Return the last warning about each object, by kind and name."""
    found: dict[str, tuple[str, str]] = {}
    for event in events:
        about = event.get("involvedObject") or {}
        key = f"{about.get('kind')}/{about.get('name')}"
        times = (event.get("lastTimestamp"), event.get("eventTime"))
        when = next((str(one) for one in times if one), "")
        if key not in found or when >= found[key][0]:
            found[key] = when, str(event.get("message") or event.get("reason") or "")
    return {key: text for key, (_, text) in found.items()}


def component(thing: Object) -> str:
    """Return what part of the release an object is."""
    return str((thing["metadata"].get("labels") or {}).get(COMPONENT, ""))


def containers(pod: Object) -> list[Object]:
    """Return the state of each of a pod's containers, those that run first included."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def wants_log(pod: Object, state: Object) -> tuple[bool, bool]:
    """Say whether a container's log tells why it is as it is, and whether that of its last life.

    The logs of flows are in Prefect; here they are left alone.
    """
    if component(pod) == "flow":
        return False, False
    waiting = (state.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") == "CrashLoopBackOff":
        return True, True
    ended = (state.get("state") or {}).get("terminated") or {}
    if ended:
        return bool(ended.get("exitCode")), False
    # A program of a Job that runs may be waiting, and says so; a server that is not ready too.
    is_running = "running" in (state.get("state") or {})
    return is_running and not state.get("ready"), False


async def _logs(api: ClusterApi, namespace: str, pods: Iterable[Object]) -> dict[str, str]:
    wanted = [
        (pod["metadata"]["name"], state["name"], previous)
        for pod in pods
        for state in containers(pod)
        for is_wanted, previous in [wants_log(pod, state)]
        if is_wanted or _runs_for_a_job(pod, state)
    ][:_MOST_LOGS]

    async def read(name: str, container: str, *, previous: bool) -> str:
        path = in_namespace(namespace, "pods", f"{name}/log")
        query: dict[str, str | int] = {"container": container, "tailLines": _LOG_LINES}
        try:
            return await api.text(path, **query, previous=str(previous).lower())
        except (PlatformError, PermissionDeniedError):
            return ""

    texts = await asyncio.gather(*(read(pod, one, previous=last) for pod, one, last in wanted))
    return {f"{pod}/{one}": text for (pod, one, _), text in zip(wanted, texts, strict=True)}


def _runs_for_a_job(pod: Object, state: Object) -> bool:
    """Tell a Job's program that is at work: a pod without probes is ready from the start."""
    owners = {one.get("kind") for one in pod["metadata"].get("ownerReferences") or ()}
    is_running = "running" in (state.get("state") or {})
    return "Job" in owners and is_running and component(pod) != "flow"
