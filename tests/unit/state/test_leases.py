from __future__ import annotations

import contextvars
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from prefect_cassandra.driver.config import ClusterConfig
from prefect_cassandra.errors import LockLostError, UnreachableError
from prefect_cassandra.state import leases as room
from prefect_cassandra.state.leases import Lease, Leases, is_same_cluster
from prefect_cassandra.state.locks import SECOND, LockState
from support.locks import NOON, MemoryLocks
from support.waiting import eventually

CONFIG = ClusterConfig(contact_points=("db",))
KEY = "record"


def taken(store: MemoryLocks, holder: str, fence: int, renewed: float | None = None) -> Lease:
    state = LockState(fence=fence, holder=holder, until=store.time + 30 * SECOND)
    store.locks[KEY] = state
    return Lease(CONFIG, store, KEY, state, renewed)


HERE, THERE, AWAY = (uuid.UUID(int=number) for number in range(3))


class Connected:
    """A session that knows the ids of its cluster's nodes."""

    def __init__(self, *ids: uuid.UUID) -> None:
        self.ids = frozenset(ids)

    def node_ids(self) -> frozenset[uuid.UUID]:
        if AWAY in self.ids:
            raise UnreachableError("no node answers")
        return self.ids


@pytest.mark.parametrize(
    ("other", "knows", "same"),
    [
        ({"contact_points": ("db",)}, {THERE}, True),
        ({"contact_points": ("db2",)}, {HERE, THERE}, True),
        ({"contact_points": ("db",), "port": 9043}, {HERE}, True),
        ({"secure_connect_bundle": Path("bundle.zip")}, {HERE}, True),
        ({"contact_points": ("db2",)}, {THERE}, False),
        ({"contact_points": ("db", "db2")}, {THERE}, False),
        ({"contact_points": ("db2",)}, {AWAY}, True),
        ({"contact_points": ("db2",)}, set(), True),
    ],
)
def test_a_cluster_is_known_by_its_nodes_and_in_doubt_the_same(
    monkeypatch: pytest.MonkeyPatch,
    other: dict[str, Any],
    knows: set[uuid.UUID],
    *,
    same: bool,
) -> None:
    sessions = {ClusterConfig(**other): Connected(*knows), CONFIG: Connected(HERE)}
    monkeypatch.setattr(room, "state_session", sessions.__getitem__)
    assert is_same_cluster(CONFIG, ClusterConfig(**other)) is same
    assert is_same_cluster(ClusterConfig(**other), CONFIG) is same


def test_a_write_carries_the_token_of_its_lock_and_none_without_one() -> None:
    leases, store = Leases(lambda one, other: one == other), MemoryLocks()
    assert leases.fence(CONFIG, KEY) is None
    lease = taken(store, "a", 7)
    leases.add(lease)
    assert leases.fence(CONFIG, KEY) == 7
    assert leases.fence(CONFIG, "another") is None
    assert leases.fence(ClusterConfig(contact_points=("elsewhere",)), KEY) is None
    assert leases.find(CONFIG, KEY, "a") is lease
    assert leases.find(CONFIG, KEY, "b") is None
    leases.remove(lease)
    assert leases.fence(CONFIG, KEY) is None


def test_of_two_holders_in_one_process_each_writes_with_its_own_token() -> None:
    leases, store = Leases(), MemoryLocks()
    sleeper, heir = contextvars.copy_context(), contextvars.copy_context()
    sleeper.run(leases.add, taken(store, "a", 7))
    heir.run(leases.add, taken(store, "b", 8))
    assert sleeper.run(leases.fence, CONFIG, KEY) == 7
    assert heir.run(leases.fence, CONFIG, KEY) == 8
    assert leases.fence(CONFIG, KEY) == 8, "who took none writes with the newest"


def test_a_lease_is_renewed_in_the_background_until_it_is_removed() -> None:
    leases, store = Leases(), MemoryLocks()
    lease = taken(store, "a", 7, renewed=0.04)
    store.time = NOON + 60 * SECOND
    leases.add(lease)
    eventually(lambda: store.read(KEY).until > NOON + 60 * SECOND, within=10)
    leases.remove(lease)
    eventually(lambda: leases._thread is None, within=10)
    assert not lease.lost


def test_a_lease_in_other_hands_is_lost_and_nothing_is_written_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leases, store = Leases(), MemoryLocks()
    lease = taken(store, "a", 7, renewed=30)
    leases.add(lease)
    store.locks[KEY] = LockState(fence=8, holder="b", until=store.time + 1)
    lease.renew()
    assert "was lost" in caplog.text
    with pytest.raises(LockLostError, match=KEY):
        leases.fence(CONFIG, KEY)
    leases.remove(lease)


def test_a_renewal_after_the_release_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    leases, store = Leases(), MemoryLocks()
    lease = taken(store, "a", 7, renewed=30)
    leases.add(lease)
    leases.remove(lease)
    store.release(KEY, lease.state)
    lease.renew()
    assert not lease.lost
    assert caplog.text == ""


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_holds_nothing_of_its_parents() -> None:
    lease = taken(MemoryLocks(), "a", 7)
    room.leases.add(lease)
    child = os.fork()
    if child == 0:
        os._exit(0 if room.fence_of(CONFIG, KEY) is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert room.fence_of(CONFIG, KEY) == 7
    room.leases.remove(lease)
