"""The Jobs of an installation: the server's tables, keyspaces and roles, the work pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.doctor.causes import known_cause, last_words
from prefect_cassandra.kube.doctor.check import Check, fail, ok, skipped, warn
from prefect_cassandra.kube.doctor.facts import component
from prefect_cassandra.kube.doctor.pods import moment
from prefect_cassandra.kube.jobs import outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from prefect_cassandra.kube.doctor.facts import Facts

Object = dict[str, Any]

_WHAT = {
    "migrate": "the server's tables",
    "bootstrap": "keyspaces, roles and migrations",
    "workpool": "the work pool",
}
# A Job that waits longer than this for what it needs is worth a look, in seconds.
_USUAL = 30.0


def judge_hooks(facts: Facts, now: datetime) -> list[Check]:
    """Return how each Job of the installation ended; of several of a name, the newest counts."""
    found = []
    for part, what in _WHAT.items():
        # `flows push` runs Jobs in the same part; its own command tells how those ended.
        jobs = [job for job in facts.jobs if component(job) == part and not _is_pushed(job)]
        name = f"jobs.{part}"
        if not jobs:
            found.append(skipped(name, f"there is no Job for {what} any more"))
            continue
        newest = max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]))
        found.append(_job(name, what, newest, facts, now))
    return found


def _job(name: str, what: str, job: Object, facts: Facts, now: datetime) -> Check:
    title = job["metadata"]["name"]
    log = _last_log(job, facts)
    cause, said = known_cause(log), last_words(log)
    hint = cause.hint if cause else f"Read it all: kubectl logs job/{title}"
    words = f"{cause.meaning}: {said}" if cause else said
    ended = outcome(job)
    if ended is not None and ended[0]:
        return ok(name, f"Job {title} is done: {what}")
    if ended is not None:
        return fail(name, f"Job {title} failed, {ended[1]}: {words or 'no log'}", hint)
    began = moment(job["metadata"]["creationTimestamp"])
    seconds = (now - began).total_seconds() if began else 0.0
    attempts = int((job.get("status") or {}).get("failed") or 0)
    evidence = f"Job {title} runs since {seconds:.0f} s"
    if attempts:
        evidence += f", {attempts} attempts failed"
    if words:
        evidence += f": {words}"
    # A cause that no waiting mends is a failure before the Job has given up.
    if cause is not None and (cause.stays or attempts or seconds > _USUAL):
        return fail(name, evidence, hint)
    if attempts or seconds > _USUAL:
        return warn(name, evidence, hint)
    return warn(name, evidence, "Look again when it is done.")


def _last_log(job: Object, facts: Facts) -> str:
    """Return the log of a Job's newest pod that has one."""
    title = job["metadata"]["name"]
    pods = [pod for pod in facts.pods if _job_of(pod) == title]
    pods.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    return next((log for pod in pods if (log := _log_of(pod, facts.logs))), "")


def _is_pushed(job: Object) -> bool:
    labels = job["metadata"].get("labels") or {}
    return bool(labels.get("app.kubernetes.io/managed-by") == "prefect-cassandra")


def _job_of(pod: Object) -> str:
    labels: Mapping[str, str] = pod["metadata"].get("labels") or {}
    return labels.get("batch.kubernetes.io/job-name") or labels.get("job-name", "")


def _log_of(pod: Object, logs: Mapping[str, str]) -> str:
    prefix = f"{pod['metadata']['name']}/"
    return next((text for key, text in logs.items() if key.startswith(prefix) and text), "")
