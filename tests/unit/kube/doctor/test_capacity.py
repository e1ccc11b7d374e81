from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.kube.doctor.capacity import Room, admits, judge_capacity, place, rooms
from prefect_cassandra.kube.doctor.quantity import Amount, number
from prefect_cassandra.kube.doctor.rendered import Need, requested

GIB = 2.0**30


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2.0), ("1536Mi", 1.5 * GIB), ("1G", 1e9), ("1.5", 1.5), (0, 0.0)],
)
def test_quantities_are_read_as_kubernetes_means_them(text: Any, value: float) -> None:
    assert number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "2X", "many"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no quantity"):
        number(text)


def need(name: str, memory: float, cpu: float = 0.1, **spec: Any) -> Need:
    return Need(name, Amount(cpu, memory * GIB), spec)


def room(name: str, memory: float, **more: Any) -> Room:
    return Room(name, Amount(4, memory * GIB), more.get("labels", {}), more.get("taints", ()))


def test_a_pod_wants_all_its_containers_or_the_largest_that_runs_first() -> None:
    def container(cpu: str, memory: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu, "memory": memory}}}

    spec = {
        "containers": [container("100m", "1Gi"), container("100m", "1Gi")],
        "initContainers": [container("1", "512Mi")],
    }
    assert requested(spec) == Amount(1.0, 2 * GIB)


def test_large_pods_are_placed_first_so_that_small_ones_do_not_stand_in_their_way() -> None:
    needs = [need("small", 1), need("small-too", 1), need("large", 3)]
    without, left = place(needs, [room("a", 3), room("b", 2)])
    assert without == []
    assert {one.name: one.free.memory for one in left} == {"a": 0.0, "b": 0.0}


def test_what_finds_no_node_is_named() -> None:
    # There is enough in all, but not on any one node.
    check = judge_capacity([need("pc-cassandra-0", 3)], None, [room("a", 2), room("b", 2)])
    assert check.status == "fail"
    assert "no node has room for pc-cassandra-0" in check.evidence


def test_a_flow_needs_a_place_beside_the_release() -> None:
    flow = need("a flow", 1)
    assert judge_capacity([need("x", 2)], flow, [room("a", 2.5)]).status == "warn"
    assert judge_capacity([need("x", 2)], flow, [room("a", 3)]).status == "ok"
    assert judge_capacity([need("x", 2)], None, [room("a", 2)]).status == "ok"


def test_nodes_that_may_not_be_seen_are_no_failure() -> None:
    assert judge_capacity([need("x", 2)], None, []).status == "skipped"


TAINT = {"key": "dedicated", "value": "data", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("spec", "is_admitted"),
    [
        ({}, False),
        ({"tolerations": [{"key": "dedicated", "value": "data"}]}, True),
        ({"tolerations": [{"key": "dedicated", "value": "other"}]}, False),
        ({"tolerations": [{"operator": "Exists"}]}, True),
        ({"tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}]},
         False),
        ({"tolerations": [{"operator": "Exists"}], "nodeSelector": {"pool": "x"}}, False),
    ],
)  # fmt: skip
def test_taints_and_labels_keep_pods_away(spec: Any, is_admitted: bool) -> None:  # noqa: FBT001
    assert admits(room("a", 1, taints=[TAINT], labels={"pool": "data"}), spec) is is_admitted


def test_what_other_pods_asked_for_is_not_free_and_our_own_is() -> None:
    def pod(release: str, phase: str = "Running") -> dict[str, Any]:
        requests = {"cpu": "1", "memory": "1Gi"}
        return {
            "metadata": {"labels": {"app.kubernetes.io/instance": release}},
            "spec": {"nodeName": "a", "containers": [{"resources": {"requests": requests}}]},
            "status": {"phase": phase},
        }

    def node(name: str, **spec: Any) -> dict[str, Any]:
        allocatable = {"cpu": "4", "memory": "8Gi"}
        return {"metadata": {"name": name}, "spec": spec, "status": {"allocatable": allocatable}}

    nodes = [node("a"), node("closed", unschedulable=True)]
    pods = [pod("other"), pod("pc"), pod("other", "Succeeded")]
    (found,) = rooms(nodes, pods, "pc")
    assert found.free == Amount(3.0, 7 * GIB)
