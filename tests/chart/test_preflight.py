"""What `prefect-cassandra preflight` reads out of the rendered chart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from chart.rendering import CHART, RELEASE, named, pods, render, with_registry
from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.doctor import rendered
from prefect_cassandra.kube.doctor.rights import wanted_rights
from prefect_cassandra.kube.kubectl import Release
from support.snippets import ROOT

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
HERE = Release(RELEASE, "prefect")


def test_the_pods_that_stay_are_counted_with_their_replicas() -> None:
    needs = {one.name: one.wants for one in rendered.needs(render("default"))}
    nodes = [name for name in needs if name.startswith("pc-cassandra-")]
    assert nodes == ["pc-cassandra-0", "pc-cassandra-1", "pc-cassandra-2"]
    assert needs["pc-cassandra-0"].memory == 4 * GIB
    assert {name.rpartition("-")[0] for name in needs} == {
        "pc-cassandra",
        "pc-postgres",
        "pc-server",
        "pc-worker",
    }


def test_a_flow_gets_the_defaults_of_the_job_template() -> None:
    need = rendered.flow_need(render("kind"))
    assert need is not None
    assert (need.wants.cpu, need.wants.memory) == (0.05, 256 * 2**20)
    assert rendered.flow_need(render({"worker": {"enabled": False}})) is None


def test_every_image_of_every_pod_is_found() -> None:
    objects = render("kind")
    wanted = {container["image"] for pod in pods(objects) for container in pod.containers}
    assert set(rendered.images(objects)) == wanted
    assert len(wanted) == 4


def test_storage_classes_are_those_of_the_claims() -> None:
    values = {"postgres": {"storage": {"storageClass": "fast"}}}
    assert rendered.storage_classes(render(values)) == {
        "": ["pc-cassandra"],
        "fast": ["pc-postgres"],
    }


def test_secrets_for_images_are_found() -> None:
    assert rendered.pull_secrets(render("existing-secrets")) == ["registry"]
    assert rendered.pull_secrets(render("default")) == []


def test_the_rights_of_the_roles_are_among_those_that_are_asked_for() -> None:
    objects = render("default")
    role = named(objects, "Role", "pc-worker")
    asked = {
        (one.group, f"{one.resource}/{one.subresource}".rstrip("/"), one.verb)
        for one in wanted_rights(objects, {})
    }
    given = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert given
    assert given <= asked


def test_helm_renders_for_the_version_of_the_cluster_and_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(with_registry({})))
    objects = rendered.render(ROOT, HERE, [CHART / "values-kind.yaml", file], "v1.34.4")
    assert len(objects) > 15
    assert "Secret" not in {one["kind"] for one in objects}


def test_values_that_the_chart_refuses_are_quoted(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("server: {enabled: false}\n")
    with pytest.raises(ToolError, match=r"externalServer\.apiUrl"):
        rendered.render(ROOT, HERE, [file], "v1.34.4")
