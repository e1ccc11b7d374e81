"""Whether the nodes can get the images: those they have, and on demand a try for each."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.doctor.causes import PULL_REASONS, pull_hint, shortened
from prefect_cassandra.kube.doctor.check import Check, fail, ok, skipped, warn
from prefect_cassandra.kube.doctor.cluster_api import in_namespace
from prefect_cassandra.kube.doctor.facts import containers
from prefect_cassandra.kube.doctor.pods import unschedulable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect_cassandra.kube.doctor.cluster_api import ClusterApi

Object = dict[str, Any]

NAME = "images"
_HUB = ("docker.io/library/", "docker.io/")
_TIMEOUT = 300.0
_PAUSE = 1.0
_USER = 10001


def normalised(name: str) -> str:
    """Return an image's name without what every runtime adds to those of the public hub."""
    return next((name.removeprefix(part) for part in _HUB if name.startswith(part)), name)


def part_of(image: str) -> str:
    """Return which part of the release an image is for, by its name."""
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return "flow" if "flow" in name else name


def on_nodes(nodes: Iterable[Object]) -> dict[str, int]:
    """Return the images that nodes say they have, with how many nodes do.

    A node names the fifty largest only, so one that is not named may be there all the same.
    """
    found: dict[str, int] = {}
    for node in nodes:
        images = (node.get("status") or {}).get("images") or ()
        for name in {normalised(name) for image in images for name in image.get("names") or ()}:
            found[name] = found.get(name, 0) + 1
    return found


def judge_images(wanted: Sequence[str], there: dict[str, int], nodes: int) -> list[Check]:
    """Say of each image whether every node has it already.

    Args:
        wanted: Images of the installation.
        there: From `on_nodes`.
        nodes: How many nodes there are; 0 when they may not be seen.
    """
    found = []
    for image in wanted:
        having = there.get(normalised(image), 0)
        if nodes and having == nodes:
            found.append(ok(NAME, "is on every node", f"image {image}"))
        else:
            evidence = f"is on {having} of {nodes} nodes" if nodes else "the nodes may not be seen"
            hint = "With --pull it is tried whether a node can pull it."
            found.append(Check(NAME, "skipped", evidence, hint, f"image {image}"))
    return found


def pull_pod(images: Sequence[str], pull_secrets: Sequence[str], name: str) -> Object:
    """Return a pod that does nothing but make a node pull these images."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "prefect-cassandra"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # Ends by itself if we are ended before we can delete it.
            "activeDeadlineSeconds": int(_TIMEOUT) * 2,
            "imagePullSecrets": [{"name": secret} for secret in pull_secrets],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": f"image-{number}",
                    "image": image,
                    "command": ["true"],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "1m", "memory": "1Mi"},
                        "limits": {"memory": "32Mi"},
                    },
                }
                for number, image in enumerate(images)
            ],
        },
    }


def judge_pulls(pod: Object, images: Sequence[str]) -> list[Check]:
    """Return a finding for each image whose fate is known."""
    found = []
    states = {state["name"]: state for state in containers(pod)}
    for number, image in enumerate(images):
        state = states.get(f"image-{number}")
        if state is None:
            continue
        waiting = (state.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in PULL_REASONS:
            said = str(waiting.get("message") or waiting["reason"])
            evidence = f"cannot be pulled: {shortened(said)}"
            found.append(fail(NAME, evidence, pull_hint(part_of(image), said), f"image {image}"))
        elif state.get("imageID"):
            found.append(ok(NAME, "was pulled, or was there", f"image {image}"))
    return found


async def try_pulls(
    api: ClusterApi, namespace: str, images: Sequence[str], pull_secrets: Sequence[str]
) -> list[Check]:
    """Make a node pull the images, in a pod that is deleted after.

    Raises:
        PermissionDeniedError: Pods may not be made.
        PlatformError: The cluster refuses the pod, or does not answer.
    """
    name = f"preflight-{secrets.token_hex(4)}"
    await api.create(in_namespace(namespace, "pods"), pull_pod(images, pull_secrets, name))
    path = in_namespace(namespace, "pods", name)
    try:
        return await _watch(api, path, images)
    finally:
        await api.delete(path)


async def _watch(api: ClusterApi, path: str, images: Sequence[str]) -> list[Check]:
    deadline = time.monotonic() + _TIMEOUT
    found: list[Check] = []
    while time.monotonic() < deadline:
        pod = await api.get(path)
        if pod is None:
            return [skipped(NAME, "somebody deleted the pod that tried to pull")]
        if (reason := unschedulable(pod)) is not None:
            hint = "See `capacity`."
            return [warn(NAME, f"no node takes the pod that tries: {shortened(reason)}", hint)]
        found = judge_pulls(pod, images)
        if len(found) == len(images):
            return found
        await asyncio.sleep(_PAUSE)
    known = {check.subject for check in found}
    hint = "Large images take their time; look again."
    late = [
        warn(NAME, f"was not pulled within {_TIMEOUT:.0f} s", hint, f"image {image}")
        for image in images
        if f"image {image}" not in known
    ]
    return [*found, *late]
