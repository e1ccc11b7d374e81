from __future__ import annotations

from prefect_cassandra.kube.reconciling.decisions import Rules, decide
from prefect_cassandra.kube.reconciling.patience import Patience
from support.reconciling import run, sight


def test_only_what_every_look_came_to_is_done() -> None:
    found = run("CRASHED")
    action = decide(found, (), sight(found), Rules())
    assert action is not None
    patience = Patience(30)
    assert patience.due([action], 100.0) == []
    assert patience.due([action], 129.9) == []
    assert patience.due([action], 130.0) == [action]
    # A look that came to something else begins anew.
    assert patience.due([], 131.0) == []
    assert patience.due([action], 170.0) == []
    assert patience.due([action], 200.0) == [action]


def test_without_a_time_to_settle_one_look_is_enough() -> None:
    found = run("CRASHED")
    action = decide(found, (), sight(found), Rules())
    assert action is not None
    assert Patience(0).due([action], 0.0) == [action]
