from __future__ import annotations

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.schema.cluster import FoundKeyspace
from prefect_cassandra.schema.keyspaces import check_replication, keyspace_step

NODES = {"dc1": 3, "dc2": 1}


def found(
    strategy: str = "NetworkTopologyStrategy", *, durable: bool = True, **copies: str
) -> FoundKeyspace:
    return FoundKeyspace(strategy, copies, durable, frozenset())


def test_check_replication_accepts_what_the_nodes_can_hold() -> None:
    check_replication("flights", {"dc1": 3, "dc2": 1}, NODES, "production")


@pytest.mark.parametrize(
    ("copies", "message"),
    [
        ({"dc1": 4}, "4 copies in dc1, which has 3 nodes"),
        ({"dc1": 3, "dc2": 2}, "2 copies in dc2, which has 1 nodes"),
        ({"dc3": 1}, "no datacenter 'dc3'.*did you mean"),
        ({"europe": 1}, "no datacenter 'europe'"),
    ],
)
def test_check_replication_refuses_datacenters_and_copies_that_are_not_there(
    copies: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        check_replication("flights", copies, NODES, "production")
    assert "dc1 (3 nodes), dc2 (1 nodes)" in raised.value.hint


def test_a_missing_keyspace_is_created_durable() -> None:
    step = keyspace_step("flights", {"dc1": 3, "dc2": 1}, None)
    assert step is not None
    assert step.cql == (
        "CREATE KEYSPACE IF NOT EXISTS flights WITH replication = {'class': "
        "'NetworkTopologyStrategy', 'dc1': '3', 'dc2': '1'} AND durable_writes = true"
    )


def test_a_keyspace_as_wanted_needs_nothing() -> None:
    assert keyspace_step("flights", {"dc1": 3}, found(dc1="3")) is None


@pytest.mark.parametrize(
    ("before", "advice"),
    [
        (found(dc1="1"), "nodetool repair --full flights"),
        (found(dc2="3"), "nodetool rebuild -ks flights"),
        (found("SimpleStrategy", replication_factor="1"), "nodetool repair --full flights"),
    ],
)
def test_a_keyspace_that_grows_is_altered_with_advice(before: FoundKeyspace, advice: str) -> None:
    step = keyspace_step("flights", {"dc1": 3}, before)
    assert step is not None
    assert step.cql.startswith("ALTER KEYSPACE flights WITH replication = ")
    assert advice in step.note


@pytest.mark.parametrize("before", [found(dc1="3"), found(dc1="1", durable=False)])
def test_a_keyspace_that_does_not_grow_needs_no_repair(before: FoundKeyspace) -> None:
    step = keyspace_step("flights", {"dc1": 1}, before)
    assert step is not None
    assert "nodetool" not in step.note
