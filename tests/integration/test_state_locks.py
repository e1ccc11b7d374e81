"""Locks on a real node: leases, fences, the order of waiting, and holders that die or sleep."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import threading
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest
from prefect.locking.protocol import LockManager

from prefect_cassandra.blocks import CassandraLockManager, CassandraResultStorage
from prefect_cassandra.errors import LockLostError
from prefect_cassandra.schema.model import STATE
from support.blocks import cluster_block
from support.snippets import ROOT
from support.state import child, state_ground
from support.waiting import eventually

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session
    from support.schema import Ground

PATIENCE = 60.0


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return state_ground(node, superuser, tmp_path_factory.mktemp("locks"))


@pytest.fixture
def storage(ground: Ground) -> CassandraResultStorage:
    return CassandraResultStorage(cluster=cluster_block(ground.role(STATE)))


@pytest.fixture
def locks(storage: CassandraResultStorage) -> CassandraLockManager:
    return CassandraLockManager(storage.cluster)


@pytest.fixture
def key() -> str:
    return f"locked/{uuid.uuid4().hex}"


def started(stack: ExitStack, command: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command,
        cwd=ROOT / "tests",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def answer(process: subprocess.Popen[str], word: str = "") -> str:
    """Tell a child to go on, if `word`, and return what it says next."""
    assert process.stdin is not None
    assert process.stdout is not None
    if word:
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def test_it_is_what_prefect_calls_a_lock_manager(locks: CassandraLockManager) -> None:
    assert isinstance(locks, LockManager)


def test_a_lock_has_one_holder_until_it_is_released(locks: CassandraLockManager, key: str) -> None:
    assert not locks.is_locked(key)
    assert locks.wait_for_lock(key, timeout=0)
    assert locks.acquire_lock(key, "a")
    assert locks.acquire_lock(key, "a"), "who holds it gets it again"
    assert locks.is_locked(key)
    assert locks.is_lock_holder(key, "a")
    assert not locks.is_lock_holder(key, "b")
    assert not locks.acquire_lock(key, "b", acquire_timeout=0)
    assert not locks.acquire_lock(key, "b", acquire_timeout=0.2)
    assert not locks.wait_for_lock(key, timeout=0.1)
    first = locks.fence(key, "a")
    assert locks.fence(key, "b") is None
    locks.release_lock(key, "a")
    assert not locks.is_locked(key)
    assert locks.acquire_lock(key, "b", acquire_timeout=0)
    second = locks.fence(key, "b")
    assert first is not None
    assert second is not None
    assert first < second
    locks.release_lock(key, "b")


def test_only_the_holder_releases(locks: CassandraLockManager, key: str) -> None:
    for refused in ("nobody locked it", "a held it"):
        with pytest.raises(ValueError, match=key):
            locks.release_lock(key, "b")
        if refused.startswith("nobody"):
            assert locks.acquire_lock(key, "a")
    assert locks.is_lock_holder(key, "a")
    locks.release_lock(key, "a")


def test_a_lock_ends_when_its_time_is_over(locks: CassandraLockManager, key: str) -> None:
    assert locks.acquire_lock(key, "a", hold_timeout=0.3)
    assert locks.wait_for_lock(key, timeout=PATIENCE)
    assert locks.acquire_lock(key, "b", hold_timeout=30)
    with pytest.raises(LockLostError):
        locks.release_lock(key, "a")
    assert locks.is_lock_holder(key, "b")
    locks.release_lock(key, "b")


def test_a_lease_is_renewed_while_its_holder_lives(
    storage: CassandraResultStorage, key: str
) -> None:
    locks = CassandraLockManager(storage.cluster, lease=1.0)
    assert locks.acquire_lock(key, "a")
    store = locks._store()
    first = store.read(key)
    eventually(lambda: store.now() > first.until + 1_000_000, "two leases", within=PATIENCE)
    assert locks.is_lock_holder(key, "a")
    assert store.read(key).fence == first.fence
    locks.release_lock(key, "a")


def test_waiters_get_it_in_the_order_of_their_coming(locks: CassandraLockManager, key: str) -> None:
    order: list[str] = []

    def wait(name: str) -> None:
        assert locks.acquire_lock(key, name)
        order.append(name)
        locks.release_lock(key, name)

    assert locks.acquire_lock(key, "first")
    waiting = []
    for number, name in enumerate("abcd", start=1):
        thread = threading.Thread(target=wait, args=(name,))
        thread.start()
        waiting.append(thread)
        eventually(lambda number=number: len(locks._store().queue(key)) == number, within=PATIENCE)
    assert not locks.acquire_lock(key, "pushing in", acquire_timeout=0)
    locks.release_lock(key, "first")
    for thread in waiting:
        thread.join(PATIENCE)
    assert order == ["a", "b", "c", "d"]
    assert locks._store().queue(key) == []


async def test_waiting_does_not_block_the_event_loop(locks: CassandraLockManager, key: str) -> None:
    assert await locks.aacquire_lock(key, "a")
    waiting = asyncio.create_task(locks.aacquire_lock(key, "b"))
    freed = asyncio.create_task(locks.await_for_lock(key))
    given_up = asyncio.create_task(locks.aacquire_lock(key, "c"))
    queue = locks._store().queue
    await asyncio.to_thread(eventually, lambda: len(queue(key)) == 2, within=PATIENCE)
    given_up.cancel()
    await asyncio.wait([given_up])
    assert not freed.done()
    locks.release_lock(key, "a")
    assert await waiting
    locks.release_lock(key, "b")
    assert await freed
    assert await asyncio.to_thread(locks._store().queue, key) == []


def test_a_pickled_manager_sees_the_same_locks(locks: CassandraLockManager, key: str) -> None:
    assert locks.acquire_lock(key, "a")
    revived: CassandraLockManager = cloudpickle.loads(cloudpickle.dumps(locks))
    assert revived.is_lock_holder(key, "a")
    revived.release_lock(key, "a")
    assert not locks.is_locked(key)


def test_the_lock_of_a_killed_holder_ends(
    ground: Ground, locks: CassandraLockManager, key: str
) -> None:
    with ExitStack() as stack:
        holder = started(stack, child(ground, "holding", key=key, lease=1.5))
        assert answer(holder) == "held"
        holder.kill()
        assert locks.acquire_lock(key, "heir", acquire_timeout=PATIENCE)
    locks.release_lock(key, "heir")


def test_a_holder_that_slept_beyond_its_lease_writes_nothing(
    ground: Ground, storage: CassandraResultStorage, locks: CassandraLockManager, key: str
) -> None:
    with ExitStack() as stack:
        holder = started(stack, child(ground, "holding", key=key, lease=1.5))
        assert answer(holder) == "held"
        holder.send_signal(signal.SIGSTOP)
        assert locks.acquire_lock(key, "heir", acquire_timeout=PATIENCE)
        # Nothing is stored yet: taking the lock alone shuts the sleeper out.
        holder.send_signal(signal.SIGCONT)
        assert answer(holder, "write") == LockLostError.code
        assert not storage.exists(key)
        storage.write_path(key, b"the heir's")
    assert storage.read_path(key) == b"the heir's"
    locks.release_lock(key, "heir")


def test_a_lock_and_a_storage_meet_though_they_name_the_cluster_differently(
    storage: CassandraResultStorage, key: str
) -> None:
    other = storage.cluster.model_copy(update={"contact_points": ["localhost"]})
    locks = CassandraLockManager(other)
    assert locks.acquire_lock(key, "sleeper")
    # As if it had been stopped for longer than its lease, and an heir came and went.
    locks._store().session.execute(
        "UPDATE prefect_state.records SET fence = ?, holder = null, until = 0 WHERE key = ?"
        " IF holder != null",
        [2**62, key],
    )
    with pytest.raises(LockLostError):
        storage.write_path(key, b"too late")
    assert not storage.exists(key)
    with pytest.raises(LockLostError):
        locks.release_lock(key, "sleeper")


def count_under_locks(ground: Ground, storage: Any, processes: int, keys: int, steps: int) -> None:
    prefix = f"counter/{uuid.uuid4().hex}/"
    with ExitStack() as stack:
        about = {"prefix": prefix, "keys": keys, "steps": steps}
        counting = [
            started(stack, child(ground, "counting", seed=seed, **about))
            for seed in range(processes)
        ]
        for one in counting:
            assert answer(one) == "ready"
        for one in counting:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        added = [json.loads(answer(one)) for one in counting]
    for number, wanted in enumerate(map(sum, zip(*added, strict=True))):
        key = f"{prefix}{number}"
        if not wanted:
            assert not storage.exists(key)
            continue
        counts = storage.read_path(key).split(b",")
        assert {int(count) for count in counts} == {wanted}


def test_no_value_is_lost_or_torn_under_locks(
    ground: Ground, storage: CassandraResultStorage
) -> None:
    count_under_locks(ground, storage, processes=3, keys=2, steps=6)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_value_of_many_keys_and_processes_is_lost_or_torn(
    ground: Ground, storage: CassandraResultStorage
) -> None:
    count_under_locks(ground, storage, processes=16, keys=2000, steps=500)
