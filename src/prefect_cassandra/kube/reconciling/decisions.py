"""What to do about one flow run and its Jobs: a pure table, read from the top.

Prefect's worker and its observer do their part first; each row waits long enough for them. What
they leave is an end without a witness: a worker that died before it made the Job, a pod that went
with its node, a Job that outlives its run.

| the run | its Jobs | action |
|---|---|---|
| Scheduled, its own process to try again | none lives | crash: nobody else takes such a run |
| Scheduled | one from before | delete it: a worker is about to make another |
| Pending | none lives | requeue with back-off, so many times; then crash |
| Pending | its pod cannot start, or is lost, past the deadline | fail, with the reason |
| Pending, Running | two live | delete the one too many; both when both work |
| Running | none lives, or none of its pods | crash, with the diagnosis |
| Cancelling | none lives, or for too long | cancel |
| Crashed before it started | none lives | requeue with back-off, so many times |
| Crashed after it started | none lives | requeue while it may be run again |
| Crashed, not to be run again | one lives | fail it and delete the Job |
| ended otherwise | one lives | delete it |

A pod that works and is ended hands its run back, to start again at once: Prefect's own rule, which
holds for a Crashed run too, and for no other that has ended. So a Crashed run that must not start
again is Failed first, and one that may is counted before its Job goes.

A pod also works for a while after its run has ended, on the hooks of its flow. What works is given
that time wherever a Job is deleted.

Nothing is done about what cannot be seen: a run whose Job is in another namespace, one that no
deployment stands behind, a Job whose run the server does not know, a Job that is not the release's.
Every decision leaves either a run that has ended, or one step less to go: what puts a run back is
counted, and everything else makes an end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from prefect_cassandra.kube.reconciling.facts import NO_RESTART_TAG, TERMINAL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from prefect_cassandra.kube.reconciling.facts import Job, Run, Sight

# A run that was resumed after a pause is taken up by the process that paused, if that still lives.
_RESUMING = "Resuming"
_CRASHED = "CRASHED"


class Kind(StrEnum):
    """What is done: to the run, or to Jobs."""

    REQUEUE = "requeue"
    CRASH = "crash"
    FAIL = "fail"
    CANCEL = "cancel"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long things may last, in seconds, and how often they are tried again.

    Args:
        pending_grace: That a run may be Pending without a Job; the worker makes it in that time.
        pending_deadline: That a pod may be unable to start.
        gone_grace: After the end of a Job, or of a state, that the run may still tell its end
            itself, and Prefect's observer may.
        lost_after: After its time that a deleted pod counts as lost with its node.
        cancelling_timeout: That a run may be Cancelling; the server's own is 300.
        leave_grace: That a Job may go on after its run ended, was put back or has another Job,
            while a pod of it works: hooks run then. One without such a pod has `gone_grace`.
        requeues: How often a run is put back before it starts, or starts again.
        restarts: How often a run that crashed after it started is run again, when its flow does
            not ask for more.
        backoff: Before the first repeat; doubles with each.
        backoff_max: Most of that.
        revive_within: After a crash that a run is still run again: what was given up before the
            reconciler was there stays so.
    """

    pending_grace: float = 120.0
    pending_deadline: float = 900.0
    gone_grace: float = 60.0
    lost_after: float = 60.0
    cancelling_timeout: float = 330.0
    leave_grace: float = 600.0
    requeues: int = 3
    restarts: int = 0
    backoff: float = 10.0
    backoff_max: float = 300.0
    revive_within: float = 3600.0

    def pause(self, times: int) -> float:
        """Return the seconds to wait before the next repeat, after so many."""
        # Far enough for any maximum, and no number that overflows.
        return min(self.backoff_max, self.backoff * 2.0 ** min(times, 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do.

    Args:
        kind: What.
        run: As it was when that was decided.
        reason: Why, for the run's log.
        jobs: Those to delete, after the run has its new state if it gets one.
        delay: Seconds until a run that is put back is due.
    """

    kind: Kind
    run: Run
    reason: str
    jobs: tuple[Job, ...] = ()
    delay: float = 0.0

    @property
    def key(self) -> tuple[str, ...]:
        """Return what makes it the same decision at another time."""
        return self.run.id, self.run.state_id, self.kind, *(job.uid for job in self.jobs)

    @property
    def may_start_it(self) -> bool:
        """Tell whether the run may start again by this, so that it has to be counted."""
        is_handed_back = self.kind is Kind.DELETE and self.run.type == _CRASHED
        return self.kind is Kind.REQUEUE or is_handed_back


@dataclass(frozen=True, slots=True)
class _Case:
    """One run with its Jobs at one time."""

    run: Run
    jobs: Sequence[Job]
    namespace: str
    now: datetime
    rules: Rules

    @property
    def living(self) -> tuple[Job, ...]:
        return tuple(job for job in self.jobs if job.lives)

    @property
    def is_vacant(self) -> bool:
        """Whether nothing lives, and nothing is still on its way out."""
        return not self.living and not any(self._is_ending(job) for job in self.jobs)

    @property
    def leave(self) -> float:
        """Seconds that the Jobs may outlive what they were made for."""
        works = any(job.works for job in self.living)
        return self.rules.leave_grace if works else self.rules.gone_grace

    @property
    def is_elsewhere(self) -> bool:
        place = self.run.place
        return bool(place) and place.partition(":")[0] != self.namespace

    @property
    def was_here(self) -> bool:
        """Whether the run is known to have had a Job that could be seen."""
        return bool(self.run.place or self.jobs) and not self.is_elsewhere

    def lasted(self, seconds: float) -> bool:
        """Whether the run has been in its state for so long."""
        return self.now >= self.run.since + timedelta(seconds=seconds)

    def is_quiet(self) -> bool:
        """Whether the last end is so long ago that nobody is about to tell of it any more."""
        grace = self.rules.gone_grace
        ends = [job.ended for job in self.jobs if job.ended]
        return self.lasted(grace) and all(
            self.now >= end + timedelta(seconds=grace) for end in ends
        )

    def has_lost_its_pods(self, job: Job) -> bool:
        """Whether a Job is said to be at work, with nothing left of it that could be."""
        if job.is_suspended or job.is_repeated:
            return False
        return all(pod.is_over(self.now, self.rules.lost_after) for pod in job.pods)

    def _is_ending(self, job: Job) -> bool:
        lost = self.rules.lost_after
        return job.is_leaving and any(not pod.is_over(self.now, lost) for pod in job.pods)


def decide(run: Run | None, jobs: Sequence[Job], sight: Sight, rules: Rules) -> Action | None:
    """Return what to do about one run, None for nothing.

    Args:
        run: None when the server knows none, or it is not of our work pool.
        jobs: Every Job that was made for it and is still there.
        sight: Where and when that was seen.
        rules: How long things may last.
    """
    if run is None:
        return None
    case = _Case(run, jobs, sight.namespace, sight.now, rules)
    if case.is_elsewhere:
        return None
    if run.type in TERMINAL:
        return _outlived(case) or _crashed(case)
    table = {
        "SCHEDULED": _scheduled,
        "PENDING": _pending,
        "RUNNING": _running,
        "CANCELLING": _cancelling,
    }
    # A paused run waits for a person.
    return table[run.type](case) if run.type in table else None


def decide_all(sight: Sight, rules: Rules) -> list[Action]:
    """Return what to do about everything that was seen, in a fixed order."""
    ids = sorted({*sight.runs, *sight.jobs})
    found = (decide(sight.runs.get(one), sight.jobs.get(one, ()), sight, rules) for one in ids)
    return [action for action in found if action is not None]


def _scheduled(case: _Case) -> Action | None:
    run = case.run
    if run.state == _RESUMING:
        return None
    if not run.retries_in_process:
        # One that was made after the run was put back is somebody's late work on a pending run.
        old = [job for job in case.living if job.created < run.since]
        if not case.lasted(case.leave):
            return None
        return _delete(case, old, "the run was put back and waits for another Job")
    if case.is_vacant and case.was_here and case.is_quiet():
        reason = f"the process that was to try the run again is gone: {_last_words(case)}"
        return Action(kind=Kind.CRASH, run=run, reason=reason)
    return None


def _pending(case: _Case) -> Action | None:
    run, rules = case.run, case.rules
    if not case.living:
        if not (case.is_vacant and run.is_deployed and case.lasted(rules.pending_grace)):
            return None
        if not case.is_quiet():
            return None
        if run.requeues >= rules.requeues:
            reason = f"put back {run.requeues} times without starting; {_last_words(case)}"
            return Action(kind=Kind.CRASH, run=run, reason=reason)
        return _requeue(case, f"pending without a Job: {_last_words(case)}")
    return _surplus(case) or _blocked(case)


def _blocked(case: _Case) -> Action | None:
    """Fail a run none of whose pods can start; one that starts, or might, is left alone."""
    deadline = timedelta(seconds=case.rules.pending_deadline)
    reasons = []
    for job in case.living:
        began = max((pod.since for pod in job.pods), default=job.created)
        if job.is_suspended or case.now < began + deadline:
            return None
        if not job.pods:
            reasons.append(f"Kubernetes has made no pod for its Job {job.name}")
        elif all(pod.is_blocked for pod in job.pods):
            reasons.append(f"its pod {job.pods[-1].name} cannot start. {job.pods[-1].trouble}")
        elif case.has_lost_its_pods(job):
            reasons.append(f"its pod {job.pods[-1].name} went, and no other was made")
        else:
            return None
    minutes = case.rules.pending_deadline / 60
    text = f"not started within {minutes:g} min: {'; '.join(reasons)}"
    return Action(kind=Kind.FAIL, run=case.run, reason=text)


def _running(case: _Case) -> Action | None:
    if (surplus := _surplus(case)) is not None:
        return surplus
    is_left = case.is_vacant or (
        bool(case.living) and all(case.has_lost_its_pods(job) for job in case.living)
    )
    if is_left and case.was_here and case.is_quiet():
        reason = f"nothing runs it any more: {_last_words(case)}"
        return Action(kind=Kind.CRASH, run=case.run, reason=reason)
    return None


def _surplus(case: _Case) -> Action | None:
    """Take away what runs a run twice.

    A pod that is ended hands its run back, so of two that work none can be kept: the other's work
    would go on beside that of a new Job. Only one that works on the hooks of an earlier try does
    not, and which that is cannot be seen: a state that a person set looks the same. So both get the
    time in which hooks end.
    """
    living = case.living
    grace = timedelta(seconds=case.leave)
    if len(living) < 2 or case.now < max(job.created for job in living) + grace:  # noqa: PLR2004 -- two
        return None
    working = [job for job in living if job.works]
    if len(working) > 1:
        return _delete(case, working, "two Jobs were at work on the run")
    named = [job for job in living if job.place == case.run.place]
    kept = (working or named or sorted(living, key=lambda job: job.created))[-1]
    rest = [job for job in living if job is not kept]
    return _delete(case, rest, f"the run has another Job, {kept.name}")


def _cancelling(case: _Case) -> Action | None:
    if case.is_vacant and case.is_quiet():
        reason = "cancelled; nothing of it runs any more"
    elif case.lasted(case.rules.cancelling_timeout):
        reason = f"cancelled; it did not end within {case.rules.cancelling_timeout:g} s"
    else:
        return None
    return Action(kind=Kind.CANCEL, run=case.run, reason=reason)


def _outlived(case: _Case) -> Action | None:
    if not case.lasted(case.leave):
        return None
    action = _delete(case, case.living, f"the run is {case.run.state}")
    if action is None or case.run.type != _CRASHED or _may_start_again(case):
        return action
    reason = f"the run is {case.run.state}, and the end of its pod would start it again"
    return replace(action, kind=Kind.FAIL, reason=reason)


def _crashed(case: _Case) -> Action | None:
    run = case.run
    if run.type != _CRASHED or not case.is_vacant or not _may_start_again(case):
        return None
    if not run.starts:
        return _requeue(case, "crashed before it started")
    return _requeue(case, f"crashed after it had started; this is start {run.starts + 1}")


def _may_start_again(case: _Case) -> bool:
    """Whether a run that crashed is to be run again."""
    run, rules = case.run, case.rules
    # Counted for a started run too: its next Job may end before the run starts again.
    is_over = case.lasted(rules.revive_within) or run.requeues >= rules.requeues
    if is_over or not run.is_deployed:
        return False
    is_asked_for = NO_RESTART_TAG not in run.tags and run.starts <= max(run.retries, rules.restarts)
    return not run.starts or is_asked_for


def _requeue(case: _Case, reason: str) -> Action:
    run = case.run
    delay = case.rules.pause(run.requeues + max(run.starts - 1, 0))
    if run.type in TERMINAL and run.starts:
        delay = max(delay, run.retry_delay)
    return Action(kind=Kind.REQUEUE, run=run, reason=reason, delay=delay)


def _delete(case: _Case, jobs: Sequence[Job], reason: str) -> Action | None:
    """Delete Jobs of the release; one that somebody else made is somebody else's."""
    ours = tuple(job for job in jobs if job.is_ours)
    return Action(kind=Kind.DELETE, run=case.run, reason=reason, jobs=ours) if ours else None


def _last_words(case: _Case) -> str:
    """Say how the last Job of a run ended, as far as that can still be seen."""
    if not case.jobs:
        named = case.run.place.partition(":")[2]
        return f"its Job {named} is gone" if named else "no Job was made for it"
    job = max(case.jobs, key=lambda one: one.created)
    troubles = [pod.trouble for pod in job.pods if pod.trouble]
    if job.outcome == "complete":
        said = f"its Job {job.name} is complete"
    elif job.outcome:
        said = f"its Job {job.name} failed ({job.reason or 'no reason given'})"
    else:
        said = f"no pod of its Job {job.name} is left"
    return ". ".join([said, *troubles])
