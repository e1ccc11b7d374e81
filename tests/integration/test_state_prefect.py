"""Prefect's own results, caches, transactions and locks on our storage and our locks."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE
from prefect.client.orchestration import get_client
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.settings import (
    PREFECT_DEFAULT_RESULT_STORAGE_BLOCK,
    PREFECT_RESULTS_PERSIST_BY_DEFAULT,
    temporary_settings,
)
from prefect.transactions import BaseTransaction, IsolationLevel, atransaction, transaction

from prefect_cassandra import CassandraCluster
from prefect_cassandra.blocks import CassandraLockManager, CassandraResultStorage
from prefect_cassandra.errors import LockLostError, ResultMissingError, UnreachableError
from prefect_cassandra.project.deploying import save_blocks
from prefect_cassandra.schema.model import STATE
from prefect_cassandra.state import results as room
from support.blocks import cluster_block
from support.ports import free_ports
from support.prefect_server import DROPPED_SOCKETS, prefect_server  # noqa: F401 -- a fixture
from support.state import state_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect_cassandra.driver.session import Session

pytestmark = [pytest.mark.usefixtures("prefect_server"), DROPPED_SOCKETS]

PATIENCE = 60.0


@pytest.fixture(scope="module")
def storage(
    node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory, prefect_api: Any
) -> CassandraResultStorage:
    """A saved block: Prefect then knows where a result is by its block's id."""
    ground = state_ground(node, superuser, tmp_path_factory.mktemp("prefect-state"))
    assert prefect_api is not None
    block = CassandraResultStorage(cluster=cluster_block(ground.role(STATE)))
    block.save("results", overwrite=True)
    return CassandraResultStorage.load("results")


@pytest.fixture(scope="module")
def locks(storage: CassandraResultStorage) -> CassandraLockManager:
    return CassandraLockManager(storage.cluster)


@pytest.fixture
def folder(tmp_path: Path) -> LocalFileSystem:
    """Another of Prefect's storages, saved because tasks take saved blocks only."""
    block = LocalFileSystem(basepath=str(tmp_path))
    block.save(f"folder-{uuid.uuid4().hex}")
    return block


@pytest.fixture(autouse=True)
def no_transaction() -> Iterator[None]:
    """What is open at the end of a test is left: Prefect does not leave one whose commit raised."""
    token = BaseTransaction.__var__.set(None)
    yield
    BaseTransaction.__var__.reset(token)


@pytest.fixture
def key() -> str:
    return f"transaction/{uuid.uuid4().hex}"


@pytest.fixture
def by_default(storage: CassandraResultStorage) -> Iterator[None]:
    """Everything is kept, and there, as in an installation that says so."""
    assert storage is not None
    chosen = {
        PREFECT_RESULTS_PERSIST_BY_DEFAULT: True,
        PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "cassandra-result-storage/results",
    }
    with temporary_settings(chosen):
        yield


@pytest.mark.usefixtures("by_default")
def test_a_retried_flow_runs_only_what_had_not_finished() -> None:
    ran: list[str] = []

    @task
    def extract(day: int) -> list[int]:
        ran.append(f"extract {day}")
        return [day] * 3

    @task
    def fragile(numbers: list[int]) -> int:
        ran.append("fragile")
        if ran.count("fragile") == 1:
            raise RuntimeError("the first time")
        return sum(numbers)

    @flow(retries=1)
    def pipeline() -> int:
        return fragile(extract(1) + extract(2))

    state = pipeline(return_state=True)
    assert state.result() == 9
    assert ran == ["extract 1", "extract 2", "fragile", "fragile"]


@pytest.mark.usefixtures("by_default")
async def test_asynchronous_flows_keep_their_results_as_well(
    storage: CassandraResultStorage,
) -> None:
    name = f"async/{uuid.uuid4().hex}"

    @task(result_storage_key=name)
    async def answer() -> int:
        return 42

    @flow
    async def asking() -> int:
        return await answer()

    state = await asking(return_state=True)
    assert await state.result() == 42
    assert await storage.aexists(name)
    store = ResultStore(result_storage=storage)
    assert (await store.aread(name)).result == 42


def test_a_cached_task_runs_once_and_again_when_its_cache_is_refreshed(
    storage: CassandraResultStorage, folder: LocalFileSystem
) -> None:
    ran: list[int] = []
    policy = (INPUTS + TASK_SOURCE).configure(key_storage=storage)

    # The keys of the cache are in Cassandra, the results themselves in a folder.
    @task(cache_policy=policy, result_storage=folder)
    def expensive(number: int, salt: str) -> int:
        assert salt
        ran.append(number)
        return number * 2

    @flow
    def cached(salt: str) -> list[int]:
        again = expensive.with_options(refresh_cache=True)
        return [expensive(1, salt), expensive(1, salt), expensive(2, salt), again(1, salt)]

    assert cached(uuid.uuid4().hex) == [2, 2, 4, 2]
    assert ran == [1, 2, 1]


def test_tasks_of_one_flow_choose_their_storages(
    storage: CassandraResultStorage, folder: LocalFileSystem, tmp_path: Path
) -> None:
    here, there = uuid.uuid4().hex, uuid.uuid4().hex

    @task(result_storage=storage, result_storage_key=here, persist_result=True)
    def kept_in_cassandra() -> str:
        return "rows"

    @task(result_storage=folder, result_storage_key=there, persist_result=True)
    def kept_in_a_folder() -> str:
        return "files"

    @flow
    def both() -> tuple[str, str]:
        return kept_in_cassandra(), kept_in_a_folder()

    assert both() == ("rows", "files")
    assert storage.exists(here)
    assert not storage.exists(there)
    assert (tmp_path / there).exists()


@pytest.mark.parametrize("saved", [True, False])
def test_a_committed_transaction_is_not_repeated(
    storage: CassandraResultStorage, key: str, *, saved: bool
) -> None:
    if not saved:
        storage = CassandraResultStorage(cluster=storage.cluster)
    ran = []
    for _ in range(2):
        # A store of its own each time, as in another process: nothing is remembered here.
        with transaction(key=key, store=ResultStore(result_storage=storage)) as open_one:
            if open_one.is_committed():
                record = open_one.read()
                assert record is not None
                assert record.result == {"rows": 3}
                continue
            ran.append("wrote")
            open_one.stage({"rows": 3})
    assert ran == ["wrote"]


@pytest.mark.usefixtures("by_default")
def test_a_failed_transaction_rolls_back_and_keeps_nothing(
    storage: CassandraResultStorage, key: str
) -> None:
    undone: list[str] = []

    @task(result_storage_key=key)
    def write() -> str:
        return "written"

    @write.on_rollback
    def remove(_transaction: Any) -> None:
        undone.append("removed")

    @task
    def check() -> None:
        raise ValueError("not enough data")

    @flow
    def pipeline() -> None:
        with transaction():
            write()
            check()

    assert pipeline(return_state=True).is_failed()
    assert undone == ["removed"]
    assert not storage.exists(key)


def test_serializable_transactions_of_one_key_run_one_after_the_other(
    storage: CassandraResultStorage, locks: CassandraLockManager, key: str
) -> None:
    inside, most, ran = 0, 0, []
    guard = threading.Lock()

    def once(number: int) -> int:
        nonlocal inside, most
        store = ResultStore(result_storage=storage, lock_manager=locks)
        level = IsolationLevel.SERIALIZABLE
        with transaction(key=key, store=store, isolation_level=level) as one:
            with guard:
                inside += 1
                most = max(most, inside)
            if not one.is_committed():
                ran.append(number)
                one.stage(number)
            with guard:
                inside -= 1
        record = store.read(key)
        return int(record.result)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(once, range(4)))
    assert most == 1
    assert results == ran * 4
    assert not locks.is_locked(key)


async def test_an_asynchronous_serializable_transaction_commits_and_frees_its_lock(
    storage: CassandraResultStorage, locks: CassandraLockManager, key: str
) -> None:
    store = ResultStore(result_storage=storage, lock_manager=locks)
    level = IsolationLevel.SERIALIZABLE
    async with atransaction(key=key, store=store, isolation_level=level) as one:
        assert locks.is_locked(key)
        one.stage("value")
    assert not locks.is_locked(key)
    assert (await store.aread(key)).result == "value"


def test_a_transaction_whose_lock_was_taken_over_commits_nothing(
    storage: CassandraResultStorage, locks: CassandraLockManager, key: str
) -> None:
    store = ResultStore(result_storage=storage, lock_manager=locks)
    session = locks._store().session
    rolled_back: list[str] = []

    def sleep_beyond_the_lease() -> None:
        level = IsolationLevel.SERIALIZABLE
        with transaction(key=key, store=store, isolation_level=level) as one:
            # As if this process had been stopped, and an heir came and went.
            session.execute(
                "UPDATE prefect_state.records SET fence = ?, holder = null, until = 0"
                " WHERE key = ? IF holder != null",
                [2**62, key],
            )
            one.stage("too late", on_rollback_hooks=[lambda _: rolled_back.append("undone")])

    with pytest.raises(LockLostError):
        sleep_beyond_the_lease()
    assert rolled_back == ["undone"]
    assert not storage.exists(key)


def test_a_cached_task_of_several_flows_runs_once_under_locks(
    storage: CassandraResultStorage, locks: CassandraLockManager
) -> None:
    ran: list[str] = []
    policy = INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=locks)

    @task(cache_policy=policy, result_storage=storage, persist_result=True)
    def download(source: str) -> str:
        ran.append(source)
        return source.upper()

    @flow
    def downloading(source: str) -> str:
        return download(source)

    source = uuid.uuid4().hex
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(downloading, [source] * 3)) == {source.upper()}
    assert ran == [source]


@pytest.fixture
def out_of_reach(storage: CassandraResultStorage) -> CassandraResultStorage:
    """A saved storage whose cluster nobody answers for."""
    (port,) = free_ports(1)
    cluster = CassandraCluster(contact_points=["127.0.0.1"], port=port, request_timeout=1.0)
    assert storage is not None
    block = CassandraResultStorage(cluster=cluster)
    block.save("out-of-reach", overwrite=True)
    return CassandraResultStorage.load("out-of-reach")


@pytest.mark.parametrize("why", ["too large", "out of reach"])
def test_a_run_completes_though_its_result_cannot_be_kept(
    why: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(room, "LARGEST", 1000)
    chosen = request.getfixturevalue("storage" if why == "too large" else "out_of_reach")
    rolled_back: list[str] = []

    @task(result_storage=chosen, result_storage_key=key)
    def answer() -> str:
        return "x" * 2000

    @answer.on_rollback
    def undo(_transaction: Any) -> None:
        rolled_back.append("undone")

    @flow(result_storage=chosen, persist_result=True)
    def asking() -> str:
        return answer()

    final = asking(return_state=True)
    assert final.is_completed()
    assert final.result() == "x" * 2000, "who called it has the value"
    assert rolled_back == ["undone"]
    with get_client(sync_client=True) as client:
        assert final.state_details.flow_run_id is not None
        told = client.read_flow_run(final.state_details.flow_run_id).state
    assert told is not None
    assert told.is_completed()
    with pytest.raises(ResultMissingError if why == "too large" else UnreachableError):
        told.result(retry_result_failure=False)


@pytest.fixture
def deployed(storage: CassandraResultStorage) -> Iterator[list[str]]:
    """What `local deploy` hands to the saving of blocks, on a server without a default storage."""
    cluster = storage.cluster
    assert cluster.credentials is not None
    connection = {"contact_points": cluster.contact_points, "port": cluster.port}
    yield [json.dumps(connection), f"prefect-state={cluster.credentials.folder}"]
    with get_client(sync_client=True) as client:
        client.clear_server_default_result_storage()
    CassandraResultStorage.delete("prefect-state")


def test_a_deployed_login_for_the_state_keeps_results_without_being_asked(
    deployed: list[str],
) -> None:
    save_blocks(*deployed)
    name = f"default/{uuid.uuid4().hex}"
    ran: list[str] = []

    @task(result_storage_key=name)
    def answer() -> int:
        return 42

    @task
    def poll(what: str) -> int:
        ran.append(what)
        return len(ran)

    @flow
    def asking() -> list[int]:
        fresh = poll.with_options(cache_policy=NO_CACHE)
        return [answer(), poll("a"), poll("a"), fresh("b"), fresh("b")]

    with temporary_settings({PREFECT_RESULTS_PERSIST_BY_DEFAULT: False}):
        assert asking() == [42, 1, 1, 2, 3]
    by_default = CassandraResultStorage.load("prefect-state")
    assert ResultStore(result_storage=by_default).read(name).result == 42


def test_a_deploy_leaves_what_was_chosen_since(
    deployed: list[str], storage: CassandraResultStorage
) -> None:
    def default() -> Any:
        with get_client(sync_client=True) as client:
            return client.read_server_default_result_storage().default_result_storage_block_id

    save_blocks(*deployed)
    block = CassandraResultStorage.load("prefect-state")
    assert default() == block._block_document_id
    block.retention_days = 3
    block.save("prefect-state", overwrite=True)
    with get_client(sync_client=True) as client:
        client.update_server_default_result_storage(storage._block_document_id)
    save_blocks(*deployed)
    assert default() == storage._block_document_id
    assert CassandraResultStorage.load("prefect-state").retention_days == 3
    with get_client(sync_client=True) as client:
        client.clear_server_default_result_storage()
    save_blocks(*deployed)
    assert default() is None, "none was chosen"
