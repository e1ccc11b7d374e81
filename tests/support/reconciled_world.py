"""A small world of one run, its Jobs, a worker and a cluster, for the reconciler's property test.

Everything that may happen is an event with a name; events are drawn at random, and what a healthy
world does by itself, `settle_down`, is what the worker and Kubernetes do when nothing more goes
wrong. The reconciler sees only what the real one sees: a `Sight`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from prefect_cassandra.kube.reconciling.decisions import Kind
from prefect_cassandra.kube.reconciling.facts import TERMINAL, Job, Pod, Sight
from support.reconciling import NAMESPACE, NOW, RUN_ID, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from prefect_cassandra.kube.reconciling.decisions import Action
    from prefect_cassandra.kube.reconciling.facts import Run


@dataclass
class World:
    """One run in a cluster; `now` is the only clock."""

    retries: int = 0
    tags: frozenset[str] = frozenset()
    now: datetime = NOW
    due: datetime = NOW
    jobs: list[Job] = field(default_factory=list)
    made: int = 0
    # A worker that is slow: it took the run and will still make a Job.
    late_jobs: int = 0
    # Uids of Jobs whose program has said that the run runs, and of those that have told its end.
    begun: set[str] = field(default_factory=set)
    concluded: set[str] = field(default_factory=set)
    run: Run = field(init=False)
    _states: int = 0

    def __post_init__(self) -> None:
        self.run = replace(run("SCHEDULED", 0), retries=self.retries, tags=self.tags)

    # What the reconciler sees and does.

    def sight(self) -> Sight:
        jobs = {RUN_ID: tuple(self.jobs)} if self.jobs else {}
        return Sight(NAMESPACE, self.now, {RUN_ID: self.run}, jobs)

    def apply(self, action: Action) -> None:
        """Do what a decision says, as server and cluster would."""
        if action.may_start_it:
            self.run = replace(self.run, requeues=self.run.requeues + 1)
        if action.kind is not Kind.DELETE:
            self._change(action)
        for job in action.jobs:
            self._delete(job)

    def _change(self, action: Action) -> None:
        if action.kind is Kind.REQUEUE:
            self.due = self.now + timedelta(seconds=action.delay)
        types = {
            Kind.REQUEUE: "SCHEDULED",
            Kind.CRASH: "CRASHED",
            Kind.FAIL: "FAILED",
            Kind.CANCEL: "CANCELLED",
        }
        self.set(types[action.kind])

    # What happens.

    def set(self, type_: str) -> None:
        self._states += 1
        # Of a run that has ended, the server lets a worker have the next try.
        if self.run.type in TERMINAL and type_ == "SCHEDULED":
            self.run = replace(self.run, retries_in_process=False)
        self.run = replace(
            self.run,
            type=type_,
            state=type_.capitalize(),
            since=self.now,
            state_id=f"state-{self._states}",
        )

    def take(self) -> None:
        """Let a worker take the run and make its Job."""
        if self._is_due():
            self.set("PENDING")
            self.make_job()

    def take_and_die(self) -> None:
        if self._is_due():
            self.set("PENDING")

    def take_and_be_slow(self) -> None:
        if self._is_due():
            self.set("PENDING")
            self.late_jobs += 1

    def make_late_job(self) -> None:
        if self.late_jobs:
            self.late_jobs -= 1
            self.make_job()

    def make_job(self) -> None:
        self.made += 1
        pod = Pod(name=f"pod-{self.made}", phase="Pending", since=self.now)
        job = Job(
            name=f"job-{self.made}",
            uid=f"uid-{self.made}",
            namespace=NAMESPACE,
            run_id=RUN_ID,
            created=self.now,
            pods=(pod,),
        )
        self.jobs.append(job)
        self.run = replace(self.run, place=job.place)

    def boot(self) -> None:
        """Start the first pod that waits; its program has not said so yet."""
        for job in self._living():
            if job.pods and job.pods[0].phase == "Pending" and not job.pods[0].is_blocked:
                self._pod(job, phase="Running")
                return

    def start(self) -> None:
        """Let the first program that has not said that the run runs; one that waits is started."""
        if all(job.uid in self.begun for job in self._working()):
            self.boot()
        for job in self._working():
            if job.uid not in self.begun:
                self.begun.add(job.uid)
                if self.run.type in {"SCHEDULED", "PENDING", "RUNNING"}:
                    self.set("RUNNING")
                    self.run = replace(self.run, starts=self.run.starts + 1, requeues=0)
                return

    def block(self) -> None:
        for job in self._living():
            if job.pods and job.pods[0].phase == "Pending":
                self._pod(job, is_blocked=True, trouble="ImagePullBackOff")

    def finish(self) -> None:
        """Let a program that runs end well."""
        for job in self._working():
            if self.run.type not in TERMINAL:
                self.set("COMPLETED")
            self._end(job, "complete", "Succeeded")
            return

    def finish_without_a_word(self) -> None:
        for job in self._working():
            self._end(job, "complete", "Succeeded")
            return

    def hang(self) -> None:
        """Let the run end and its process stay, on a hook for example."""
        for job in self._working():
            if job.uid not in self.concluded and self.run.type not in TERMINAL:
                self.set("FAILED")
                self.concluded.add(job.uid)
                return

    def kill(self) -> None:
        for job in self._living():
            self._end(job, "failed", "Failed")
            return

    def remove_jobs(self) -> None:
        self.jobs.clear()

    def lose_node(self) -> None:
        for job in self._living():
            self._pod(job, leaves_at=self.now + timedelta(seconds=30))

    def wait_in_process(self) -> None:
        if self._working() and self.run.type == "RUNNING":
            self.set("SCHEDULED")
            self.due = self.now + timedelta(seconds=600)
            self.run = replace(self.run, retries_in_process=True)

    def cancel(self) -> None:
        if self.run.type in {"PENDING", "RUNNING"}:
            self.set("CANCELLING")

    def crash(self) -> None:
        """Let an automation say that it crashed, which need not be so."""
        if self.run.type in {"PENDING", "RUNNING"}:
            self.set("CRASHED")

    def retry_by_hand(self) -> None:
        if self.run.type in TERMINAL:
            self.set("SCHEDULED")
            self.due = self.now

    def pass_time(self) -> None:
        self.now += timedelta(seconds=100)

    def settle_down(self) -> None:
        """Let a healthy worker and cluster do what they do."""
        for job in list(self.jobs):
            if job.is_leaving and all(pod.is_over(self.now, 60) for pod in job.pods):
                self.jobs.remove(job)
        self.make_late_job()
        if not self._is_waiting_in_process():
            self.take()
        elif self._working() and self.now >= self.due:
            self.set("RUNNING")
            self.run = replace(self.run, retries_in_process=False)
        self.start()

    def _is_waiting_in_process(self) -> bool:
        return self.run.type == "SCHEDULED" and self.run.retries_in_process

    def _is_due(self) -> bool:
        is_free = self.run.type == "SCHEDULED" and not self.run.retries_in_process
        return is_free and self.now >= self.due

    def _living(self) -> list[Job]:
        return [job for job in self.jobs if job.lives]

    def _working(self) -> list[Job]:
        return [job for job in self.jobs if job.works]

    def _replace(self, old: Job, new: Job) -> None:
        self.jobs[self.jobs.index(old)] = new

    def _pod(self, job: Job, **changes: object) -> None:
        (pod, *rest) = job.pods
        self._replace(job, replace(job, pods=(replace(pod, **changes), *rest)))  # type: ignore[arg-type]

    def _end(self, job: Job, outcome: str, phase: str) -> None:
        pods = tuple(replace(pod, phase=phase) for pod in job.pods)
        self._replace(job, replace(job, outcome=outcome, ended=self.now, pods=pods))

    def _delete(self, job: Job) -> None:
        """Delete a Job; a program of it that runs is told, and hands its run back.

        As Prefect's `flow-run execute` does it when SIGTERM means to reschedule: a program that has
        told its end leaves the run alone, any other makes it Scheduled, unless it has ended; and
        Crashed is no end to it.
        """
        if job not in self.jobs:
            return
        is_over = job.uid in self.concluded or self.run.type in TERMINAL - {"CRASHED"}
        if job.works and not is_over:
            self.set("SCHEDULED")
            self.due = self.now
        pods = tuple(replace(pod, leaves_at=self.now) for pod in job.pods)
        self._replace(job, replace(job, is_leaving=True, pods=pods))


EVENTS: dict[str, Callable[[World], None]] = {
    one.__name__: one
    for one in (
        World.take,
        World.take_and_die,
        World.take_and_be_slow,
        World.make_late_job,
        World.boot,
        World.start,
        World.block,
        World.finish,
        World.finish_without_a_word,
        World.hang,
        World.kill,
        World.remove_jobs,
        World.lose_node,
        World.wait_in_process,
        World.cancel,
        World.crash,
        World.retry_by_hand,
        World.pass_time,
    )
}
