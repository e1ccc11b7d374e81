from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.kube.doctor.pulling import (
    judge_images,
    judge_pulls,
    normalised,
    on_nodes,
    part_of,
    pull_pod,
)

OURS = "registry.example.org:5000/data/prefect-cassandra-flows@sha256:00"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("docker.io/library/cassandra:5.0.9", "cassandra:5.0.9"),
        ("docker.io/somebody/x:1", "somebody/x:1"),
        ("registry.example.org/x:1", "registry.example.org/x:1"),
    ],
)
def test_the_public_hub_is_not_part_of_a_name(name: str, short: str) -> None:
    assert normalised(name) == short


@pytest.mark.parametrize(
    ("image", "part"),
    [
        (OURS, "flow"),
        ("cassandra:5.0.9", "cassandra"),
        ("registry.example.org:5000/mirror/postgres:17", "postgres"),
        ("prefect-cassandra-platform:1", "prefect-cassandra-platform"),
    ],
)
def test_an_images_name_tells_what_it_is_for(image: str, part: str) -> None:
    assert part_of(image) == part


def test_images_that_every_node_has_are_well() -> None:
    def node(*names: str) -> dict[str, Any]:
        return {"status": {"images": [{"names": list(names)}]}}

    there = on_nodes([node("docker.io/library/postgres:17", "x@sha256:1"), node("postgres:17")])
    first, second = judge_images(["postgres:17", "x@sha256:1"], there, 2)
    assert (first.status, second.status) == ("ok", "skipped")
    assert "--pull" in second.hint


def test_each_image_of_the_pod_that_tries_has_its_fate() -> None:
    refused = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    states = [
        {"name": "image-0", "imageID": "sha256:1", "state": {"terminated": {"exitCode": 0}}},
        {"name": "image-1", "imageID": "", "state": refused},
        {"name": "image-2", "imageID": "", "state": {"waiting": {"reason": "ContainerCreating"}}},
    ]
    pod = {"status": {"containerStatuses": states}}
    pulled, failed = judge_pulls(pod, ["postgres:17", OURS, "late:1"])
    assert (pulled.status, pulled.subject) == ("ok", "image postgres:17")
    assert (failed.status, failed.subject) == ("fail", f"image {OURS}")
    assert "flows push" in failed.hint


def test_the_pod_that_tries_is_restricted_and_ends_by_itself() -> None:
    spec = pull_pod(["a:1", "b:1"], ["registry"], "preflight-1")["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
