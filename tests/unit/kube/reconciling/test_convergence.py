"""Whatever happens, and in whatever order: in the end the run and its Jobs agree."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as some

from prefect_cassandra.kube.reconciling.decisions import Rules, decide_all
from prefect_cassandra.kube.reconciling.facts import NO_RESTART_TAG, TERMINAL
from prefect_cassandra.kube.reconciling.patience import Patience
from support.reconciled_world import EVENTS, World

RULES = Rules(restarts=1)
INTERVAL, SETTLE = 30.0, 30.0
# Passes after the last event: every deadline of the rules fits into them several times over.
PASSES = 750
# Passes in which nothing changes any more: longer than what a decision has to stand.
QUIET = 15
# Of one run that nothing more happens to: each cause is answered a bounded number of times.
MOST_ACTIONS = 60


class Loop:
    """The reconciler's loop over a world, with a count of what it did."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.patience = Patience(SETTLE)
        self.done: list[str] = []

    def make_pass(self) -> None:
        world = self.world
        seconds = world.now.timestamp()
        for action in self.patience.due(decide_all(world.sight(), RULES), seconds):
            self.done.append(f"{action.kind}: {action.reason}")
            world.apply(action)


def agrees(world: World) -> bool:
    """Tell whether the run and its Jobs tell the same story."""
    living = [job for job in world.jobs if job.lives]
    if world.run.type in TERMINAL:
        return not living
    return world.run.type == "RUNNING" and len(living) == 1 and living[0].works


@settings(max_examples=40, deadline=None)
@given(
    events=some.lists(some.tuples(some.sampled_from(sorted(EVENTS)), some.booleans()), max_size=25),
    retries=some.integers(0, 2),
)
def test_any_interleaving_ends_with_run_and_job_agreeing(
    events: list[tuple[str, bool]], retries: int
) -> None:
    world = World(retries=retries)
    loop = Loop(world)
    for name, looks in events:
        EVENTS[name](world)
        world.now += timedelta(seconds=1)
        if looks:
            world.now += timedelta(seconds=SETTLE)
            loop.make_pass()
    began = len(loop.done)
    quiet = 0
    for _ in range(PASSES):
        world.settle_down()
        loop.make_pass()
        world.now += timedelta(seconds=INTERVAL)
        quiet = quiet + 1 if agrees(world) else 0
        if quiet > QUIET:
            break
    assert agrees(world), (world.run, world.jobs, loop.done)
    assert len(loop.done) - began <= MOST_ACTIONS, loop.done


# What makes a run start again by the rules alone: no person, and no second Job beside the first.
CAUSES = (
    "take",
    "take_and_die",
    "boot",
    "start",
    "block",
    "kill",
    "lose_node",
    "crash",
    "pass_time",
)


@settings(max_examples=25, deadline=None)
@given(
    events=some.lists(some.sampled_from(CAUSES), max_size=12),
    retries=some.integers(0, 2),
    tag=some.sampled_from(("", NO_RESTART_TAG)),
    crashes_early=some.booleans(),
)
def test_a_run_starts_no_more_often_than_it_may(
    events: list[str], retries: int, tag: str, *, crashes_early: bool
) -> None:
    """Not with an automation either, that calls each try of it Crashed while its pod works."""
    world = World(retries=retries, tags=frozenset({tag} - {""}))
    loop = Loop(world)
    for name in events:
        EVENTS[name](world)
        loop.make_pass()
    quiet = 0
    for _ in range(PASSES):
        if crashes_early:
            world.take()
            world.boot()
            world.crash()
        world.settle_down()
        world.crash()
        loop.make_pass()
        world.now += timedelta(seconds=INTERVAL * 2)
        quiet = quiet + 1 if agrees(world) else 0
        if quiet > QUIET:
            break
    assert agrees(world), (world.run, world.jobs, loop.done)
    allowed = 1 if tag else 1 + max(retries, RULES.restarts)
    assert world.run.starts <= allowed, loop.done
    assert world.made <= (allowed + 1) * (RULES.requeues + 1) + len(events), loop.done


def test_a_world_that_is_left_alone_stays_stuck() -> None:
    """The same without the reconciler: else the property would hold of anything."""
    world = World()
    world.take_and_die()
    for _ in range(200):
        world.settle_down()
        world.now += timedelta(seconds=INTERVAL)
    assert world.run.type == "PENDING"
    assert not agrees(world)
