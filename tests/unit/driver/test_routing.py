from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from cassandra.metadata import Murmur3Token, TokenMap
from cassandra.policies import HostDistance

from prefect_cassandra.driver.routing import ReplicaRouting


class Host:
    def __init__(self, name: str, datacenter: str = "near", *, is_up: bool = True) -> None:
        self.name, self.datacenter, self.is_up = name, datacenter, is_up
        self.address = name

    def __repr__(self) -> str:
        return self.name


A, B, C = Host("a"), Host("b"), Host("c")
DOWN = Host("down", is_up=False)
FAR = Host("far", "far")


def routing(
    replicas: list[Host], hosts: list[Host], only: frozenset[str] | None = None
) -> ReplicaRouting:
    policy = ReplicaRouting("near", only)
    metadata = SimpleNamespace(get_replicas=lambda _keyspace, _key: replicas)
    policy.populate(SimpleNamespace(metadata=metadata), hosts)
    return policy


def query(key: bytes | None = b"k", avoided: Host | None = None) -> Any:
    return SimpleNamespace(keyspace="ks", routing_key=key, avoided_host=avoided)


def test_replicas_come_first_then_the_other_near_nodes() -> None:
    plan = list(routing([B, C], [A, B, C, FAR]).make_query_plan(None, query()))

    assert set(plan[:2]) == {B, C}
    assert plan[2:] == [A]


def test_work_is_spread_over_the_replicas() -> None:
    policy = routing([B, C], [A, B, C])

    assert {next(iter(policy.make_query_plan(None, query()))) for _ in range(50)} == {B, C}


def test_token_maps_own_list_is_never_reordered() -> None:
    replicas = [A, B, C]
    policy = routing(replicas, [A, B, C])

    for _ in range(50):
        list(policy.make_query_plan(None, query()))

    assert replicas == [A, B, C]


def test_replica_that_is_down_or_far_is_not_preferred() -> None:
    plan = list(routing([DOWN, FAR, B], [A, B, DOWN, FAR]).make_query_plan(None, query()))

    assert plan[0] is B
    assert FAR not in plan


def test_a_range_of_tokens_is_read_from_a_node_that_holds_it() -> None:
    ring = [Murmur3Token(token) for token in (-100, 0, 100)]
    token_map = TokenMap(Murmur3Token, dict(zip(ring, (A, B, C), strict=True)), ring, None)
    token_map.tokens_to_hosts_by_ks["ks"] = dict(zip(ring, ([A], [B], [C]), strict=True))
    policy = ReplicaRouting("near")
    policy.populate(SimpleNamespace(metadata=SimpleNamespace(token_map=token_map)), [A, B, C])

    def first(end: int) -> Host:
        asked = SimpleNamespace(keyspace="ks", routing_key=None, scan_token=end)
        found: Host = next(iter(policy.make_query_plan(None, asked)))
        return found

    # A token ends the range of rows it stands for; behind the last one the ring begins again.
    assert [first(end) for end in (-100, -99, 0, 1, 100, 101, 2**63 - 1)] == [A, B, B, C, C, A, A]


@pytest.mark.parametrize("avoided", [A, B, C])
def test_node_that_just_failed_is_asked_last(avoided: Host) -> None:
    plan = list(routing([A, B], [A, B, C]).make_query_plan(None, query(avoided=avoided)))

    assert plan[-1] is avoided
    assert set(plan) == {A, B, C}


def test_statement_without_a_key_goes_round_all_near_nodes() -> None:
    policy = routing([], [A, B, C, FAR])

    assert set(policy.make_query_plan(None, query(key=None))) == {A, B, C}
    assert set(policy.make_query_plan()) == {A, B, C}
    assert policy.distance(FAR) == HostDistance.IGNORED


def test_only_the_named_nodes_are_used() -> None:
    policy = routing([B, C], [A, B, C], frozenset({"a", "c"}))

    assert list(policy.make_query_plan(None, query())) == [C, A]
    assert [policy.distance(host) for host in (A, B, C)] == [
        HostDistance.LOCAL,
        HostDistance.IGNORED,
        HostDistance.LOCAL,
    ]
