"""Runs, Jobs and pods for the reconciler's tests, at times relative to one moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect_cassandra.kube.reconciling.facts import Job, Pod, Run, Sight

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
RUN_ID = "00000000-0000-4000-8000-000000000001"
NAMESPACE = "prefect"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def run(type_: str, age: float = 1000.0, **more: Any) -> Run:
    """Return a run that has been in a state for so many seconds."""
    known: dict[str, Any] = {
        "id": RUN_ID,
        "name": "late-bee",
        "state_id": "s1",
        "type": type_,
        "state": type_.capitalize(),
        "since": ago(age),
    }
    return Run(**(known | more))


def pod(phase: str = "Running", age: float = 1000.0, **more: Any) -> Pod:
    return Pod(**({"name": "pod-1", "phase": phase, "since": ago(age)} | more))


def job(name: str = "job-1", age: float = 1000.0, **more: Any) -> Job:
    known: dict[str, Any] = {
        "name": name,
        "uid": f"uid-of-{name}",
        "namespace": NAMESPACE,
        "run_id": RUN_ID,
        "created": ago(age),
    }
    return Job(**(known | more))


def sight(found: Run | None, *jobs: Job) -> Sight:
    """Return one look at NOW that saw one run and its Jobs."""
    runs = {found.id: found} if found else {}
    return Sight(NAMESPACE, NOW, runs, {RUN_ID: jobs} if jobs else {})
