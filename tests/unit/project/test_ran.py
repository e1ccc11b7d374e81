from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.project.ran import IMAGE_LABEL, VERSION_LABEL, image_of, version_of

LABELS = {VERSION_LABEL: "v2-b", IMAGE_LABEL: "flows:b"}
NOW = {"version": "v3-c", "job_variables": {"image": "flows:c"}}


@pytest.mark.parametrize(
    ("run", "version"),
    [
        ({"labels": LABELS, "deployment_version": "v1-a"}, "v2-b"),
        ({"labels": {}, "deployment_version": "v1-a"}, "v1-a"),
        ({"deployment_version": None}, ""),
    ],
)
def test_what_the_worker_started_wins_over_what_was_planned(
    run: dict[str, Any], version: str
) -> None:
    assert version_of(run) == version


@pytest.mark.parametrize(
    ("run", "image"),
    [
        ({"labels": LABELS, "deployment_version": "v3-c"}, "flows:b"),
        ({"deployment_version": "v3-c"}, "flows:c"),
        ({"deployment_version": "v3-c", "job_variables": {"image": "mine"}}, "mine"),
        # The deployment has moved on, and nobody knows any more what the run had.
        ({"deployment_version": "v1-a"}, ""),
    ],
)
def test_a_deployments_image_counts_only_for_runs_of_its_version(
    run: dict[str, Any], image: str
) -> None:
    assert image_of(run, NOW) == image
