"""Where images come from: one value for the project's own, and what the released chart knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from chart.rendering import CHART, REGISTRY, Pod, job_manifest, kinds, named, pods, render, template
from release import chart
from support.snippets import ROOT

if TYPE_CHECKING:
    from pathlib import Path

VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
PUBLIC = {"cassandra:5.0.9", "postgres:17"}
PLATFORM = "prefect-cassandra-platform"
DIGEST = "sha256:" + "ab" * 32


def images(templates: list[Pod]) -> set[str]:
    return {container["image"] for pod in templates for container in pod.containers}


def test_one_value_names_every_image_that_is_not_public(templates: list[Pod]) -> None:
    ours = images(templates) - PUBLIC
    assert ours == {
        f"{REGISTRY}/prefect-cassandra-platform:{VERSION}",
        f"{REGISTRY}/prefect-cassandra-flows:{VERSION}",
    }


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ({}, f"{REGISTRY}/{PLATFORM}:{VERSION}"),
        ({"tag": "c-d"}, f"{REGISTRY}/{PLATFORM}:c-d"),
        ({"digest": DIGEST, "tag": "c-d"}, f"{REGISTRY}/{PLATFORM}@{DIGEST}"),
        ({"repository": "team/platform"}, f"{REGISTRY}/team/platform:{VERSION}"),
        ({"repository": "other.example.org/platform"}, f"other.example.org/platform:{VERSION}"),
        ({"repository": "host:5000/platform"}, f"host:5000/platform:{VERSION}"),
        ({"repository": "localhost/platform"}, f"localhost/platform:{VERSION}"),
    ],
)
def test_a_repository_that_names_its_registry_keeps_it(image: dict[str, str], wanted: str) -> None:
    objects = render({"images": {"platform": image}})
    worker = named(objects, "Deployment", "pc-worker")
    assert worker["spec"]["template"]["spec"]["containers"][0]["image"] == wanted


@pytest.mark.parametrize(
    ("image", "complains"),
    [
        ({}, True),
        # Put on the nodes by hand, as kind does it.
        ({"tag": "c-d"}, False),
        ({"digest": DIGEST}, False),
        ({"repository": "team/platform"}, False),
        ({"repository": "renamed"}, True),
    ],
)
def test_an_image_that_nobody_placed_is_asked_for(
    image: dict[str, str], *, complains: bool
) -> None:
    given = {"images": {"registry": "", "platform": image, "flows": {"tag": "c-d"}}}
    done = template(values=given)
    assert (done.returncode != 0) is complains
    assert ("images.registry: is empty" in done.stderr) is complains
    # The other one has a place, so it is not named.
    assert "prefect-cassandra-flows" not in done.stderr


def test_the_message_names_the_commands_that_help() -> None:
    said = template(values={"images": {"registry": ""}}).stderr
    assert "prefect-cassandra-platform and prefect-cassandra-flows" in said
    assert "make push REGISTRY=registry.example.org/data" in said
    assert "prefect-cassandra flows push" in said


@pytest.mark.parametrize(
    "registry",
    ["https://registry.example.org", "registry.example.org/", "registry.example.org/data:1"],
)
def test_a_registry_is_written_as_in_a_name(registry: str) -> None:
    done = template(values={"images": {"registry": registry}})
    assert done.returncode != 0
    assert "at '/images/registry'" in done.stderr


def test_values_of_an_older_release_need_no_registry() -> None:
    """`helm upgrade --reuse-values` brings values from before there was one."""
    given: dict[str, Any] = {
        "registry": None,
        "platform": {"tag": "c-d"},
        "flows": {"tag": "c-d"},
    }
    done = template(values={"images": given})
    assert done.returncode == 0, done.stderr


def test_the_packaged_chart_knows_where_its_images_are(tmp_path: Path) -> None:
    archive = chart.package(ROOT, REGISTRY, tmp_path)
    assert archive.name == f"prefect-cassandra-{VERSION}.tgz"
    assert chart.images_of(archive) == PUBLIC | {
        f"{REGISTRY}/prefect-cassandra-platform:{VERSION}",
        f"{REGISTRY}/prefect-cassandra-flows:{VERSION}",
    }


def test_a_flow_without_an_image_of_its_own_gets_the_released_one() -> None:
    (config,) = (
        one
        for one in kinds(render("default"), "ConfigMap")
        if "base-job-template.json" in one["data"]
    )
    manifest = job_manifest(json.loads(config["data"]["base-job-template.json"]))
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{REGISTRY}/prefect-cassandra-flows:{VERSION}"
    assert len(pods(render("default"))) > 5
