"""`prefect-cassandra preflight`: whether a cluster has what an installation needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from prefect_cassandra.errors import ConfigurationError, PermissionDeniedError, ToolError
from prefect_cassandra.kube.doctor import platform, pulling, rendered, rights
from prefect_cassandra.kube.doctor.capacity import judge_capacity, rooms
from prefect_cassandra.kube.doctor.check import Check, Report, fail, ok
from prefect_cassandra.kube.doctor.cluster_api import connected, in_namespace
from prefect_cassandra.kube.release import CHART
from prefect_cassandra.kube.tools import require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from prefect_cassandra.kube.doctor.cluster_api import ClusterApi
    from prefect_cassandra.kube.kubectl import Release

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be installed where.

    Args:
        root: Folder of the project.
        release: The Helm release that there will be.
        values: Files of values, the last one wins.
        pull: Try to pull the images in a pod.
    """

    root: Path
    release: Release
    values: Sequence[Path] = ()
    pull: bool = False


def preflight(plan: Plan, tell: Callable[[str], None]) -> Report:
    """Compare what the values need with what the cluster has.

    Args:
        plan: What is to be installed.
        tell: Called with a line for each thing that is about to be looked at.

    Raises:
        ConfigurationError: A file is missing, helm is not there, or no way leads into the cluster.
        PlatformError: The cluster does not answer.
    """
    require("helm")
    chart = _chart(plan.root)
    for file in plan.values:
        if not file.is_file():
            raise ConfigurationError(f"There is no file of values {file}.")
    tell("asking the cluster")
    version = asyncio.run(_version(plan.release.context))
    first = platform.judge_version(version, chart["kubeVersion"])
    if first.status == "fail":
        # Helm would refuse to render for it.
        return Report((first,))
    tell(f"rendering {CHART}")
    try:
        objects = rendered.render(plan.root, plan.release, plan.values, version)
    except ToolError as error:
        hint = "Mend the values; everything else depends on them and was not looked at."
        return Report((first, fail("values", error.message, hint)))
    values = ok("values", f"they render to {len(objects)} objects beside Secrets")
    return Report((first, values, *asyncio.run(_look(plan, objects, tell))))


def _chart(root: Path) -> Object:
    file = root / CHART / "Chart.yaml"
    if not file.is_file():
        raise ConfigurationError(
            f"{root.resolve()} holds no {CHART}.",
            hint="Run it in the folder of the project, or name that folder with --root.",
        )
    found: Object = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


async def _version(context: str) -> str:
    async with connected(context) as api:
        return str((await api.get("/version") or {}).get("gitVersion", ""))


async def _look(plan: Plan, objects: Sequence[Object], tell: Callable[[str], None]) -> list[Check]:
    place, release = plan.release.namespace, plan.release
    async with connected(release.context) as api:
        served = await _served(api, {str(one["apiVersion"]) for one in objects})
        nodes = await _seen(api, "/api/v1/nodes")
        classes = await _seen(api, "/apis/storage.k8s.io/v1/storageclasses")
        checks = [
            platform.judge_apis(objects, served),
            await _namespace(api, place),
            *platform.judge_storage(rendered.storage_classes(objects), classes),
            await _rights(api, plan, objects, served),
            await _capacity(api, release.name, objects, nodes or []),
            platform.judge_network(
                await _network(api),
                has_policies=any(one["kind"] == "NetworkPolicy" for one in objects),
            ),
        ]
        images = rendered.images(objects)
        if plan.pull:
            tell(f"pulling {len(images)} images")
            secrets = rendered.pull_secrets(objects)
            return [*checks, *await pulling.try_pulls(api, place, images, secrets)]
        there = pulling.on_nodes(nodes or [])
        return [*checks, *pulling.judge_images(images, there, len(nodes or []))]


async def _seen(api: ClusterApi, path: str) -> list[Object] | None:
    """Return a list, None when the caller may not see it."""
    try:
        return await api.items(path)
    except PermissionDeniedError:
        return None


async def _served(api: ClusterApi, versions: set[str]) -> dict[tuple[str, str], str]:
    """Return API version and kind to resource, for the versions that are asked for."""

    async def one(version: str) -> dict[tuple[str, str], str]:
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        found = await api.get(path) or {}
        return {
            (version, each["kind"]): each["name"]
            for each in found.get("resources") or ()
            if "/" not in each["name"]
        }

    merged: dict[tuple[str, str], str] = {}
    for found in await asyncio.gather(*(one(version) for version in sorted(versions))):
        merged |= found
    return merged


async def _namespace(api: ClusterApi, name: str) -> Check:
    try:
        return platform.judge_namespace(await api.get(f"/api/v1/namespaces/{name}"), name)
    except PermissionDeniedError:
        return Check("namespace", "skipped", f"namespace {name} may not be seen")


async def _rights(
    api: ClusterApi,
    plan: Plan,
    objects: Sequence[Object],
    served: dict[tuple[str, str], str],
) -> Check:
    place = plan.release.namespace

    async def may(right: rights.Right) -> bool:
        answer = await api.create(rights.REVIEWS, rights.review(right, place))
        return bool((answer.get("status") or {}).get("allowed"))

    wanted = rights.wanted_rights(objects, served)
    answers = await asyncio.gather(*(may(right) for right in wanted))
    return rights.judge_rights(dict(zip(wanted, answers, strict=True)), place)


async def _capacity(
    api: ClusterApi, release: str, objects: Sequence[Object], nodes: Sequence[Object]
) -> Check:
    # Pods of namespaces that may not be seen are not counted; then more seems free than is.
    pods = await _seen(api, "/api/v1/pods") or []
    there = rooms(nodes, pods, release)
    return judge_capacity(rendered.needs(objects), rendered.flow_need(objects), there)


async def _network(api: ClusterApi) -> list[Object] | None:
    """Return the DaemonSets of the namespaces in which networks live, None if none may be seen."""
    try:
        return await api.items("/apis/apps/v1/daemonsets")
    except PermissionDeniedError:
        pass
    try:
        return await api.items(in_namespace("kube-system", "daemonsets", group="apps/v1"))
    except PermissionDeniedError:
        return None
