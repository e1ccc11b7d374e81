"""`flows push`: a new flow image into the cluster, its migrations, its deployments; no Helm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube import images
from prefect_cassandra.kube.deployments import (
    for_cluster,
    full_names,
    read_declared,
    register,
    require_logins,
)
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.jobs import migrations_job, run_job
from prefect_cassandra.kube.ledger import versions_of
from prefect_cassandra.kube.origin import origin_of
from prefect_cassandra.kube.server import reached
from prefect_cassandra.kube.tools import require
from prefect_cassandra.kube.versions import recorded
from prefect_cassandra.project.folder import KEYSPACES_FILE
from prefect_cassandra.schema import load_keyspaces

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect_cassandra.kube.images import Image
    from prefect_cassandra.kube.installation import InstalledRelease
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.kube.server import Server
    from prefect_cassandra.ledger.versions import Version


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did.

    Attributes:
        image: The flow image that the deployments use now.
        versions: The new version of each.
    """

    image: Image
    versions: tuple[Version, ...]


def push(  # noqa: PLR0913 -- where from, where to, and how the image gets there
    root: Path,
    release: Release,
    tell: Callable[[str], None],
    *,
    registry: str = "",
    cluster: str = "",
    python_image: str = "",
) -> Pushed:
    """Build the flow image, bring it to the cluster, migrate, and register the deployments.

    Args:
        root: Folder of the project.
        release: Which release runs them.
        tell: Called with a line for each thing that is about to be done.
        registry: Where to push to; empty loads the image into kind instead.
        cluster: Name of the kind cluster.
        python_image: Base image instead of the one in the Dockerfiles; see `images.planned`.

    Raises:
        LedgerError: The ledger, which keeps the versions, cannot be reached; nothing was done.
        PlatformError: A step failed; deployments point at the old image until the last one.
    """
    require("docker", "kubectl", *(() if registry else ("kind",)))
    installed = read_installation(release)
    # What the release cannot run is refused before minutes are spent on an image.
    _, image = images.planned(root, registry, python_image=python_image)
    require_fitting(root / "flows", installed, image)
    with versions_of(release, installed):
        pass
    _, image = images.build(root, tell, registry, python_image=python_image)
    if registry:
        image = images.push(image, tell)
    else:
        images.load(cluster, [image.tagged], tell)
    return Pushed(image, put_in_use(root, release, installed, image, tell))


def require_fitting(flows: Path, installed: InstalledRelease, image: Image) -> None:
    """Check that a release can run a folder of flows: its queues and its logins are there.

    Raises:
        ConfigurationError: The folder is none of flows, or a deployment names an unknown queue.
        PlatformError: The release has no login that is asked for.
    """
    declared = read_declared(flows)
    for_cluster(declared, image, installed.work_pool)
    require_logins(declared, list(load_keyspaces(flows / KEYSPACES_FILE).keyspaces), installed)


def require_pool(server: Server, installed: InstalledRelease) -> None:
    """Check that the server answers us and has the release's work pool.

    Raises:
        PlatformError: It does not.
    """
    name = installed.work_pool.name
    query = {"work_pools": {"name": {"any_": [name]}}}
    if server("POST", "/api/work_pools/filter", query):
        return
    raise PlatformError(
        f"The Prefect server at {installed.server.api_url} has no work pool {name}, so nothing "
        "would take the runs.",
        hint="A release with worker.enabled=true makes it: the log of the Job whose name ends in "
        "`work-pool` tells why it is not there.",
    )


def put_in_use(
    root: Path,
    release: Release,
    installed: InstalledRelease,
    image: Image,
    tell: Callable[[str], None],
) -> tuple[Version, ...]:
    """Migrate the schema with an image that the cluster has, and register its deployments.

    Returns:
        The new version of each deployment.

    Raises:
        LedgerError: The ledger, which keeps the versions, cannot be reached; nothing was done.
        PlatformError: The server is away, the migrations failed, or somebody else pushed as well.
        DeploymentError: A flow cannot be imported, or Prefect refused it.
    """
    flows = root / "flows"
    # All of them first: what is away or wrong is known before the schema is changed.
    with reached(release, installed) as server, versions_of(release, installed) as store:
        require_pool(server, installed)
        names = full_names(server, flows)
        for line in run_job(release, migrations_job(installed, image.reference), tell).splitlines():
            tell(line)
        with recorded(store, server, names, origin_of(root, release, image)) as versions:
            labels = [one.label for one in versions]
            mapped = for_cluster(read_declared(flows), image, installed.work_pool, labels)
            register(server, installed, flows, mapped, tell)
        return tuple(versions)
