from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.errors import ConfigurationError, PlatformError
from prefect_cassandra.kube.kubectl import Release
from prefect_cassandra.kube.restoring import (
    place,
    require_login,
    require_promotable,
    require_queue,
)
from prefect_cassandra.kube.versions import entries, newest_entry
from support.installed import installed
from support.versions import TAG, version

STAGING = Release("pc", "staging", "one")
PRODUCTION = Release("pc", "production", "one")
ELSEWHERE = Release("pc", "production", "two")
BY_TAG = version(1)
BY_DIGEST = version(1, image="registry.example.org/flows@sha256:ff")
VERSIONS = [version(4, "FAILED"), version(3), version(2), version(1, "BEGUN")]


def deployment(**variables: str) -> dict[str, Any]:
    return {"deployment": {"job_variables": variables}}


@pytest.mark.parametrize(
    ("made", "target"), [(BY_TAG, PRODUCTION), (BY_DIGEST, PRODUCTION), (BY_DIGEST, ELSEWHERE)]
)
def test_an_image_goes_where_it_can_be_pulled(made: Any, target: Release) -> None:
    require_promotable(made, STAGING, target)


def test_an_image_without_a_digest_stays_in_its_cluster() -> None:
    with pytest.raises(ConfigurationError, match="has no digest") as caught:
        require_promotable(BY_TAG, STAGING, ELSEWHERE)
    assert "--registry" in caught.value.hint


def test_a_release_is_not_promoted_to_itself() -> None:
    with pytest.raises(ConfigurationError, match="one/staging/pc is both"):
        require_promotable(BY_DIGEST, STAGING, STAGING)


@pytest.mark.parametrize(
    "variables", [{}, {"login": "none"}, {"login": "flights-flow"}, {"login": ""}]
)
def test_a_release_has_the_login_that_runs_ask_for(variables: dict[str, str]) -> None:
    require_login(deployment(**variables), installed())


def test_a_login_that_the_other_release_lacks_is_named() -> None:
    with pytest.raises(PlatformError, match="no login for the role other_flow"):
        require_login(deployment(login="other-flow"), installed())


@pytest.mark.parametrize(
    ("release", "text"), [(STAGING, "one/staging/pc"), (Release("pc", "prefect"), "prefect/pc")]
)
def test_a_release_is_called_by_where_it_is(release: Release, text: str) -> None:
    assert place(release) == text


def test_a_history_marks_what_the_server_has() -> None:
    found = [one.standing for one in entries(VERSIONS, f"v2-{TAG}")]
    assert found == ["failed", "superseded", "in use", "unfinished"]


@pytest.mark.parametrize(
    ("served", "number", "standing"),
    [(None, 3, "in use"), (f"v2-{TAG}", 2, "in use"), ("somebody's", 4, "failed")],
)
def test_one_line_for_a_deployment_is_what_runs_get(
    served: str | None, number: int, standing: str
) -> None:
    found = newest_entry(VERSIONS, served)
    assert (found.version.number, found.standing) == (number, standing)


def test_a_queue_that_the_pool_does_not_have_is_refused() -> None:
    there = installed()
    known = {"deployment": {"work_queue_name": there.work_pool.queues[0]}}
    require_queue(known, there)
    with pytest.raises(PlatformError, match="has no queue gone; it has default"):
        require_queue({"deployment": {"work_queue_name": "gone"}}, there)
