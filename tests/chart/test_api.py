"""Objects as Kubernetes' API knows them: a field it does not know would be dropped in silence."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

from kubernetes_asyncio.client import models
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from chart.rendering import Object, job_manifest, kinds, render

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float)}
# Prefect compares a Job with a list of its own, in which these stand in the wrong place.
PREFECTS = {
    "Job.spec.template.spec.parallelism",
    "Job.spec.template.spec.completions",
}


def unknown(value: Any, kind: str, path: str) -> Iterator[str]:
    """Return the paths of what does not fit a type of the Kubernetes client."""
    shape, inner = re.fullmatch(r"(list|dict)?(?:\[|\(str, )?(.+?)[\])]?", kind).groups()  # type: ignore[union-attr]
    if shape == "list":
        for place, item in enumerate(value if isinstance(value, list) else []):
            yield from unknown(item, inner, f"{path}[{place}]")
    elif shape == "dict":
        for key, item in value.items():
            yield from unknown(item, inner, f"{path}.{key}")
    if shape and not isinstance(value, {"list": list, "dict": dict}[shape]):
        yield path
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]) or isinstance(value, bool) != (kind == "bool"):
            yield path
    elif model := getattr(models, kind, None):
        yield from _fields(value, model, path)


def _fields(value: Object, model: Any, path: str) -> Iterator[str]:
    names = {json_name: name for name, json_name in model.attribute_map.items()}
    for key, item in value.items():
        if key not in names:
            yield f"{path}.{key}"
        elif item is not None:
            yield from unknown(item, model.openapi_types[names[key]], f"{path}.{key}")


def unfit(found: Object) -> list[str]:
    """Return what the API would not know in an object."""
    # cert-manager's objects would be its own; no profile here makes any.
    model = f"V1{found['kind']}"
    assert hasattr(models, model), model
    return list(unknown(found, model, found["kind"]))


def test_kubernetes_knows_every_field(objects: list[Object]) -> None:
    assert [place for item in objects for place in unfit(item)] == []
    assert len(objects) > 15


def test_kubernetes_knows_every_field_of_a_flows_job(profile: str) -> None:
    for config in kinds(render(profile), "ConfigMap"):
        if base := config["data"].get("base-job-template.json"):
            assert set(unfit(job_manifest(json.loads(base)))) == PREFECTS


async def test_prefect_accepts_the_template_and_fills_it_in_as_these_tests_do() -> None:
    (base,) = (
        json.loads(config["data"]["base-job-template.json"])
        for config in kinds(render("tls"), "ConfigMap")
        if "base-job-template.json" in config["data"]
    )
    given = {"name": "late-bee", "login": "flights-flow", "memory_limit": "3Gi"}
    # Without a client Prefect would start a server, to look for references to blocks in vain.
    configuration = await KubernetesWorkerJobConfiguration.from_template_and_values(
        base, given, client=MagicMock(_closed=False)
    )
    assert configuration.job_manifest["spec"] == job_manifest(base, **given)["spec"]
    assert configuration.namespace == "prefect"


def test_unknown_and_misplaced_fields_are_seen() -> None:
    (workload,) = (
        item
        for item in render("default")
        if item["metadata"]["name"] == "pc-server" and item["kind"] == "Deployment"
    )
    workload["spec"]["replicas"] = "1"
    workload["spec"]["template"]["spec"]["containers"][0]["imagePullPolcy"] = "Always"
    assert unfit(workload) == [
        "Deployment.spec.replicas",
        "Deployment.spec.template.spec.containers[0].imagePullPolcy",
    ]
