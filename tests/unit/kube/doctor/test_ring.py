from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prefect_cassandra.kube.doctor.ring import Node, judge_agreement, judge_release, judge_ring

UP = Node("10.0.0.1", "dc1", "aaaa", "5.0.9", "NORMAL", is_alive=True)
THREE = [replace(UP, address=f"10.0.0.{number}") for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("nodes", "wanted", "status", "said"),
    [
        (THREE, 3, "ok", "3 nodes, up and normal"),
        ([UP], 1, "ok", "1 node, up and normal"),
        (THREE, 0, "ok", "3 nodes"),
        (THREE[:2], 3, "fail", "2 nodes of 3 have joined"),
        (THREE, 2, "warn", "but 2 are wanted"),
        ([*THREE[:2], replace(UP, address="10.0.0.9", is_alive=False)], 3, "fail",
         "down: 10.0.0.9"),
        ([*THREE[:2], replace(UP, address="10.0.0.9", state="LEAVING")], 3, "warn",
         "10.0.0.9 LEAVING"),
        ([replace(UP, is_alive=None, state="")], 1, "skipped", "may not be read"),
    ],
)  # fmt: skip
def test_the_ring_is_well_when_all_are_there_up_and_normal(
    nodes: list[Node], wanted: int, status: str, said: str
) -> None:
    check = judge_ring(nodes, wanted)
    assert check.status == status
    assert said in check.evidence


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "ok"),
        ({"schema": "bbbb"}, "fail"),
        # One that is down hears of the schema when it comes back.
        ({"schema": "bbbb", "is_alive": False}, "ok"),
    ],
)
def test_nodes_that_are_up_agree_about_the_schema(change: dict[str, Any], status: str) -> None:
    check = judge_agreement([UP, replace(UP, address="10.0.0.2", **change)])
    assert check.status == status
    assert (status == "ok") == ("10.0.0.2" not in check.evidence)


def test_one_version_on_all_nodes() -> None:
    assert judge_release(THREE).status == "ok"
    mixed = judge_release([UP, replace(UP, release="5.0.7")])
    assert (mixed.status, "5.0.7, 5.0.9" in mixed.evidence) == ("warn", True)
