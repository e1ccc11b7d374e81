"""Prefect's lock manager on Cassandra: what Prefect sees of `state/locks.py`."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from prefect.locking.protocol import LockManager

from prefect_cassandra.blocks.cluster import CassandraCluster
from prefect_cassandra.errors import ConfigurationError, LockLostError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.state.locks import Acquisition, CassandraLocks, LockState

_LOOK = 0.05
_LONGEST_LOOK = 1.0


class CassandraLockManager(LockManager):
    """Locks on the records of transactions, for processes on any machine.

    A lock is a lease: while its holder lives it is renewed in the background, and when the holder
    dies it ends by itself. A holder that is stopped for longer than its lease and wakes up again
    does not know; its writes to a `CassandraResultStorage` on the same cluster are refused. A lock
    alone cannot keep it from writing elsewhere.

    Args:
        cluster: The cluster, with a login that may use the keyspace prefect_state; or the name of
            a `CassandraCluster` block, which is loaded on first use.
        lease: Seconds after which the lock of a holder that died is free, at least 1.

    Raises:
        ConfigurationError: The lease is shorter.

    Example:
        ```python
        from prefect.cache_policies import INPUTS
        from prefect.transactions import IsolationLevel
        from prefect_cassandra import CassandraLockManager

        policy = INPUTS.configure(
            isolation_level=IsolationLevel.SERIALIZABLE,
            lock_manager=CassandraLockManager("prefect-state"),
        )
        ```
    """

    def __init__(self, cluster: CassandraCluster | str, lease: float = 30.0) -> None:
        if lease < 1:
            raise ConfigurationError(
                f"a lease of {lease:g} s would end while it is being renewed",
                hint="Use at least 1 s; 30 s is usual.",
            )
        self.cluster = cluster
        self.lease = lease
        self._locks: CassandraLocks | None = None

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same: Prefect adds up cache policies only if it is."""
        if not isinstance(other, CassandraLockManager):
            return NotImplemented
        return (self.cluster, self.lease) == (other.cluster, other.lease)

    def __hash__(self) -> int:
        return hash((type(self), self.lease))

    def __getstate__(self) -> dict[str, object]:
        """Leave the connections here; what this process holds, another does not."""
        return self.__dict__ | {"_locks": None}

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Take the lock on `key`; waiters get it in the order of their coming.

        Args:
            key: What the lock is about: the storage key of a record.
            holder: Who asks, unique among all who may ask. Who holds it already gets it again.
            acquire_timeout: Seconds to wait; for ever when absent, 0 not at all.
            hold_timeout: Seconds after which the lock is free whatever happens; while the process
                lives when absent.

        Returns:
            Whether it is held now.

        Raises:
            StateError: The cluster keeps no locks, or not for this role.
            UnreachableError: It does not answer.
        """
        attempt = self._attempt(key, holder, acquire_timeout, hold_timeout)
        for pause in attempt.steps():
            time.sleep(pause)
        return self._keep(attempt, renewed=hold_timeout is None)

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Do what `acquire_lock` does, without blocking the event loop."""
        from prefect_cassandra.driver.threads import in_thread  # noqa: PLC0415

        attempt = await asyncio.to_thread(self._attempt, key, holder, acquire_timeout, hold_timeout)
        steps = attempt.steps()
        step = partial(next, steps, None)
        try:
            # A step that is under way is waited for: it may be the one that takes the lock.
            while (pause := await in_thread(step, _nothing)) is not None:  # noqa: ASYNC110  (what is waited for happens on other machines)
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            await asyncio.to_thread(attempt.give_up, steps)
            raise
        return self._keep(attempt, renewed=hold_timeout is None)

    def release_lock(self, key: str, holder: str) -> None:
        """Free the lock on `key`.

        Raises:
            LockLostError: It is not this holder's, or not any more, or that is not known. It is a
                ValueError.
        """
        from prefect_cassandra.state.leases import leases  # noqa: PLC0415

        store = self._store()
        lease = leases.find(store.session.config, key, holder)
        if lease is not None:
            leases.remove(lease)
        state = store.read(key) if lease is None else lease.state
        released = store.release(key, state) if state.holder == holder else False
        if not released:
            said = f"no lock on {key!r} is held by {holder}"
            if released is None:
                said = (
                    f"whether {holder} still held the lock on {key!r} is not known: its release "
                    "got no answer, its lease has ended, and another one has had the lock since"
                )
            raise LockLostError(
                said,
                hint="Its lease may have ended while this process was stopped. What it wrote to a "
                "CassandraResultStorage after that was refused; look at what it wrote elsewhere.",
            )

    def is_locked(self, key: str) -> bool:
        """Say whether somebody holds the lock on `key`."""
        return self._state(key) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Say whether `holder` holds the lock on `key`, as the database has it."""
        state = self._state(key)
        return state is not None and state.holder == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Wait until nobody holds the lock on `key`.

        Args:
            key: What the lock is about.
            timeout: Seconds to wait; for ever when absent.

        Returns:
            Whether it was free within that time.
        """
        for pause in _looks(timeout):
            if not self.is_locked(key):
                return True
            time.sleep(pause)
        return not self.is_locked(key)

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:  # noqa: ASYNC109  (Prefect's protocol)
        """Do what `wait_for_lock` does, without blocking the event loop."""
        for pause in _looks(timeout):
            if not await asyncio.to_thread(self.is_locked, key):
                return True
            await asyncio.sleep(pause)
        return not await asyncio.to_thread(self.is_locked, key)

    def fence(self, key: str, holder: str) -> int | None:
        """Return the fencing token of a lock, to guard writes of one's own with it.

        It grows with every holder of the key. A guarded write compares it: keep the largest token
        seen beside the data and refuse smaller ones.

        Returns:
            None when `holder` does not hold the lock.
        """
        state = self._state(key)
        return state.fence if state is not None and state.holder == holder else None

    def _attempt(
        self, key: str, holder: str, wait: float | None, hold: float | None
    ) -> Acquisition:
        from prefect_cassandra.state.locks import Acquisition  # noqa: PLC0415

        return Acquisition(self._store(), key, holder, self.lease if hold is None else hold, wait)

    def _keep(self, attempt: Acquisition, *, renewed: bool) -> bool:
        """Keep a lock that was taken; in the caller's own context, which its writes are made in."""
        from prefect_cassandra.state.leases import Lease, leases  # noqa: PLC0415

        if attempt.held is None:
            return False
        store = self._store()
        config = store.session.config
        before = leases.find(config, attempt.key, attempt.holder)
        if before is not None and before.state.fence == attempt.held.fence:
            return True
        if before is not None:
            leases.remove(before)
        lease = self.lease if renewed else None
        leases.add(Lease(config, store, attempt.key, attempt.held, lease))
        return True

    def _state(self, key: str) -> LockState | None:
        """Return the lock on `key`, None when nobody holds it."""
        store = self._store()
        state = store.read(key)
        return state if state.is_held(store.now()) else None

    def _store(self) -> CassandraLocks:
        from prefect_cassandra.state.access import state_session  # noqa: PLC0415
        from prefect_cassandra.state.locks import CassandraLocks  # noqa: PLC0415

        if self._locks is None or self._locks.session.closed:
            cluster = self.cluster
            if isinstance(cluster, str):
                cluster = CassandraCluster.load(cluster, _sync=True)
            self._locks = CassandraLocks(state_session(cluster.config()))
        return self._locks


def _looks(timeout: float | None) -> Iterator[float]:
    """Yield the seconds between looks, until the time is up."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _LOOK
    while deadline is None or time.monotonic() < deadline:
        left = _LONGEST_LOOK if deadline is None else deadline - time.monotonic()
        yield max(0.0, min(pause, left))
        pause = min(pause * 1.5, _LONGEST_LOOK)


def _nothing() -> None:
    """Let a step come to its end, which is near."""
