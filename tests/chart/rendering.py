"""What helm makes of the chart, for a few profiles of values; each is rendered once."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHART = ROOT / "charts" / "prefect-cassandra"
VALUES = Path(__file__).parent / "values"
RELEASE, NAMESPACE = "pc", "prefect"
# The one value without which nothing can be installed.
REGISTRY = "registry.example.org/data"

PROFILES = {
    "default": [],
    "kind": [CHART / "values-kind.yaml"],
    "production": [CHART / "values-production.yaml"],
    "server-only": [VALUES / "server-only.yaml"],
    "cassandra-only": [VALUES / "cassandra-only.yaml"],
    "tls": [VALUES / "tls.yaml"],
    "existing-secrets": [VALUES / "existing-secrets.yaml"],
    "external-postgres": [VALUES / "external-postgres.yaml"],
    "reconciler": [VALUES / "reconciler.yaml"],
}

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod template: whose it is, its labels, its spec and its workload's claim templates."""

    owner: str
    labels: dict[str, str]
    spec: Object
    claims: tuple[str, ...] = ()
    served: bool = False

    def __str__(self) -> str:
        return self.owner

    @property
    def component(self) -> str:
        """Return what part of the release it is."""
        return self.labels["prefect-cassandra.io/component"]

    @property
    def containers(self) -> list[Object]:
        """Return all of them, those that run first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def helm(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run helm; without it the test is skipped, but not in CI."""
    program = shutil.which("helm")
    if program is None:
        missing = "helm is not on PATH; the tests of the chart need it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return subprocess.run(
        [program, *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def template(
    files: Sequence[Path] = (), values: Object | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with files of values, and with values on top."""
    options = [option for file in files for option in ("--values", file)]
    place = ("--namespace", NAMESPACE, "--kube-version", "1.34.0")
    given = json.dumps(with_registry(values or {}))
    return helm("template", RELEASE, CHART, *place, *options, "--values", "-", given=given)


def with_registry(values: Object) -> Object:
    """Add the one value that an installation needs."""
    images = values.get("images", {})
    return values | {"images": {"registry": REGISTRY} | images}


def text_of(profile: str) -> str:
    """Render a profile anew, as text."""
    done = template(PROFILES[profile])
    assert done.returncode == 0, done.stderr
    return done.stdout


def parsed(text: str) -> list[Object]:
    """Read what helm wrote."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # A list, empty documents left out; the loader is a safe one.
    return [found for found in yaml.load_all(text, loader) if found]


@functools.cache
def _rendered(profile: str) -> list[Object]:
    return parsed(text_of(profile))


@functools.cache
def _rendered_values(values: str) -> list[Object]:
    done = template(values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)


def render(wanted: str | Object) -> list[Object]:
    """Return the objects of a profile, or of values; they are the caller's to change."""
    if isinstance(wanted, str):
        return deepcopy(_rendered(wanted))
    return deepcopy(_rendered_values(json.dumps(wanted)))


def kinds(objects: list[Object], *wanted: str) -> list[Object]:
    """Pick objects by kind."""
    return [found for found in objects if found["kind"] in wanted]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """Return the one object of that kind and name."""
    (found,) = (item for item in kinds(objects, kind) if item["metadata"]["name"] == name)
    return found


def pods(objects: list[Object]) -> list[Pod]:
    """Return every pod that can come of these objects, those of flows included."""
    return [*_workloads(objects), *_flow_pods(objects)]


def _workloads(objects: list[Object]) -> Iterator[Pod]:
    for found in objects:
        owner = f"{found['kind']}/{found['metadata']['name']}"
        spec = found.get("spec", {})
        claims = tuple(claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", []))
        if found["kind"] == "Pod":
            yield Pod(owner, found["metadata"]["labels"], spec)
            continue
        if found["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            served = found["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}
            inner = spec["template"]
            yield Pod(owner, inner["metadata"]["labels"], inner["spec"], claims, served)


def _flow_pods(objects: list[Object]) -> Iterator[Pod]:
    for config in kinds(objects, "ConfigMap"):
        for key, text in config["data"].items():
            if "job-template" in key:
                manifest = job_manifest(json.loads(text))
                inner = manifest["spec"]["template"]
                yield Pod(f"{key} of flows", inner["metadata"]["labels"], inner["spec"])


def job_manifest(base: Object, **variables: Any) -> Object:
    """Fill in the base job template as Prefect does: without a value the key goes too."""
    defaults = {
        name: about["default"]
        for name, about in base["variables"]["properties"].items()
        if "default" in about
    }
    return _filled(base["job_configuration"]["job_manifest"], defaults | variables)


def _filled(node: Any, known: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        filled = {key: _filled(value, known) for key, value in node.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(node, list):
        return [_filled(item, known) for item in node]
    if not isinstance(node, str) or "{{" not in node:
        return node
    whole = node.strip()
    if whole.startswith("{{") and whole.endswith("}}") and whole.count("{{") == 1:
        return known.get(whole[2:-2].strip())
    for name, value in known.items():
        node = node.replace(f"{{{{ {name} }}}}", str(value))
    return node
