"""The cluster block against a real node: the database contract, and one session per process."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import cloudpickle
import pytest

from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import DataError, UnreachableError
from support.blocks import cluster_block, fetch_pickled
from support.ports import free_ports

if TYPE_CHECKING:
    from prefect_cassandra.blocks import CassandraCluster
    from prefect_cassandra.driver.session import Session

    from .conftest import RunningNode


@pytest.fixture
def cluster(node: RunningNode) -> CassandraCluster:
    return cluster_block(node.config())


@pytest.fixture
def numbers(cluster: CassandraCluster, keyspace: str) -> str:
    table = f"{keyspace}.numbers"
    cluster.execute(f"CREATE TABLE {table} (p text, n int, PRIMARY KEY (p, n))")
    cluster.execute_many(f"INSERT INTO {table} (p, n) VALUES (?, ?)", [["a", n] for n in range(5)])
    return table


def test_fetches_return_tuples(cluster: CassandraCluster, numbers: str) -> None:
    query = f"SELECT n FROM {numbers} WHERE p = ?"
    assert cluster.fetch_one(query, ["a"]) == (0,)
    assert cluster.fetch_one(query, ["none"]) is None
    assert cluster.fetch_all(query, ["a"]) == [(0,), (1,), (2,), (3,), (4,)]
    assert cluster.fetch_all(query, ["none"]) == []
    named = f"SELECT n FROM {numbers} WHERE p = :p AND n > :n"
    assert cluster.fetch_all(named, {"p": "a", "n": 3}) == [(4,)]


async def test_awaited_fetches_return_tuples(cluster: CassandraCluster, numbers: str) -> None:
    query = f"SELECT n FROM {numbers} WHERE p = ?"
    async with cluster:
        assert await cluster.afetch_one(query, ["a"]) == (0,)
        assert await cluster.afetch_all(query, ["a"]) == [(0,), (1,), (2,), (3,), (4,)]
        await cluster.aexecute(f"DELETE FROM {numbers} WHERE p = 'a' AND n = 0")
        await cluster.aexecute_many(
            f"INSERT INTO {numbers} (p, n) VALUES (:p, :n)", [{"p": "b", "n": n} for n in range(3)]
        )
        assert await cluster.afetch_all(query, ["b"]) == [(0,), (1,), (2,)]
        assert await cluster.afetch_one(query, ["a"]) == (1,)


@pytest.mark.parametrize(("size", "sizes"), [(2, [2, 2, 1]), (5, [5]), (10, [5])])
def test_fetch_many_reads_across_pages(
    cluster: CassandraCluster, numbers: str, size: int, sizes: list[int]
) -> None:
    seen = []
    with cluster:
        while rows := cluster.fetch_many(f"SELECT n FROM {numbers}", size=size, fetch_size=2):
            seen.append(rows)
    assert [len(rows) for rows in seen] == sizes
    assert [n for rows in seen for (n,) in rows] == [0, 1, 2, 3, 4]


async def test_afetch_many_reads_across_pages(cluster: CassandraCluster, numbers: str) -> None:
    seen = []
    async with cluster:
        query = f"SELECT n FROM {numbers}"
        while rows := await cluster.afetch_many(query, size=2, fetch_size=2):
            seen.append(rows)
    assert seen == [[(0,), (1,)], [(2,), (3,)], [(4,)]]


def test_execute_many_names_the_row_it_refuses(cluster: CassandraCluster, numbers: str) -> None:
    with pytest.raises(DataError, match="row 2, column n"):
        cluster.execute_many(f"INSERT INTO {numbers} (p, n) VALUES (?, ?)", [["a", 1], ["a", "x"]])


def test_execute_many_keeps_as_many_under_way_as_the_setting_says(
    cluster: CassandraCluster, numbers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_INTEGRATIONS_CASSANDRA_DRIVER_REQUESTS_IN_FLIGHT", "3")
    seen = []

    class Spy(Pump):
        def __init__(self, session: Session, in_flight: int) -> None:
            seen.append(in_flight)
            super().__init__(session, in_flight)

    monkeypatch.setattr("prefect_cassandra.driver.session.Pump", Spy)
    insert = f"INSERT INTO {numbers} (p, n) VALUES (?, ?)"
    cluster.execute_many(insert, [["c", 1]])
    cluster.execute_many(insert, [["c", 2]], in_flight=5)
    assert seen == [3, 5]


def test_blocks_of_equal_values_share_a_session(node: RunningNode) -> None:
    first, second = cluster_block(node.config()), cluster_block(node.config())
    assert first.session() is second.session()
    assert first.session() is shared_session(first.config())
    other = cluster_block(node.config(), consistency="ONE")
    assert other.session() is not first.session()
    other.close()


def test_close_is_followed_by_a_new_session(node: RunningNode) -> None:
    cluster = cluster_block(node.config(), consistency="ONE")
    before = cluster.session()
    cluster.close()
    assert before.closed
    assert cluster.fetch_one("SELECT key FROM system.local") == ("local",)
    assert cluster.session() is not before
    cluster.close()


def test_entering_a_with_block_tells_of_a_cluster_out_of_reach(node: RunningNode) -> None:
    cluster = cluster_block(node.config()).model_copy(update={"port": free_ports(1)[0]})
    with pytest.raises(UnreachableError), cluster:
        pytest.fail("the body must not run")


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_block_with_a_live_session_works_in_another_process(
    cluster: CassandraCluster, numbers: str, method: str
) -> None:
    expected = cluster.fetch_all(f"SELECT n FROM {numbers}")
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = pool.submit(
            fetch_pickled, cloudpickle.dumps(cluster), f"SELECT n FROM {numbers}"
        ).result(timeout=110)
    assert found == expected
    assert cluster.fetch_all(f"SELECT n FROM {numbers}") == expected
