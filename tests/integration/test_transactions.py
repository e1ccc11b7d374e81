"""Loads inside of Prefect's transactions, on a real node and a real Prefect server."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, task
from prefect.transactions import atransaction, transaction

from prefect_cassandra import aload_table, load_table
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.ledger.blocks import Provenance
from prefect_cassandra.ledger.repair import Mending
from prefect_cassandra.ledger.undoing import CassandraUndoings
from prefect_cassandra.schema import apply
from prefect_cassandra.tasks.transactions import transaction_around
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.repairing import repair, verdicts
from prefect_cassandra.writes.stamped import Stamped
from support.blocks import cluster_block
from support.prefect_server import DROPPED_SOCKETS, prefect_server  # noqa: F401 -- a fixture
from support.schema import Ground

if TYPE_CHECKING:
    from prefect_cassandra import CassandraCluster
    from prefect_cassandra.driver.session import Session

pytestmark = [pytest.mark.usefixtures("prefect_server"), DROPPED_SOCKETS]

OLD = [{"k": 1, "v": "old"}, {"k": 2, "v": "old"}]
NEW = [{"k": 2, "v": "new"}, {"k": 3, "v": "new"}]


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("transactions"))
    made.write("0001_tables", "committed", "rolled_back", "asynchronous", "crashed")
    apply(made.config, made.installation)
    return made


@pytest.fixture
def cluster(ground: Ground) -> CassandraCluster:
    return cluster_block(ground.role("flow"), keyspace=ground.keyspace)


def values(cluster: CassandraCluster, table: str) -> dict[Any, Any]:
    return dict(cluster.fetch_all(f"SELECT k, v FROM {cluster.keyspace}.{table}"))


def owed(cluster: CassandraCluster, table: str) -> list[Any]:
    return CassandraUndoings(cluster.session()).owed(f"{cluster.keyspace}.{table}")


@task
def stands_in_one() -> bool:
    return transaction_around() is not None


@task
def asks_another() -> bool:
    return stands_in_one()


def test_only_a_transaction_that_somebody_opened_counts() -> None:
    # Prefect opens one for each task run, one inside of the other.
    assert transaction_around() is None

    @flow
    def work() -> list[bool]:
        found = [stands_in_one(), asks_another()]
        with transaction():
            found += [stands_in_one(), asks_another()]
        return found

    assert work() == [False, False, True, True]


def test_a_load_is_undone_with_its_transaction_and_kept_with_its_commit(
    cluster: CassandraCluster,
) -> None:
    @flow
    def work(table: str, *, fails: bool) -> None:
        load_table(cluster, table, OLD)
        with transaction():
            load_table(cluster, table, NEW)
            assert values(cluster, table) == {1: "old", 2: "new", 3: "new"}
            assert len(owed(cluster, table)) == 1
            if fails:
                raise ValueError("no commit")

    work("committed", fails=False)
    assert values(cluster, "committed") == {1: "old", 2: "new", 3: "new"}
    with pytest.raises(ValueError, match="no commit"):
        work("rolled_back", fails=True)
    assert values(cluster, "rolled_back") == {1: "old", 2: "old"}
    assert owed(cluster, "committed") == owed(cluster, "rolled_back") == []


async def test_an_asynchronous_transaction_is_one_too(cluster: CassandraCluster) -> None:
    @flow
    async def work() -> None:
        await aload_table(cluster, "asynchronous", OLD)
        async with atransaction():
            await aload_table(cluster, "asynchronous", NEW)
            raise ValueError("no commit")

    with pytest.raises(ValueError, match="no commit"):
        await work()
    assert values(cluster, "asynchronous") == {1: "old", 2: "old"}


def test_what_a_dead_run_left_uncommitted_is_undone_by_repair(
    ground: Ground, cluster: CassandraCluster
) -> None:
    table = f"{ground.keyspace}.crashed"
    session = shared_session(ground.role("flow"))
    load(session, table, OLD, LoadOptions(stamped=Stamped("first", Provenance(run="first"))))
    run = str(uuid.uuid4())
    kept = Stamped("load", Provenance(run=run), keep_images=timedelta(days=1), transactional=True)
    load(session, table, NEW, LoadOptions(stamped=kept))
    # Its process is gone, and with it Prefect's hooks.
    (alive,) = verdicts(session, lambda _: "alive", table)
    assert alive.mending is Mending.LEAVE
    assert repair(session, [alive]) == []
    dead = verdicts(session, lambda found: "dead" if found == run else "alive", table)
    (did,) = repair(session, dead)
    assert (did.rows_removed, did.cells_restored) == (1, 1)
    assert values(cluster, "crashed") == {1: "old", 2: "old"}
    assert verdicts(session, lambda _: "dead", table) == []
