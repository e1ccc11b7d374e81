"""Locks on records: a lease, a fencing token, and a queue in the order of coming.

The lock is made of static cells in the partition of the record it is about, written by lightweight
transactions only. `fence` grows with every holder, `until` is the end of the lease by the
database's own time. Whoever takes or renews compares what it read before, so of two only one
succeeds. A holder that was stopped may go on believing in its lock; it is the fence, compared by
the guarded write itself (`state/results.py`), that stops it.

Who waits stands in a queue of rows that expire unless they are written again, and looks more often
the nearer it is to the front. A free lock goes to the first in the queue only.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from prefect_cassandra.errors import OutcomeUnknownError
from prefect_cassandra.ledger.store import DatabaseTime
from prefect_cassandra.schema.records import compare_and_set
from prefect_cassandra.state.access import QUORUM, SERIAL, check_key, state_access

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Any

    from prefect_cassandra.driver.session import Session

SECOND = 1_000_000
# Fences start at the time, so that a key whose cells have expired gets a larger one again.
_KEPT = 30 * 86_400
TICKET_LASTS = 10
_TICKET_RENEWED = 4.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_PAUSE_PER_PLACE, _LONGEST_IN_QUEUE = 0.25, 2.0
_QUEUE_SEEN = 50
_RELEASE_TRIES = 3

_READ = """SELECT DISTINCT key, fence, holder, until, host, since FROM prefect_state.records
 WHERE key = ?"""
_TAKE = """UPDATE prefect_state.records USING TTL ? SET fence = ?, holder = ?, until = ?, host = ?,
 since = ? WHERE key = ?"""
_TAKE_FIRST = f"{_TAKE} IF fence = null"
_TAKE_NEXT = f"{_TAKE} IF fence = ? AND until = ?"
_RENEW = """UPDATE prefect_state.records USING TTL ? SET fence = ?, holder = ?, until = ?, host = ?,
 since = ? WHERE key = ? IF fence = ? AND holder = ?"""
_RELEASE = """UPDATE prefect_state.records USING TTL ? SET fence = ?, holder = null, until = 0
 WHERE key = ? IF fence = ? AND holder = ?"""
_QUEUE = """SELECT place, waiter FROM prefect_state.lock_queue WHERE key = ? AND place >= ?
 LIMIT ?"""
# Before the front seen last there are only places that were given up, which a look would have to
# read past. Who was away from his place for longer than this and comes back is not seen there: he
# and the front then try at the same moment, and one gets it.
_FRONT_SLACK = 2 * TICKET_LASTS * SECOND
_FRONTS_KEPT = 4096
_ENQUEUE = "INSERT INTO prefect_state.lock_queue (key, place, waiter) VALUES (?, ?, ?) USING TTL ?"
_LEAVE = "DELETE FROM prefect_state.lock_queue WHERE key = ? AND place = ? AND waiter = ?"


@dataclass(frozen=True, slots=True)
class LockState:
    """A lock as it was read.

    Attributes:
        fence: Token of the last holder; None when there never was one.
        holder: Who holds it; None when it was released.
        until: End of the lease, microseconds since 1970.
        host: Machine and process of the holder, for people.
        since: When it was taken, for people.
    """

    fence: int | None = None
    holder: str | None = None
    until: int = 0
    host: str = ""
    since: datetime | None = None

    def is_held(self, now: int) -> bool:
        """Whether somebody holds it at `now`, microseconds since 1970."""
        return self.holder is not None and self.until > now

    def next_fence(self, now: int) -> int:
        """Return the token of the next holder: larger than every earlier one."""
        return max(now, (self.fence or 0) + 1)


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """A place in the queue: when it was drawn, microseconds since 1970, and by whom."""

    place: int
    waiter: uuid.UUID = field(default_factory=uuid.uuid4)


class LockStore(Protocol):
    """Where locks and their queues are kept."""

    def now(self) -> int:
        """Return the time, microseconds since 1970, the same for all who use the store."""

    def read(self, key: str) -> LockState:
        """Return the lock on a key."""

    def take(self, key: str, before: LockState, after: LockState) -> bool:
        """Replace the lock if it is still `before`; says whether it did."""

    def renew(self, key: str, held: LockState) -> bool:
        """Write a lease with a later end, if it is still its holder's; says whether it was."""

    def release(self, key: str, held: LockState) -> bool | None:
        """Free the lock if it is still that holder's; says whether it was, None if not known."""

    def queue(self, key: str) -> Sequence[Ticket]:
        """Return the first of those who wait, in order."""

    def enqueue(self, key: str, ticket: Ticket) -> None:
        """Stand in the queue for `TICKET_LASTS` seconds more."""

    def leave(self, key: str, ticket: Ticket) -> None:
        """Leave the queue."""


def place_of(ticket: Ticket | None, queue: Sequence[Ticket]) -> int:
    """Return how many stand before `ticket`; all of them when it has no place yet."""
    if ticket is None:
        return len(queue)
    return sum(other < ticket for other in queue)


def was_released(held: LockState, found: LockState, now: int) -> bool | None:
    """Tell what came of a release without an answer, from a later look at the lock.

    Args:
        held: The lock as its holder had it.
        found: As it is now; not that holder's.
        now: The time of the look or later, microseconds since 1970.

    Returns:
        Whether it was this holder's until the release; None when it may have been lost before: its
        lease has ended, and another one has had it since.
    """
    if found.fence == held.fence or now < held.until:
        # Nobody else frees it, nor takes it before its lease ends.
        return True
    return None


def pause_for(place: int, looks: int) -> float:
    """Return the seconds until the next look at a lock that is taken.

    Args:
        place: How many stand before.
        looks: How often this one has looked from the front of the queue.
    """
    if place:
        return min(_PAUSE_PER_PLACE * place, _LONGEST_IN_QUEUE)
    return float(min(_FIRST_PAUSE * 1.5**looks, _LONGEST_PAUSE))


@dataclass(slots=True)
class Acquisition:
    """One attempt to get a lock, in steps between which the caller waits as it likes.

    Args:
        store: Where the lock is kept.
        key: What it is about.
        holder: Who asks, unique among all who may ask.
        hold: Seconds the lease lasts when it is not renewed.
        wait: Seconds to wait for it; None for ever, 0 not at all.

    Attributes:
        held: The lock, once it is this holder's.
    """

    store: LockStore
    key: str
    holder: str
    hold: float
    wait: float | None = None
    held: LockState | None = None
    _ticket: Ticket | None = None
    _ticket_written: int = 0
    _looks: int = 0

    def steps(self) -> Generator[float]:
        """Yield the seconds to wait before the next step; ends when `held` is set or time is up.

        Closing it early gives up the place in the queue.

        Raises what the store does.
        """
        began = self.store.now()
        try:
            while not self._try_once():
                pause = self._pause()
                if self.wait is not None:
                    left = self.wait - (self.store.now() - began) / SECOND
                    if left <= 0:
                        return
                    pause = min(pause, left)
                yield pause
        finally:
            if self._ticket is not None:
                self.store.leave(self.key, self._ticket)

    def give_up(self, steps: Generator[float]) -> None:
        """Leave the queue, and free the lock if it was taken meanwhile."""
        steps.close()
        if self.held is not None:
            self.store.release(self.key, self.held)

    def _try_once(self) -> bool:
        state = self.store.read(self.key)
        now = self.store.now()
        if state.is_held(now):
            if state.holder != self.holder:
                return False
            self.held = state
            return True
        if place_of(self._ticket, self.store.queue(self.key)):
            return False
        mine = LockState(
            fence=state.next_fence(now),
            holder=self.holder,
            until=now + round(self.hold * SECOND),
            host=f"{socket.gethostname()}:{os.getpid()}",
            since=datetime.now(UTC).replace(microsecond=0),
        )
        if not self.store.take(self.key, state, mine):
            return False
        self.held = mine
        return True

    def _pause(self) -> float:
        """Stand in the queue and say how long to wait there."""
        if self.wait is not None and self.wait <= 0:
            return 0.0
        now = self.store.now()
        if self._ticket is None:
            self._ticket = Ticket(now)
        if now - self._ticket_written > _TICKET_RENEWED * SECOND:
            self.store.enqueue(self.key, self._ticket)
            self._ticket_written = now
        place = place_of(self._ticket, self.store.queue(self.key))
        self._looks = 0 if place else self._looks + 1
        # Those who were started together would otherwise also look together.
        return pause_for(place, self._looks) * random.uniform(0.8, 1.0)  # noqa: S311  (spreads load, guards nothing)


@dataclass(slots=True)
class CassandraLocks:
    """The `LockStore` of a real cluster.

    Every method raises StateError when the cluster keeps no locks or this role may not use them,
    and what `Session.execute` does when it is out of reach.

    Args:
        session: Logged in as a role that may read and write `prefect_state`, made by
            `state_session`.
    """

    session: Session
    _time: DatabaseTime = field(init=False)
    _guard: threading.Lock = field(init=False, default_factory=threading.Lock)
    _fronts: OrderedDict[str, int] = field(init=False, default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._time = DatabaseTime(self.session)

    def now(self) -> int:
        """Return the time as the database's nodes have it, microseconds since 1970."""
        with self._guard:
            return self._time()

    def read(self, key: str, *, consistency: str = QUORUM) -> LockState:
        """Return the lock on a key."""
        with state_access():
            row = self.session.execute(_READ, [check_key(key)], consistency=consistency).one()
        if row is None or row["fence"] is None:
            return LockState()
        return LockState(
            row["fence"], row["holder"], row["until"] or 0, row["host"] or "", row["since"]
        )

    def take(self, key: str, before: LockState, after: LockState) -> bool:
        """Replace the lock if it is still `before`."""
        values = [*self._cells(after), key]
        if before.fence is None:
            cql = _TAKE_FIRST
        else:
            cql = _TAKE_NEXT
            values += [before.fence, before.until]
        return self._compare_and_set(cql, values, key, after)

    def renew(self, key: str, held: LockState) -> bool:
        """Write a lease with a later end."""
        values = [*self._cells(held), key, held.fence, held.holder]
        return self._compare_and_set(_RENEW, values, key, held)

    def release(self, key: str, held: LockState) -> bool | None:
        """Free the lock; when that is still unknown after some tries, the lease frees it."""
        values = [_KEPT, held.fence, key, held.fence, held.holder]
        for _ in range(_RELEASE_TRIES):
            with state_access():
                try:
                    return bool(self.session.execute(_RELEASE, values, idempotent=False).applied)
                except OutcomeUnknownError:
                    # What is read now is final.
                    found = self.read(key, consistency=SERIAL)
            if (found.fence, found.holder) != (held.fence, held.holder):
                return was_released(held, found, self.now())
        return True

    def queue(self, key: str) -> list[Ticket]:
        """Return the first of those who wait."""
        with self._guard:
            front = self._fronts.get(key, 0)
        # What is not seen in this look comes later than it.
        now = self.now()
        with state_access():
            rows = self.session.execute(_QUEUE, [key, front, _QUEUE_SEEN], consistency=QUORUM)
            found = [Ticket(row["place"], row["waiter"]) for row in rows]
        self._saw_front(key, found[0].place if found else now)
        return found

    def enqueue(self, key: str, ticket: Ticket) -> None:
        """Stand in the queue."""
        values = [key, ticket.place, ticket.waiter, TICKET_LASTS]
        with state_access():
            self.session.execute(_ENQUEUE, values, consistency=QUORUM)

    def leave(self, key: str, ticket: Ticket) -> None:
        """Leave the queue."""
        with state_access():
            self.session.execute(_LEAVE, [key, ticket.place, ticket.waiter], consistency=QUORUM)

    def _saw_front(self, key: str, place: int) -> None:
        with self._guard:
            self._fronts[key] = max(self._fronts.get(key, 0), place - _FRONT_SLACK)
            self._fronts.move_to_end(key)
            if len(self._fronts) > _FRONTS_KEPT:
                self._fronts.popitem(last=False)

    def _cells(self, state: LockState) -> list[Any]:
        return [_KEPT, state.fence, state.holder, state.until, state.host, state.since]

    def _compare_and_set(self, cql: str, values: list[Any], key: str, after: LockState) -> bool:
        def is_after() -> bool:
            found = self.read(key, consistency=SERIAL)
            return (found.fence, found.holder, found.until) == (
                after.fence,
                after.holder,
                after.until,
            )

        with state_access():
            return compare_and_set(self.session, cql, values, is_after)
