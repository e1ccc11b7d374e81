"""Pods that are not ready, each with its reason in plain words."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.doctor.causes import (
    PULL_REASONS,
    known_cause,
    last_words,
    pull_hint,
    shortened,
)
from prefect_cassandra.kube.doctor.check import Check, fail, ok, skipped, warn
from prefect_cassandra.kube.doctor.facts import component, containers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect_cassandra.kube.doctor.facts import Facts

Object = dict[str, Any]

NAME = "pods"
# What serves; the pods of Jobs and flows come and go.
SERVERS = ("cassandra", "postgres", "reconciler", "server", "worker")
# A node of Cassandra that replays its commit log takes this long to be ready, in seconds.
_STARTS = 300.0
# What is made by the same installation, or by cert-manager, is there after so many seconds.
_ARRIVES = 30.0
_RECENT = 3600.0
_USUAL = {"ContainerCreating", "PodInitializing", ""}
_MISSING = re.compile(r'(secret|configmap) "?([^" ]+)"? not found|couldn\'t find key (\S+) in (.+)')


def judge_pods(facts: Facts, now: datetime) -> list[Check]:
    """Return a finding for each pod that is not as it should be; one that all are well if none."""
    found = [check for pod in facts.pods for check in _pod(pod, facts, now)]
    found += [check for one in facts.workloads for check in _workload(one, facts)]
    if any(check.status != "ok" for check in found):
        return found
    serving = [pod for pod in facts.pods if component(pod) in SERVERS]
    if not serving:
        return [skipped(NAME, "the release has no pods that serve")]
    return [ok(NAME, f"{len(serving)} of {len(serving)} serving pods are ready")]


def _pod(pod: Object, facts: Facts, now: datetime) -> Iterator[Check]:
    status = pod.get("status") or {}
    ended = status.get("phase") in {"Succeeded", "Failed"}
    if "deletionTimestamp" in pod["metadata"] or (ended and component(pod) not in SERVERS):
        # How a Job or a run ended is told by the Job and by Prefect.
        return
    subject = f"pod {pod['metadata']['name']}"
    if (reason := unschedulable(pod)) is not None:
        yield _not_scheduled(subject, reason)
        return
    found = [
        check for state in containers(pod) if (check := _container(pod, state, subject, facts))
    ]
    if found:
        yield from found
    elif status.get("phase") == "Failed":
        said = f"{status.get('reason') or 'failed'}: {status.get('message') or ''}".rstrip(": ")
        yield warn(NAME, said, "Another pod takes its place; this one may be deleted.", subject)
    elif component(pod) in SERVERS:
        yield from _serving(pod, subject, facts, now)
    else:
        yield from _starting(pod, subject, facts, now)


def is_ready(pod: Object) -> bool:
    """Tell whether a pod serves."""
    return any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in (pod.get("status") or {}).get("conditions") or ()
    )


def unschedulable(pod: Object) -> str | None:
    """Return the scheduler's message about a pod that finds no node, None when it has one."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return str(condition.get("message") or condition.get("reason") or "no reason given")
    return None


def _not_scheduled(subject: str, reason: str) -> Check:
    if "persistentvolumeclaim" in reason.lower():
        hint = "It waits for its volume: see `volumes`."
    elif "insufficient" in reason.lower():
        hint = (
            "No node has that much left: add a node, or lower the requests in the values. "
            "`prefect-cassandra preflight` adds up what the values need."
        )
    elif "taint" in reason or "selector" in reason or "affinity" in reason:
        hint = "Let podDefaults.nodeSelector and podDefaults.tolerations fit your nodes."
    else:
        hint = "`kubectl describe pod` tells more."
    return fail(NAME, f"no node takes it: {shortened(reason)}", hint, subject)


def _container(pod: Object, state: Object, subject: str, facts: Facts) -> Check | None:
    """Say why one container cannot start or go on; None when it can."""
    waiting = (state.get("state") or {}).get("waiting") or {}
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if reason in PULL_REASONS:
        event = facts.warnings.get(f"Pod/{pod['metadata']['name']}", "")
        # While it backs off only the event still says why.
        said = event if reason == "ImagePullBackOff" and "pull" in event.lower() else message
        image = state.get("image", "")
        hint = pull_hint(component(pod), said)
        return fail(NAME, f"cannot pull {image}: {shortened(said or reason)}", hint, subject)
    if reason == "CreateContainerConfigError":
        return fail(NAME, _not_configured(message), _configure(message), subject)
    if reason == "CrashLoopBackOff":
        return _crashing(pod, state, subject, facts.logs)
    if reason in _USUAL:
        return None
    hint = "`kubectl describe pod` tells more."
    return fail(NAME, f"{state['name']} cannot start: {reason} {shortened(message)}", hint, subject)


def _not_configured(message: str) -> str:
    found = _MISSING.search(message)
    if found is None:
        return f"its settings cannot be put together: {shortened(message)}"
    kind, name, key, place = found.groups()
    return f"there is no {kind} {name}" if kind else f"there is no key {key} in {place}"


def _configure(message: str) -> str:
    if "runAsNonRoot" in message or "run as root" in message:
        return "The image runs as root; use the images that `make push` builds."
    return (
        "Make it, with the keys that the chart's README names, or empty the value that names it "
        "(`existingSecret`) so that the chart makes one; then `helm upgrade`."
    )


def _crashing(pod: Object, state: Object, subject: str, logs: Mapping[str, str]) -> Check:
    ended = (state.get("lastState") or {}).get("terminated") or {}
    name = pod["metadata"]["name"]
    log = logs.get(f"{name}/{state['name']}", "")
    how = (
        f"{state['name']} keeps ending ({_ending(ended)}, {state.get('restartCount', 0)} restarts)"
    )
    if ended.get("reason") == "OOMKilled":
        hint = "It needs more memory: raise resources.limits.memory of this part in the values."
        return fail(NAME, how, hint, subject)
    cause = known_cause(log)
    said = last_words(log)
    evidence = f"{how}: {cause.meaning if cause else 'its last words'}"
    hint = cause.hint if cause else f"Read it all: kubectl logs {name} --previous"
    return fail(NAME, f"{evidence}: {said}" if said else how, hint, subject)


def _ending(ended: Object) -> str:
    if ended.get("reason") == "OOMKilled":
        return "out of memory"
    return f"exit code {ended.get('exitCode', 'unknown')}"


def _serving(pod: Object, subject: str, facts: Facts, now: datetime) -> Iterator[Check]:
    """Judge a pod that should serve: ready, and without recent restarts."""
    if not is_ready(pod):
        yield from _starting(pod, subject, facts, now)
        return
    for state in containers(pod):
        ended = (state.get("lastState") or {}).get("terminated") or {}
        when = moment(ended.get("finishedAt"))
        if ended.get("exitCode") and when and (now - when).total_seconds() < _RECENT:
            minutes = int((now - when).total_seconds() / 60)
            evidence = f"{state['name']} ended {minutes} min ago ({_ending(ended)}) and runs again"
            hint = f"Its last words: kubectl logs {pod['metadata']['name']} --previous"
            yield warn(NAME, evidence, hint, subject)


def _starting(pod: Object, subject: str, facts: Facts, now: datetime) -> Iterator[Check]:
    """Judge a pod that is not ready and in which nothing failed: it starts, or it hangs."""
    if component(pod) not in SERVERS and (pod.get("status") or {}).get("phase") == "Running":
        return
    began = moment(pod["metadata"].get("creationTimestamp"))
    seconds = (now - began).total_seconds() if began else 0.0
    event = facts.warnings.get(f"Pod/{pod['metadata']['name']}", "")
    if _MISSING.search(event) and seconds > _ARRIVES:
        # What is mounted is waited for without an end, and nothing but the event tells.
        yield fail(NAME, _not_configured(event), _configure(event), subject)
        return
    cause = known_cause(event)
    said = f": {shortened(event)}" if event else ""
    evidence = f"not ready after {seconds:.0f} s{said}"
    if seconds < _STARTS:
        yield warn(NAME, evidence, cause.hint if cause else "It starts; look again soon.", subject)
    else:
        log = facts.logs.get(f"{pod['metadata']['name']}/{_main(pod)}", "")
        words = last_words(log)
        hint = f"Read its log: kubectl logs {pod['metadata']['name']}"
        cause = cause or known_cause(log)
        yield fail(
            NAME,
            f"{evidence}; its log ends with: {words}" if words else evidence,
            cause.hint if cause else hint,
            subject,
        )


def _main(pod: Object) -> str:
    return str(pod["spec"]["containers"][0]["name"])


def _workload(workload: Object, facts: Facts) -> Iterator[Check]:
    """Say why a workload has no pods at all, which no pod can tell."""
    kind, name = workload["kind"], workload["metadata"]["name"]
    wanted = int((workload.get("spec") or {}).get("replicas", 1))
    status = workload.get("status") or {}
    if wanted == 0 or int(status.get("replicas") or 0) > 0:
        return
    said = next(
        (
            str(one.get("message"))
            for one in status.get("conditions") or ()
            if one["type"] == "ReplicaFailure" and one["status"] == "True"
        ),
        facts.warnings.get(f"{kind}/{name}", ""),
    )
    hint = "`kubectl describe` tells more."
    if "violates PodSecurity" in said or "forbidden" in said:
        hint = "The namespace refuses its pods: `prefect-cassandra preflight` says what it allows."
    evidence = f"has none of its {wanted} pods: {shortened(said) or 'nobody says why'}"
    yield fail(NAME, evidence, hint, f"{kind} {name}")


def moment(text: str | None) -> datetime | None:
    """Return a time of Kubernetes' or Prefect's API; None when there is none."""
    return datetime.fromisoformat(text) if text else None
