"""What an installation would make, by rendering the chart as Helm does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from prefect_cassandra.kube.doctor.quantity import Amount, amount
from prefect_cassandra.kube.release import CHART, helm, images_in
from prefect_cassandra.kube.tools import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from prefect_cassandra.kube.kubectl import Release

Object = dict[str, Any]

_TEMPLATE = "base-job-template.json"
# What stays; hooks come one after the other and go.
_LASTING = {"Deployment", "StatefulSet", "DaemonSet"}


@dataclass(frozen=True, slots=True)
class Need:
    """One pod that has to find a node.

    Args:
        name: Whose it is.
        wants: What its containers request.
        spec: Of the pod, for where it may run.
    """

    name: str
    wants: Amount
    spec: Object


def render(root: Path, release: Release, values: Sequence[Path], version: str) -> list[Object]:
    """Return the objects of an installation with these values.

    Secrets are left out: what is in them is random here and secret elsewhere.

    Args:
        root: Folder of the project.
        release: Its name and namespace.
        values: Files of values; the last one wins.
        version: Of the cluster; without one, Helm takes that of a library of its own.

    Raises:
        ToolError: Helm refuses the values; quotes why.
    """
    files = [word for file in values for word in ("--values", str(file))]
    words = ("template", release.name, str(root / CHART), "--kube-version", version)
    command = helm(release, *words, *files)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = yaml.load_all(run(command), loader)
    return [one for one in objects if one and one["kind"] != "Secret"]


def needs(objects: Iterable[Object]) -> list[Need]:
    """Return every pod that is there for good, replicas each for themselves."""
    return [
        Need(f"{one['metadata']['name']}-{ordinal}", requested(spec), spec)
        for one in objects
        if one["kind"] in _LASTING
        for spec in [one["spec"]["template"]["spec"]]
        for ordinal in range(int(one["spec"].get("replicas", 1)))
    ]


def flow_need(objects: Iterable[Object]) -> Need | None:
    """Return what a flow's pod gets by default; None when the release has no work pool."""
    for one in objects:
        text = (one.get("data") or {}).get(_TEMPLATE) if one["kind"] == "ConfigMap" else None
        if text:
            base = json.loads(text)
            known = {
                name: about.get("default")
                for name, about in base["variables"]["properties"].items()
            }
            wants = {
                "cpu": str(known.get("cpu_request") or 0),
                "memory": str(known.get("memory_request") or 0),
            }
            spec = {"nodeSelector": known.get("node_selector") or {}}
            return Need("a flow", amount(wants), spec)
    return None


def requested(spec: Object) -> Amount:
    """Return what a pod asks for: all containers, or the largest of those that run first."""
    together = Amount()
    for container in spec.get("containers") or ():
        together += amount((container.get("resources") or {}).get("requests") or {})
    for container in spec.get("initContainers") or ():
        first = amount((container.get("resources") or {}).get("requests") or {})
        together = Amount(max(together.cpu, first.cpu), max(together.memory, first.memory))
    return together


def images(objects: Iterable[Object]) -> list[str]:
    """Return every image that the release runs, that of flows included."""
    found: set[str] = set()
    for one in objects:
        found.update(images_in(one))
        text = (one.get("data") or {}).get(_TEMPLATE) if one["kind"] == "ConfigMap" else None
        if text:
            image = json.loads(text)["variables"]["properties"]["image"].get("default")
            found.update([image] if image else [])
    return sorted(found)


def storage_classes(objects: Iterable[Object]) -> dict[str, list[str]]:
    """Return the storage class of each claim that is made; `` stands for the default one."""
    found: dict[str, list[str]] = {}
    for one in objects:
        for claim in _claims(one):
            name = claim["spec"].get("storageClassName") or ""
            found.setdefault(name, []).append(one["metadata"]["name"])
    return found


def _claims(one: Object) -> Iterator[Object]:
    if one["kind"] == "PersistentVolumeClaim":
        yield one
    elif one["kind"] == "StatefulSet":
        yield from one["spec"].get("volumeClaimTemplates") or ()


def pull_secrets(objects: Iterable[Object]) -> list[str]:
    """Return the Secrets with which images are pulled."""
    return sorted(
        {
            secret["name"]
            for one in objects
            if one["kind"] in _LASTING
            for secret in one["spec"]["template"]["spec"].get("imagePullSecrets") or ()
        }
    )
