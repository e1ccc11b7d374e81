"""A row of the table, a case here; and what must be left alone, however it looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.kube.reconciling.decisions import Kind, Rules, decide, decide_all
from support.reconciling import NOW, ago, job, pod, run, sight

if TYPE_CHECKING:
    from prefect_cassandra.kube.reconciling.facts import Job, Run

RULES = Rules()
HERE = {"place": "prefect:job-1"}
FAILED = job(outcome="failed", reason="BackoffLimitExceeded", ended=ago(90))
COMPLETE = job(outcome="complete", ended=ago(90))
WORKS = job(pods=(pod(),))
BLOCKED = pod("Pending", 901, trouble="Pod is unschedulable: 0/3 nodes", is_blocked=True)
LEAVING = job(is_leaving=True, pods=(pod(leaves_at=ago(10)),))
LOST = job(pods=(pod(leaves_at=ago(61)),))

# Name of the row: the run, its Jobs, what is done, a word of the reason.
ROWS: dict[str, tuple[Run, tuple[Job, ...], Kind, str]] = {
    "pending, its worker died before the Job": (
        run("PENDING", 121),
        (),
        Kind.REQUEUE,
        "no Job was made",
    ),
    "pending, its Job was deleted": (run("PENDING", 121, **HERE), (), Kind.REQUEUE, "is gone"),
    "pending, its Job ended without starting it": (
        run("PENDING", 200, **HERE),
        (FAILED,),
        Kind.REQUEUE,
        "BackoffLimitExceeded",
    ),
    "pending, put back often enough": (
        run("PENDING", 121, requeues=3),
        (),
        Kind.CRASH,
        "put back 3 times",
    ),
    "pending, its pod cannot be scheduled": (
        run("PENDING", 901),
        (job(pods=(BLOCKED,)),),
        Kind.FAIL,
        "0/3 nodes",
    ),
    "pending, Kubernetes makes no pod": (run("PENDING"), (job(),), Kind.FAIL, "made no pod"),
    "pending, its pod went with its node": (
        run("PENDING", 901),
        (job(pods=(pod("Pending", 901, leaves_at=ago(61)),)),),
        Kind.FAIL,
        "went, and no other",
    ),
    "pending, a second Job": (
        run("PENDING", place="prefect:job-2"),
        (job(), job("job-2", 61, pods=(pod("Pending"),))),
        Kind.DELETE,
        "another Job, job-2",
    ),
    "running, its Job is gone": (run("RUNNING", 61, **HERE), (), Kind.CRASH, "job-1 is gone"),
    "running, its Job failed": (
        run("RUNNING", **HERE),
        (replace(FAILED, pods=(pod("Failed", trouble="OOMKilled"),)),),
        Kind.CRASH,
        "OOMKilled",
    ),
    "running, its Job is complete": (
        run("RUNNING", **HERE),
        (COMPLETE,),
        Kind.CRASH,
        "is complete",
    ),
    "running, no pod is left": (run("RUNNING"), (job(),), Kind.CRASH, "no pod of its Job"),
    "running, its node is gone": (run("RUNNING"), (LOST,), Kind.CRASH, "no pod of its Job"),
    "running, deleted and its node is gone": (
        run("RUNNING", **HERE),
        (replace(LOST, is_leaving=True),),
        Kind.CRASH,
        "no pod of its Job",
    ),
    "running twice": (
        run("RUNNING"),
        (WORKS, job("job-2", 601, pods=(pod(),))),
        Kind.DELETE,
        "two Jobs were at work",
    ),
    "running, and a second Job that has not begun": (
        run("RUNNING", place="prefect:job-2"),
        (WORKS, job("job-2", 601, pods=(pod("Pending"),))),
        Kind.DELETE,
        "another Job, job-1",
    ),
    "cancelling, nothing runs": (run("CANCELLING", 61, **HERE), (FAILED,), Kind.CANCEL, "nothing"),
    "cancelling for too long": (run("CANCELLING", 331), (WORKS,), Kind.CANCEL, "330 s"),
    "to be tried again by a process that is gone": (
        run("SCHEDULED", 61, retries_in_process=True, **HERE),
        (),
        Kind.CRASH,
        "process",
    ),
    "put back, and the old Job lives": (run("SCHEDULED", 601), (WORKS,), Kind.DELETE, "put back"),
    "put back, and the old Job has no pod at work": (
        run("SCHEDULED", 61),
        (job(),),
        Kind.DELETE,
        "put back",
    ),
    "ended, and its Job lives": (run("CANCELLED", 601), (WORKS,), Kind.DELETE, "Cancelled"),
    "ended, and its Job has no pod at work": (
        run("FAILED", 61),
        (job(pods=(BLOCKED,)),),
        Kind.DELETE,
        "Failed",
    ),
    "crashed, not to be run again, and its Job lives": (
        run("CRASHED", 601, starts=1),
        (WORKS,),
        Kind.FAIL,
        "would start it again",
    ),
    "crashed with a tag, and its Job lives": (
        run("CRASHED", 601, starts=1, retries=5, tags=frozenset({"no-restart"})),
        (WORKS,),
        Kind.FAIL,
        "would start it again",
    ),
    "crashed before it started, often enough, and its Job lives": (
        run("CRASHED", 61, requeues=3),
        (job(pods=(pod("Pending"),)),),
        Kind.FAIL,
        "would start it again",
    ),
    "crashed, to be run again, and its Job lives": (
        run("CRASHED", 601, starts=1, retries=1),
        (WORKS,),
        Kind.DELETE,
        "Crashed",
    ),
    "crashed before it started": (run("CRASHED", 0), (), Kind.REQUEUE, "before it started"),
    "crashed and its flow has retries": (
        run("CRASHED", 0, starts=2, retries=2, **HERE),
        (FAILED,),
        Kind.REQUEUE,
        "start 3",
    ),
}

# The run, its Jobs: looks like a row, and is none.
LEFT: dict[str, tuple[Run | None, tuple[Job, ...]]] = {
    "the server knows no such run": (None, (WORKS,)),
    "pending, and a worker may be about to make the Job": (run("PENDING", 119), ()),
    "pending, its Job ended a moment ago": (
        run("PENDING", 200, **HERE),
        (replace(FAILED, ended=ago(30)),),
    ),
    "pending in another namespace": (run("PENDING", place="other:job-1"), ()),
    "pending, and no deployment stands behind it": (run("PENDING", is_deployed=False), ()),
    "pending, and its old pod is on its way out": (run("PENDING", **HERE), (LEAVING,)),
    "pending, its pod pulls a large image": (run("PENDING"), (job(pods=(pod("Pending"),)),)),
    "pending, its pod is blocked, not for long": (
        run("PENDING"),
        (job(pods=(replace(BLOCKED, since=ago(899)),)),),
    ),
    "pending, its pod went with its node, not long ago": (
        run("PENDING"),
        (job(pods=(pod("Pending", 899, leaves_at=ago(61)),)),),
    ),
    "pending, Kubernetes makes another pod": (
        run("PENDING"),
        (job(is_repeated=True, pods=(pod("Failed"),)),),
    ),
    "pending, its Job is held back": (run("PENDING"), (job(is_suspended=True),)),
    "pending, its pod has begun": (run("PENDING"), (WORKS,)),
    "pending, the second Job was made a moment ago": (
        run("PENDING"),
        (job(), job("job-2", 59)),
    ),
    "running, and the hooks of the try before it run too": (
        run("RUNNING", place="prefect:job-2"),
        (WORKS, job("job-2", 599, pods=(pod(),))),
    ),
    "pending, and the hooks of the try before it run": (
        run("PENDING", place="prefect:job-2"),
        (WORKS, job("job-2", 599, pods=(pod("Pending"),))),
    ),
    "put back, and the hooks of the try before it run": (run("SCHEDULED", 599), (WORKS,)),
    "running": (run("RUNNING", **HERE), (WORKS,)),
    "running in another namespace": (run("RUNNING", place="other:job-1"), ()),
    "running, and it never had a Job": (run("RUNNING"), ()),
    "running, its Job ended a moment ago": (
        run("RUNNING", **HERE),
        (replace(COMPLETE, ended=ago(59)),),
    ),
    "running, its pod is being evicted": (run("RUNNING", **HERE), (LEAVING,)),
    "running, its pod may yet come back": (
        run("RUNNING"),
        (job(pods=(pod(leaves_at=ago(59)),)),),
    ),
    "running, Kubernetes makes another pod": (
        run("RUNNING"),
        (job(is_repeated=True, pods=(pod("Failed"),)),),
    ),
    "running, its Job is held back": (run("RUNNING"), (job(is_suspended=True),)),
    "cancelling": (run("CANCELLING", 329), (WORKS,)),
    "paused": (run("PAUSED"), (WORKS,)),
    "paused, its Job is gone": (run("PAUSED", **HERE), ()),
    "waiting in its process for the next try": (
        run("SCHEDULED", retries_in_process=True, **HERE),
        (WORKS,),
    ),
    "waiting in its process, in another namespace": (
        run("SCHEDULED", retries_in_process=True, place="other:job-1"),
        (),
    ),
    "resumed by the process that paused": (run("SCHEDULED", state="Resuming"), (WORKS,)),
    "scheduled": (run("SCHEDULED"), ()),
    "put back, and the Job was made after that": (
        run("SCHEDULED", 61),
        (job(age=30, pods=(pod(),)),),
    ),
    "ended, and its hooks run": (run("COMPLETED", 599), (WORKS,)),
    "ended a moment ago": (run("COMPLETED", 59), (job(),)),
    "crashed, and its hooks run": (run("CRASHED", 599, starts=1), (WORKS,)),
    "crashed, and the Job is somebody else's": (
        run("CRASHED", starts=1),
        (replace(WORKS, is_ours=False),),
    ),
    "ended, and the Job is somebody else's": (run("COMPLETED"), (replace(WORKS, is_ours=False),)),
    "ended, its Job is being deleted": (run("FAILED"), (LEAVING,)),
    "completed": (run("COMPLETED"), (COMPLETE,)),
    "failed": (run("FAILED", starts=1, retries=3), ()),
    "crashed, and its old pod is on its way out": (run("CRASHED"), (LEAVING,)),
    "crashed before it started, often enough": (run("CRASHED", requeues=3), ()),
    "crashed before it started, long ago": (run("CRASHED", 3600), ()),
    "crashed, started as often as it may": (run("CRASHED", starts=3, retries=2), ()),
    "crashed, its flow asks for no retries": (run("CRASHED", starts=1), ()),
    "crashed, put back too often since it started": (
        run("CRASHED", starts=1, retries=5, requeues=3),
        (),
    ),
    "crashed, and it is not to be run again": (
        run("CRASHED", starts=1, retries=5, tags=frozenset({"no-restart"})),
        (),
    ),
    "in a state of tomorrow": (run("DREAMING"), (WORKS,)),
}


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str) -> None:
    found, jobs, kind, word = ROWS[name]
    action = decide(found, jobs, sight(found, *jobs), RULES)
    assert action is not None
    assert action.kind is kind
    assert word in action.reason
    goes = kind is Kind.DELETE or (kind is Kind.FAIL and found.type == "CRASHED")
    assert bool(action.jobs) == goes


@pytest.mark.parametrize("name", LEFT)
def test_left_alone(name: str) -> None:
    found, jobs = LEFT[name]
    assert decide(found, jobs, sight(found, *jobs), RULES) is None


def test_every_kind_of_action_has_a_row() -> None:
    assert {kind for _, _, kind, _ in ROWS.values()} == set(Kind)


def test_of_two_jobs_the_one_at_work_stays_and_else_the_one_the_run_names() -> None:
    first, second = WORKS, job("job-2", 601, pods=(pod("Pending"),))
    running = run("RUNNING", place=second.place)
    action = decide(running, (first, second), sight(running), RULES)
    assert action is not None
    assert action.jobs == (second,)
    waiting = (replace(first, pods=()), second)
    for place, gone in ((second.place, waiting[0]), (first.place, second), ("", waiting[0])):
        pending = run("PENDING", place=place)
        action = decide(pending, waiting, sight(pending), RULES)
        assert action is not None
        assert action.jobs == (gone,)


@pytest.mark.parametrize(("type_", "counts"), [("CRASHED", True), ("FAILED", False)])
def test_a_job_whose_pod_hands_its_run_back_is_counted(type_: str, *, counts: bool) -> None:
    """Prefect's own rule: Crashed is the only end that its pod makes Scheduled again."""
    ended = run(type_, 601, starts=1, retries=1)
    action = decide(ended, (WORKS,), sight(ended), RULES)
    assert action is not None
    assert action.kind is Kind.DELETE
    assert action.may_start_it is counts


def test_restarts_count_for_flows_that_ask_for_fewer() -> None:
    rules = Rules(restarts=2)
    for starts, is_run_again in ((1, True), (2, True), (3, False)):
        crashed = run("CRASHED", starts=starts, retries=1)
        assert (decide(crashed, (), sight(crashed), rules) is not None) is is_run_again


def test_pauses_grow_and_end_and_a_flow_may_ask_for_longer_ones() -> None:
    assert [RULES.pause(times) for times in (0, 1, 2, 5, 10_000)] == [10, 20, 40, 300, 300]
    crashed = run("CRASHED", starts=1, retries=1, retry_delay=500.0)
    action = decide(crashed, (), sight(crashed), RULES)
    assert action is not None
    assert action.delay == 500


def test_another_state_or_another_job_is_another_decision() -> None:
    found = run("COMPLETED", 601)
    before = decide(found, (WORKS,), sight(found), RULES)
    moved = replace(found, state_id="s2")
    named_alike = replace(WORKS, uid="another")
    again = decide(found, (WORKS,), replace(sight(found), now=NOW), RULES)
    assert before is not None
    assert again is not None
    assert again.key == before.key
    for other, jobs in ((moved, (WORKS,)), (found, (named_alike,))):
        changed = decide(other, jobs, sight(other), RULES)
        assert changed is not None
        assert changed.key != before.key


def test_everything_that_was_seen_is_decided_about_in_one_order() -> None:
    first, second = run("CRASHED"), replace(run("CRASHED"), id="b")
    seen = replace(sight(None), runs={"b": second, first.id: first})
    assert [action.run.id for action in decide_all(seen, RULES)] == [first.id, "b"]
