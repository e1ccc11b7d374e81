from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.blocks import CassandraLockManager
from prefect_cassandra.errors import LockLostError, OutcomeUnknownError
from prefect_cassandra.ledger.blocks import EPOCH
from prefect_cassandra.state.locks import (
    SECOND,
    TICKET_LASTS,
    Acquisition,
    CassandraLocks,
    LockState,
    Ticket,
    pause_for,
    place_of,
    was_released,
)
from support.locks import NOON, MemoryLocks

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "record"


@pytest.mark.parametrize(
    ("state", "held"),
    [
        (LockState(), False),
        (LockState(fence=1, holder=None, until=0), False),
        (LockState(fence=1, holder="a", until=NOON - 1), False),
        (LockState(fence=1, holder="a", until=NOON), False),
        (LockState(fence=1, holder="a", until=NOON + 1), True),
    ],
)
def test_a_lock_is_held_until_its_lease_ends(state: LockState, *, held: bool) -> None:
    assert state.is_held(NOON) is held


@pytest.mark.parametrize(
    ("last", "next_one"), [(None, NOON), (5, NOON), (NOON, NOON + 1), (NOON + 9, NOON + 10)]
)
def test_fences_grow_and_start_at_the_time(last: int | None, next_one: int) -> None:
    assert LockState(fence=last).next_fence(NOON) == next_one


def test_places_are_counted_from_the_front() -> None:
    queue = [Ticket(number, uuid.UUID(int=number)) for number in (3, 5, 9)]
    assert [place_of(ticket, queue) for ticket in queue] == [0, 1, 2]
    assert place_of(None, queue) == 3
    assert place_of(Ticket(4), queue) == 1, "a place that has expired is still one's own"


@pytest.mark.parametrize(
    ("place", "looks", "seconds"),
    [(0, 0, 0.05), (0, 2, 0.1125), (0, 50, 0.5), (1, 50, 0.25), (3, 0, 0.75), (40, 0, 2.0)],
)
def test_who_is_nearer_to_the_front_looks_more_often(
    place: int, looks: int, seconds: float
) -> None:
    assert pause_for(place, looks) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("found", "now", "said"),
    [
        (LockState(fence=7), NOON, True),
        (LockState(fence=7), NOON + 60 * SECOND, True),
        (LockState(fence=8, holder="b"), NOON + 30 * SECOND - 1, True),
        (LockState(fence=8, holder="b"), NOON + 30 * SECOND, None),
        (LockState(fence=9), NOON + 60 * SECOND, None),
        (LockState(), NOON + 60 * SECOND, None),
    ],
    ids=["free", "free, late", "taken in time", "taken late", "taken and freed late", "expired"],
)
def test_a_release_without_an_answer_is_told_by_what_is_found_later(
    found: LockState, now: int, *, said: bool | None
) -> None:
    held = LockState(fence=7, holder="a", until=NOON + 30 * SECOND)
    assert was_released(held, found, now) is said


class Node:
    """A session that tells what it found of a lock, one after the other, and no more."""

    closed = False
    config = None

    def __init__(self, *found: LockState) -> None:
        self.found = list(found)
        self.time = NOON
        self.places: list[int] = []
        self.asked: list[list[Any]] = []

    def execute(self, cql: str, parameters: Any = (), **_options: Any) -> Any:
        if "toTimestamp" in cql:
            return Rows([{"now": EPOCH + timedelta(microseconds=self.time)}])
        if "lock_queue" in cql:
            self.asked.append(list(parameters))
            _, front, most = parameters
            seen = [place for place in self.places if place >= front][:most]
            return Rows([{"place": place, "waiter": uuid.UUID(int=0)} for place in seen])
        if cql.startswith("UPDATE"):
            raise OutcomeUnknownError("no answer")
        return Rows([asdict(self.found.pop(0))])


class Rows(list[dict[str, Any]]):
    def one(self) -> dict[str, Any]:
        return self[0]


def test_a_lock_that_another_has_after_a_lost_answer_is_not_said_to_be_released() -> None:
    held = LockState(fence=7, holder="a", until=NOON)
    another = LockState(fence=8, holder="b", until=NOON + SECOND)
    node: Any = Node(another, another)
    locks = CassandraLocks(node)
    assert locks.release(KEY, held) is None
    assert locks.release(KEY, replace(held, until=NOON + 60 * SECOND)) is True


def test_who_releases_without_knowing_is_told_so() -> None:
    held = LockState(fence=7, holder="a", until=NOON)
    node: Any = Node(held, LockState(fence=8, holder="b", until=NOON + SECOND))
    manager = CassandraLockManager("never loaded")
    manager._locks = CassandraLocks(node)
    with pytest.raises(LockLostError, match="is not known"):
        manager.release_lock(KEY, "a")


def test_a_look_at_the_queue_does_not_read_what_was_given_up_long_ago() -> None:
    node: Any = Node()
    locks = CassandraLocks(node)
    hour = 3600 * SECOND
    node.places = [NOON - hour, NOON]
    assert [one.place for one in locks.queue(KEY)] == node.places
    del node.places[0]
    assert [one.place for one in locks.queue(KEY)] == [NOON]
    assert locks.queue(KEY), "it is still in the front"
    node.places = []
    assert locks.queue("another") == locks.queue(KEY) == []
    assert locks.queue("another") == []
    slack = 2 * TICKET_LASTS * SECOND
    fronts = [front for _, front, _ in node.asked]
    assert fronts[:3] == [0, NOON - hour - slack, NOON - slack]
    assert fronts[3] == 0
    assert fronts[5] == pytest.approx(NOON - slack, abs=10 * SECOND)


def acquired(attempt: Acquisition) -> bool:
    """Carry an attempt through, letting the store's time pass by as it asks."""
    store = attempt.store
    assert isinstance(store, MemoryLocks)
    for pause in attempt.steps():
        store.pass_by(pause)
    return attempt.held is not None


def test_a_free_lock_is_taken_at_once_and_without_a_place_in_the_queue() -> None:
    store = MemoryLocks()
    assert acquired(Acquisition(store, KEY, "a", hold=30))
    assert store.time == NOON
    assert store.tickets == {}
    assert store.read(KEY).until == NOON + 30 * SECOND


def test_no_waiting_is_no_waiting() -> None:
    store = MemoryLocks()
    assert acquired(Acquisition(store, KEY, "a", hold=30))
    assert not acquired(Acquisition(store, KEY, "b", hold=30, wait=0))
    assert store.time == NOON
    assert store.tickets == {}


def test_who_waits_in_vain_leaves_the_queue() -> None:
    store = MemoryLocks()
    assert acquired(Acquisition(store, KEY, "a", hold=30))
    assert not acquired(Acquisition(store, KEY, "b", hold=30, wait=7))
    assert store.time == pytest.approx(NOON + 7 * SECOND, abs=2)
    assert store.tickets == {}


def test_the_lock_of_a_silent_holder_is_taken_when_its_lease_ends() -> None:
    store = MemoryLocks()
    assert acquired(Acquisition(store, KEY, "a", hold=30))
    first = store.read(KEY)
    assert acquired(Acquisition(store, KEY, "b", hold=30))
    assert 30 * SECOND <= store.time - NOON <= 30.6 * SECOND
    assert store.holders[1][1] > store.holders[0][1]
    assert not store.renew(KEY, first)
    assert not store.release(KEY, first)


def test_a_free_lock_goes_to_the_first_in_the_queue_only() -> None:
    store = MemoryLocks()
    store.enqueue(KEY, Ticket(NOON - 1))
    assert not acquired(Acquisition(store, KEY, "b", hold=30, wait=0))
    assert acquired(Acquisition(store, KEY, "b", hold=30))
    assert store.time - NOON >= TICKET_LASTS * SECOND, "the first one died and its place expired"


def test_giving_up_gives_up_the_place() -> None:
    store = MemoryLocks()
    assert acquired(Acquisition(store, KEY, "a", hold=30))
    attempt = Acquisition(store, KEY, "b", hold=30)
    steps = attempt.steps()
    next(steps)
    assert len(store.queue(KEY)) == 1
    attempt.give_up(steps)
    assert store.queue(KEY) == []
    assert store.read(KEY).holder == "a"


def test_giving_up_frees_a_lock_that_was_just_taken() -> None:
    store = MemoryLocks()
    attempt = Acquisition(store, KEY, "a", hold=30)
    steps = attempt.steps()
    assert next(steps, None) is None
    assert store.read(KEY).is_held(store.now())
    attempt.give_up(steps)
    assert not store.read(KEY).is_held(store.now())


@dataclass
class Actor:
    """Somebody who takes a lock, writes under it and releases it, and may sleep at any point."""

    name: str
    attempt: Acquisition | None = None
    steps: Iterator[float] | None = None
    written: list[int] = field(default_factory=list)

    def step(self, store: MemoryLocks, stored: list[int]) -> None:
        if self.attempt is None:
            self.attempt = Acquisition(store, KEY, f"{self.name}.{uuid.uuid4()}", hold=2)
            self.steps = self.attempt.steps()
        if self.attempt.held is None:
            assert self.steps is not None
            next(self.steps, None)
        elif not self.written:
            # The guarded write: the fence is compared and the value stored in one step.
            fence = self.attempt.held.fence
            assert fence is not None
            if store.read(KEY).fence == fence:
                stored.append(fence)
            self.written.append(fence)
        else:
            store.release(KEY, self.attempt.held)
            self.attempt, self.written = None, []


@settings(max_examples=60, deadline=None)
@given(
    script=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.1, 0.7, 3.0])), max_size=80
    )
)
def test_guarded_writes_come_in_the_order_of_their_fences_whoever_sleeps(
    script: list[tuple[int, float]],
) -> None:
    store, stored = MemoryLocks(), []
    actors = [Actor(name) for name in "abcd"]
    for who, seconds in script:
        actors[who].step(store, stored)
        store.pass_by(seconds)
    fences = [fence for _, fence in store.holders]
    assert fences == sorted(set(fences))
    assert stored == sorted(stored)
