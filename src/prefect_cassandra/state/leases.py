"""The locks this process holds: renewed in the background, and known to what writes under them."""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from prefect_cassandra.errors import LockLostError, PrefectCassandraError
from prefect_cassandra.state.access import state_session
from prefect_cassandra.state.locks import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.state.locks import LockState, LockStore

logger = logging.getLogger(__name__)

# Which of this process's leases a task or thread itself took: two of them may have held one lock
# one after the other, and the first must not write with the token of the second.
_taken_here: contextvars.ContextVar[frozenset[Lease]] = contextvars.ContextVar(
    "leases", default=frozenset()
)


@dataclass(eq=False, slots=True)
class Lease:
    """A lock as this process holds it; it may have been lost since.

    Args:
        config: The cluster it is kept on.
        store: Where it is renewed.
        key: What it is about.
        state: What was written last.
        renewed: Seconds that each renewal adds; None leaves the lease to end by itself.
        lost: Whether a renewal found it in other hands.
        ended: Whether it was released here.
    """

    config: ClusterConfig
    store: LockStore
    key: str
    state: LockState
    renewed: float | None
    lost: bool = False
    ended: bool = False
    due: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._set_due()

    def renew(self) -> None:
        """Move the end of the lease; a try that gets no answer is repeated at the next turn."""
        if self.renewed is None:
            return
        self._set_due()
        until = self.store.now() + round(self.renewed * SECOND)
        after = replace(self.state, until=until)
        if self.store.renew(self.key, after):
            self.state = after
        elif not self.ended:
            self.lost = True
            logger.warning(
                "The lock on %r was lost: this process did not renew its lease of %g s in time.",
                self.key,
                self.renewed,
            )

    def _set_due(self) -> None:
        self.due = time.monotonic() + (self.renewed or 0.0) / 4


def is_same_cluster(one: ClusterConfig, other: ClusterConfig) -> bool:
    """Tell whether two connections lead to one cluster: a storage's and a lock's may differ.

    Names and addresses do not tell: one may be given other nodes than the other, or a balancer.
    The ids of the nodes do. Where they cannot be had, the answer is yes: a write that is refused
    because of a lock elsewhere does less harm than one that goes past a lock.
    """
    if one == other:
        return True
    try:
        nodes, others = (state_session(each).node_ids() for each in (one, other))
    except PrefectCassandraError as error:
        logger.debug("Whether two connections lead to one cluster is not known: %s", error)
        return True
    return not (nodes and others) or not nodes.isdisjoint(others)


class Leases:
    """The leases of one process. Thread-safe.

    Args:
        is_same_cluster: Tells whether two configurations lead to one cluster.
    """

    def __init__(
        self, is_same_cluster: Callable[[ClusterConfig, ClusterConfig], bool] = is_same_cluster
    ) -> None:
        self._is_same_cluster = is_same_cluster
        self._changed = threading.Condition()
        self._held: list[Lease] = []
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease) -> None:
        """Keep a lease, renewed until it is removed."""
        with self._changed:
            self._held.append(lease)
            if lease.renewed is not None and self._thread is None:
                self._thread = threading.Thread(
                    target=self._renew_all, name="lock-leases", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()
        _taken_here.set(_taken_here.get() | {lease})

    def find(self, config: ClusterConfig, key: str, holder: str) -> Lease | None:
        """Return the lease of one holder on one key."""
        with self._changed:
            return next(
                (
                    one
                    for one in reversed(self._held)
                    if (one.config, one.key, one.state.holder) == (config, key, holder)
                ),
                None,
            )

    def remove(self, lease: Lease) -> None:
        """Forget a lease."""
        with self._changed:
            # A renewal may be under way; that it comes too late is no news then.
            lease.ended = True
            if lease in self._held:
                self._held.remove(lease)
            self._changed.notify_all()
        _taken_here.set(_taken_here.get() - {lease})

    def fence(self, config: ClusterConfig, key: str) -> int | None:
        """Return the token that a write to `key` must carry here; None when it is not locked.

        Raises:
            LockLostError: The lease is known to be lost.
        """
        with self._changed:
            held = [one for one in self._held if one.key == key]
        held = [one for one in held if self._is_same_cluster(one.config, config)]
        if not held:
            return None
        mine = _taken_here.get()
        lease = next((one for one in reversed(held) if one in mine), held[-1])
        if lease.lost:
            raise LockLostError(
                f"nothing was written under {key!r}: its lock was lost to another holder",
                hint="This run was away for longer than the lease of its lock; run it again.",
            )
        return lease.state.fence

    def _renew_all(self) -> None:
        while True:
            with self._changed:
                renewing = [one for one in self._held if one.renewed is not None and not one.lost]
                if not renewing:
                    self._thread = None
                    return
                wait = min(one.due for one in renewing) - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
            for lease in renewing:
                if lease.due <= time.monotonic():
                    self._renew(lease)

    def _renew(self, lease: Lease) -> None:
        try:
            lease.renew()
        except PrefectCassandraError as error:
            logger.debug("The lease on %r was not renewed, next turn again: %s", lease.key, error)


leases = Leases()


def fence_of(config: ClusterConfig, key: str) -> int | None:
    """Return the token that a write to `key` must carry in this process; see `Leases.fence`."""
    return leases.fence(config, key)


def _after_fork_in_child() -> None:
    # The locks are the parent's; its thread is not here.
    leases.__init__()  # type: ignore[misc]  # the same object is known everywhere


os.register_at_fork(after_in_child=_after_fork_in_child)
