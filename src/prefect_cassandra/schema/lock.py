"""One runner at a time: a lock with a lease, made of lightweight transactions.

The row of the lock stays for ever and keeps `epoch`, which grows with every holder. The holder's
own cells carry a TTL, so the database ends the lease of a runner that died, by its own clocks. A
stopped runner may wake later: it finds out by its own clock before each statement, and the fence in
`records.py` keeps it from recording anything.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from prefect_cassandra.errors import PrefectCassandraError, SchemaLockedError
from prefect_cassandra.schema.records import compare_and_set, once_known

if TYPE_CHECKING:
    from types import TracebackType

    from prefect_cassandra.driver.session import Session

_READ = """SELECT epoch, owner, host, pid, since FROM prefect_ledger.schema_locks
 WHERE name = 'schema'"""
_FIRST = """INSERT INTO prefect_ledger.schema_locks (name, epoch) VALUES ('schema', 0)
 IF NOT EXISTS"""
# One conditional batch, so that the epoch moves with the holder but outlives the holder's cells.
_TAKE = """BEGIN BATCH
UPDATE prefect_ledger.schema_locks USING TTL ? SET owner = ?, host = ?, pid = ?, since = ?
 WHERE name = 'schema' IF owner = null AND epoch = ?;
UPDATE prefect_ledger.schema_locks SET epoch = ? WHERE name = 'schema';
APPLY BATCH"""
_RENEW = """UPDATE prefect_ledger.schema_locks USING TTL ?
 SET owner = ?, host = ?, pid = ?, since = ? WHERE name = 'schema' IF owner = ? AND epoch = ?"""
_RELEASE = """UPDATE prefect_ledger.schema_locks SET owner = null, host = null, pid = null,
 since = null WHERE name = 'schema' IF owner = ? AND epoch = ?"""


@dataclass(frozen=True, slots=True)
class LeaseRules:
    """How long a lock lasts and how long one waits for it.

    Attributes:
        lease: Seconds until the database frees the lock of a runner that says nothing more; whole.
        wait: Seconds to wait for another runner.
        poll: Seconds between two looks at a lock that is taken; grows to two seconds, with jitter.
    """

    lease: int = 30
    wait: float = 300.0
    poll: float = 0.1

    @property
    def safe(self) -> float:
        """Seconds after a renewal during which this runner may believe in its lease.

        Less than the lease: a TTL counts in whole seconds, and clocks of two nodes differ a little.
        """
        return self.lease * 0.9 - 1.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock."""

    epoch: int
    owner: str | None
    host: str | None
    pid: int | None
    since: datetime | None

    def __str__(self) -> str:
        since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC" if self.since else "an unknown time"
        return f"process {self.pid} on {self.host} since {since}"


def read_holder(session: Session) -> Holder | None:
    """Read the lock; None when no runner ever was here."""
    row = session.execute(_READ, consistency="SERIAL").one()
    return None if row is None else Holder(**row)


class SchemaLock:
    """Holds the schema lock while the block runs, renewing its lease in the background.

    Args:
        session: Logged in as a role that may write `prefect_ledger.schema_locks`.
        rules: Lease and waiting times.

    Raises:
        SchemaLockedError: On entry, another runner held the lock for the whole waiting time.
    """

    def __init__(self, session: Session, rules: LeaseRules | None = None) -> None:
        self.session = session
        self.rules = rules or LeaseRules()
        self.owner = uuid.uuid4().hex
        self.epoch = 0
        self.host = socket.gethostname()
        self._since = datetime.now(UTC).replace(microsecond=0)
        self._valid_until = 0.0
        self._lost = False
        self._stop = threading.Event()
        self._renewal = threading.Thread(target=self._renew_often, name="schema-lock", daemon=True)

    @property
    def runner(self) -> str:
        """Host and process id, as records show them."""
        return f"{self.host}:{os.getpid()}"

    def __enter__(self) -> Self:
        self._wait_and_take()
        self._renewal.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._renewal.join()
        self._release()

    def check(self) -> None:
        """Make sure the lease still runs; call it before everything that changes something.

        Raises:
            SchemaLockedError: This runner was away too long and lost the lock.
        """
        if self._lost or time.monotonic() >= self._valid_until:
            raise SchemaLockedError(
                f"this runner ({self.runner}) lost the schema lock: it did not renew its lease of "
                f"{self.rules.lease} s in time",
                hint="Run `prefect-cassandra schema apply` again; it goes on from here.",
            )

    def _wait_and_take(self) -> None:
        deadline = time.monotonic() + self.rules.wait
        pause = self.rules.poll
        while True:
            holder = once_known(partial(read_holder, self.session))
            if holder is None:
                self._make_row()
                continue
            if holder.owner is None and self._take(holder.epoch):
                return
            if time.monotonic() >= deadline:
                raise self._taken(holder)
            # Full jitter: runners that were started together would otherwise also return together.
            time.sleep(min(random.uniform(0, pause), max(deadline - time.monotonic(), 0)))  # noqa: S311  (spreads load, guards nothing)
            pause = min(pause * 1.5, 2.0)

    def _make_row(self) -> None:
        """Make the row that keeps the epoch; which runner wins does not matter."""
        compare_and_set(self.session, _FIRST, [], lambda: True)

    def _take(self, epoch: int) -> bool:
        sent = time.monotonic()
        parameters = [self.rules.lease, *self._holder(), epoch, epoch + 1]
        if not compare_and_set(self.session, _TAKE, parameters, self._is_mine):
            return False
        self.epoch = epoch + 1
        self._valid_until = sent + self.rules.safe
        return True

    def _renew_often(self) -> None:
        while not self._stop.wait(self.rules.lease / 4) and not self._lost:
            try:
                self._renew()
            except PrefectCassandraError:
                # The next round tries again; `check` stops the work if the lease runs out first.
                continue

    def _renew(self) -> None:
        sent = time.monotonic()
        parameters = [self.rules.lease, *self._holder(), self.owner, self.epoch]
        # A lost answer proves nothing about the new TTL, so it does not move the local deadline.
        renewed = self.session.execute(
            _RENEW, parameters, idempotent=False, serial_consistency="SERIAL"
        )
        if renewed.applied:
            self._valid_until = sent + self.rules.safe
        else:
            self._lost = True

    def _release(self) -> None:
        try:
            compare_and_set(self.session, _RELEASE, [self.owner, self.epoch], lambda: True)
        except PrefectCassandraError:
            # The lease ends by itself; the error that ended the block is the one to show.
            return

    def _is_mine(self) -> bool:
        holder = read_holder(self.session)
        return holder is not None and holder.owner == self.owner

    def _holder(self) -> list[Any]:
        return [self.owner, self.host, os.getpid(), self._since]

    def _taken(self, holder: Holder) -> SchemaLockedError:
        return SchemaLockedError(
            f"the schema lock is held by {holder}; waited {self.rules.wait:g} s",
            hint=(
                "Wait for that runner. If it died, the lock frees itself within "
                f"{self.rules.lease} s of its last sign of life."
            ),
        )
