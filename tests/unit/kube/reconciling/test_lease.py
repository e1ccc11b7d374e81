"""One at a time: who gets the Lease, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prefect_cassandra.kube.reconciling.lease import Claim, given_up, taken

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINE, OTHER = Claim("prefect", "pc-reconciler", "me"), Claim("prefect", "pc-reconciler", "other")


def held(by: Claim, seconds_ago: float) -> dict[str, Any]:
    found = taken(None, by, NOW - timedelta(seconds=seconds_ago))
    assert found is not None
    found["metadata"]["resourceVersion"] = "7"
    return found


@pytest.mark.parametrize(
    ("found", "is_free"),
    [
        (None, True),
        (held(OTHER, 29), False),
        (held(OTHER, 30), True),
        (held(MINE, 29), True),
        ({"metadata": {}, "spec": None}, True),
        # Somebody else's clock is ahead: it is held, not free.
        (held(OTHER, -5), False),
    ],
)
def test_a_lease_is_free_when_nobody_renews_it(
    found: dict[str, Any] | None, *, is_free: bool
) -> None:
    assert (taken(found, MINE, NOW) is not None) is is_free


def test_renewing_keeps_the_beginning_and_a_change_of_hands_is_counted() -> None:
    renewed = taken(held(MINE, 10), MINE, NOW)
    assert renewed is not None
    assert renewed["spec"]["acquireTime"] == "2030-01-01T11:59:50.000000Z"
    assert renewed["spec"]["renewTime"] == "2030-01-01T12:00:00.000000Z"
    assert renewed["spec"]["leaseTransitions"] == 1
    # Whoever wrote after it was read wins.
    assert renewed["metadata"]["resourceVersion"] == "7"
    inherited = taken(held(OTHER, 60), MINE, NOW)
    assert inherited is not None
    assert inherited["spec"]["leaseTransitions"] == 2
    assert inherited["spec"]["acquireTime"] == inherited["spec"]["renewTime"]


def test_only_the_holder_gives_it_up_and_then_it_is_free() -> None:
    assert given_up(held(OTHER, 1), MINE) is None
    free = given_up(held(MINE, 1), MINE)
    assert free is not None
    assert "holderIdentity" not in free["spec"]
    assert taken(free, OTHER, NOW) is not None
