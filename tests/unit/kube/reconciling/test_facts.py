"""What the APIs show, and what is taken from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prefect_cassandra.kube.reconciling.facts import job_of, owner_of, pod_of, requeues_of, run_of
from support.recorded_cluster import job_json, pod_json

MADE = "2030-01-01T11:00:00Z"
RUN_ID = "00000000-0000-4000-8000-000000000001"


def condition(type_: str, status: str = "True", **more: str) -> dict[str, Any]:
    known = {"type": type_, "status": status, "lastTransitionTime": "2030-01-01T11:30:00Z"}
    return known | more


def waiting(reason: str) -> dict[str, Any]:
    state = {"name": "prefect-job", "state": {"waiting": {"reason": reason, "message": "no such"}}}
    return {"phase": "Pending", "containerStatuses": [state]}


def test_a_run() -> None:
    found = run_of(
        {
            "id": RUN_ID,
            "name": "late-bee",
            "state": {"id": "s", "type": "PENDING", "name": "Submitting", "timestamp": MADE},
            "infrastructure_pid": "prefect:job-1",
            "run_count": 2,
            "empirical_policy": {"retries": 3, "retry_delay": 7, "retry_type": "in_process"},
            "labels": {"prefect-cassandra.requeued": "2:1"},
            "deployment_id": "d",
            "tags": ["no-restart"],
        }
    )
    assert found is not None
    assert (found.type, found.state, found.place) == ("PENDING", "Submitting", "prefect:job-1")
    assert found.since == datetime(2030, 1, 1, 11, tzinfo=UTC)
    assert (found.starts, found.retries, found.retry_delay, found.requeues) == (2, 3, 7.0, 1)
    assert found.retries_in_process
    assert found.is_deployed
    assert found.tags == {"no-restart"}


def test_a_run_of_which_little_is_known() -> None:
    state = {"id": "s", "type": "RUNNING", "name": "Running", "timestamp": MADE}
    found = run_of({"id": RUN_ID, "state": state})
    assert found is not None
    assert (found.place, found.starts, found.retries, found.requeues) == ("", 0, 0, 0)
    assert not found.is_deployed
    assert run_of({"id": RUN_ID, "state": None}) is None


@pytest.mark.parametrize(
    ("noted", "starts", "times"),
    [("1:2", 1, 2), ("1:2", 2, 0), ("", 0, 0), ("0:", 0, 0), ("0:x", 0, 0), (7, 7, 0)],
)
def test_requeues_count_since_the_last_start(noted: object, starts: int, times: int) -> None:
    assert requeues_of({"prefect-cassandra.requeued": noted}, starts) == times


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        ({}, "", ""),
        ({"active": 1}, "", ""),
        ({"conditions": [condition("Complete")]}, "complete", ""),
        (
            {"conditions": [condition("FailureTarget"), condition("Failed", reason="Deadline")]},
            "failed",
            "Deadline",
        ),
        # Kubernetes is about to say so, and waits for the pods.
        ({"conditions": [condition("FailureTarget")]}, "", ""),
        ({"conditions": [condition("Failed", "False")]}, "", ""),
    ],
)
def test_how_a_job_ended(status: dict[str, Any], outcome: str, reason: str) -> None:
    found = job_of(job_json("job-1", RUN_ID, MADE, **status), "pc")
    assert (found.outcome, found.reason) == (outcome, reason)
    assert (found.ended is not None) is bool(outcome)
    assert found.lives is not bool(outcome)
    assert found.place == "prefect:job-1"


def test_a_job_of_another_release_or_of_none_is_not_ours() -> None:
    made = job_json("job-1", RUN_ID, MADE)
    assert job_of(made, "pc").is_ours
    assert not job_of(made, "other").is_ours
    del made["metadata"]["labels"]["prefect-cassandra.io/component"]
    assert not job_of(made, "pc").is_ours


def test_a_job_that_is_held_back_repeated_or_deleted() -> None:
    made = job_json("job-1", RUN_ID, MADE)
    made["spec"] = {"suspend": True}
    made["metadata"]["deletionTimestamp"] = MADE
    found = job_of(made, "pc")
    assert found.is_suspended
    assert found.is_repeated
    assert found.is_leaving
    assert not found.lives


@pytest.mark.parametrize(
    ("status", "is_blocked", "word"),
    [
        ({"phase": "Pending"}, False, ""),
        (waiting("ContainerCreating"), False, ""),
        (waiting("ImagePullBackOff"), True, "ImagePullBackOff"),
        (waiting("InvalidImageName"), True, "InvalidImageName"),
        (waiting("CreateContainerConfigError"), True, "no such"),
        # A pod that crashes has started: its run tells more.
        (waiting("CrashLoopBackOff"), False, "crash"),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/3 nodes"}
                ],
            },
            True,
            "0/3 nodes",
        ),
    ],
)
def test_what_keeps_a_pod_from_starting(
    status: dict[str, Any], word: str, *, is_blocked: bool
) -> None:
    found = pod_of(pod_json(job_json("job-1", RUN_ID, MADE), **status))
    assert found.is_blocked is is_blocked
    assert word in found.trouble
    assert bool(word) == bool(found.trouble)


def test_a_deleted_pod_is_over_when_its_time_and_some_more_is_up() -> None:
    made = pod_json(job_json("job-1", RUN_ID, MADE))
    made["metadata"]["deletionTimestamp"] = MADE
    found, when = pod_of(made), datetime(2030, 1, 1, 11, tzinfo=UTC)
    assert not found.works
    assert not found.is_over(when + timedelta(seconds=60), 60)
    assert found.is_over(when + timedelta(seconds=61), 60)
    assert owner_of(made) == "uid-of-job-1"
    assert owner_of({"metadata": {}}) == ""
