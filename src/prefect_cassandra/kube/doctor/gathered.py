"""Everything that is fetched from Kubernetes before the doctor decides or connects anywhere."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError, PermissionDeniedError
from prefect_cassandra.kube.doctor.cluster_api import connected, in_namespace
from prefect_cassandra.kube.doctor.facts import Facts, read_facts
from prefect_cassandra.kube.installation import THING, installation_in
from prefect_cassandra.kube.pool import Pool, pool_of

if TYPE_CHECKING:
    from prefect_cassandra.kube.doctor.cluster_api import ClusterApi
    from prefect_cassandra.kube.installation import InstalledRelease
    from prefect_cassandra.kube.kubectl import Release

_TEMPLATE, _POOL = "base-job-template.json", "pool.json"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was fetched.

    Attributes:
        facts: The release's objects.
        installed: What the chart says of it.
        pool: The work pool as the chart wants it; None when there is none, or it cannot be read.
    """

    facts: Facts
    installed: InstalledRelease
    pool: Pool | None = None


def gather(release: Release, *, inside: bool) -> Gathered:
    """Fetch everything.

    Args:
        release: Which one.
        inside: Whether this is a pod of it, whose own ServiceAccount asks.

    Raises:
        ConfigurationError: There is no way into the cluster.
        PlatformError: There is no such release, or the cluster does not answer.
        PermissionDeniedError: The caller may not read the release's objects.
    """
    return asyncio.run(_gather(release, inside=inside))


async def _gather(release: Release, *, inside: bool) -> Gathered:
    async with connected(release.context, inside=inside) as api:
        name = release.object(THING)
        found = await api.get(in_namespace(release.namespace, "configmaps", name))
        installed = installation_in(found, release)
        facts, pool = await asyncio.gather(read_facts(api, release), _pool(api, release))
        return Gathered(facts, installed, pool)


async def _pool(api: ClusterApi, release: Release) -> Pool | None:
    name = release.object("work-pool")
    try:
        found = await api.get(in_namespace(release.namespace, "configmaps", name))
        data = (found or {}).get("data") or {}
        return pool_of(json.loads(data[_TEMPLATE]), json.loads(data[_POOL]), _TEMPLATE, _POOL)
    except (KeyError, ValueError, PermissionDeniedError, ConfigurationError):
        return None
