"""`flows push`: a new flow image into the cluster, its migrations, its deployments; no Helm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.kube import images
from prefect_cassandra.kube.deployments import read_declared, register
from prefect_cassandra.kube.forward import forwarded
from prefect_cassandra.kube.jobs import migrations_job, run_job
from prefect_cassandra.kube.server import PORT, Server, auth_of
from prefect_cassandra.kube.tools import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect_cassandra.kube.images import Image
    from prefect_cassandra.kube.kubectl import Release


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did.

    Attributes:
        image: The flow image that the deployments use now.
        deployments: Their names.
    """

    image: Image
    deployments: tuple[str, ...]


def push(
    root: Path,
    release: Release,
    tell: Callable[[str], None],
    *,
    registry: str = "",
    cluster: str = "",
) -> Pushed:
    """Build the flow image, bring it to the cluster, migrate, and register the deployments.

    Args:
        root: Folder of the project.
        release: Which release runs them.
        tell: Called with a line for each thing that is about to be done.
        registry: Where to push to; empty loads the image into kind instead.
        cluster: Name of the kind cluster.

    Raises:
        PlatformError: A step failed; deployments point at the old image until the last one.
    """
    require("docker", "kubectl", *(() if registry else ("kind",)))
    read_declared(root / "flows")
    _, image = images.build(root, tell, registry)
    if registry:
        image = images.push(image, tell)
    else:
        images.load(cluster, [image.tagged], tell)
    return Pushed(image, put_in_use(root, release, image, tell))


def put_in_use(
    root: Path, release: Release, image: Image, tell: Callable[[str], None]
) -> tuple[str, ...]:
    """Migrate the schema with an image that the cluster has, and register its deployments."""
    for line in run_job(release, migrations_job(release, image.reference), tell).splitlines():
        tell(line)
    with forwarded(release, "server", PORT) as forward:
        server = Server(forward, auth_of(release))
        return register(server, release, root / "flows", image, tell)
