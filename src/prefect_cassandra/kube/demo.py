"""The demo on kind: everything from the images to the count, as Jobs of a real cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.sharing import close_sessions, shared_session
from prefect_cassandra.errors import PlatformError
from prefect_cassandra.example import runs
from prefect_cassandra.example.flights import (
    DEPLOYMENT,
    KEYSPACE,
    ROLE,
    DemoResult,
    Source,
    count_tables,
    latest_to_arrive,
)
from prefect_cassandra.kube import cluster, images
from prefect_cassandra.kube.cassandra import connected
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.kubectl import Release, read_all
from prefect_cassandra.kube.push import put_in_use
from prefect_cassandra.kube.release import install, make_namespace, public_images, values_of
from prefect_cassandra.kube.server import PORT, reached
from prefect_cassandra.kube.tools import require
from prefect_cassandra.project.folder import KEYSPACES_FILE
from prefect_cassandra.schema import load_keyspaces, reader_role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect_cassandra.kube.installation import InstalledRelease

RELEASE = "pc"
NAMESPACE = "prefect"


@dataclass(frozen=True, slots=True)
class KindDemo:
    """What to do where.

    Args:
        root: Folder of the project.
        node_image: Image of kind's node; kind's own choice when empty.
        release: Name of the Helm release.
        namespace: Its namespace.
    """

    root: Path
    node_image: str = ""
    release: str = RELEASE
    namespace: str = NAMESPACE


def perform(demo: KindDemo, tell: Callable[[str], None]) -> DemoResult:
    """Do everything; each step is skipped or repeated harmlessly when it was done before.

    Raises:
        PlatformError: A step failed; everything stays as it is, to be looked at.
    """
    require("docker", "kind", "kubectl", "helm")
    # Reads the source before minutes are spent on the rest: it may not be installed.
    source = Source()
    keyspaces = load_keyspaces(demo.root / "flows" / KEYSPACES_FILE)
    name = cluster.up(demo.root, tell, demo.node_image)
    release = Release(demo.release, demo.namespace, cluster.context_of(name))
    platform, flows = images.build(demo.root, tell)
    values = values_of(platform, flows, keyspaces)
    make_namespace(demo.root, release)
    # Public images that this machine has already need not be fetched by the node again.
    public = [one for one in public_images(demo.root, release, values) if images.exists(one)]
    images.load(name, [platform.tagged, flows.tagged, *public], tell)
    install(demo.root, release, values, tell)
    installed = read_installation(release)
    put_in_use(demo.root, release, installed, flows, tell)
    return run_demo(release, installed, source, tell)


def run_demo(
    release: Release, installed: InstalledRelease, source: Source, tell: Callable[[str], None]
) -> DemoResult:
    """Trigger the flights deployment, wait for the run, and count.

    Raises:
        PlatformError: The run did not complete; quotes its last log lines.
    """
    with reached(release, installed) as ask:
        run = runs.trigger(ask, DEPLOYMENT)
        tell(f"flow run {run['name']} of deployment {DEPLOYMENT} was created")
        run = runs.wait(ask, run["id"], tell, lambda: None)
        said = runs.failure(ask, run)
        if said is not None:
            hint = release.command(f"logs --selector prefect.io/flow-run-id={run['id']}")
            raise PlatformError(said, hint=f"Read the pod's log with: {hint}")
        seconds = runs.seconds_by_table(ask, run["id"], KEYSPACE)
        pods = read_all(release, "pods", f"prefect.io/flow-run-id={run['id']}")
        where = (
            f"Job {(run.get('infrastructure_pid') or '').rpartition(':')[2]}",
            f"pods {', '.join(pod['metadata']['name'] for pod in pods) or 'are gone already'}",
        )
        nobody = "the demo, with the server's own login"
        trail = (
            *runs.trail(ask, run, nobody=nobody, role=ROLE, where=where),
            *_access(release, installed),
        )
    tell("counting what arrived, by a scan of every table")
    tables, worst = _count(release, installed, source, seconds)
    url = f"{installed.server.ui_url}/runs/flow-run/{run['id']}"
    return DemoResult(tables, worst, trail, url)


def _count(
    release: Release, installed: InstalledRelease, source: Source, seconds: dict[str, float]
) -> tuple[Any, Any]:
    """Read what the flow wrote with a login that could not have written it."""
    with connected(release, installed, reader_role(KEYSPACE)) as config:
        try:
            session = shared_session(config)
            return count_tables(session, source, seconds), latest_to_arrive(session, source)
        finally:
            # Before the port is closed, which would look like a node that went away.
            close_sessions()


def _access(release: Release, installed: InstalledRelease) -> Iterator[tuple[str, str]]:
    """Say how to look at the server's pages, if the server is the release's."""
    service, secret = installed.server.service, installed.server.auth_secret
    if service is None:
        return
    yield "look", release.command(f"port-forward service/{service.name} {PORT}:{service.port}")
    if secret is not None:
        decode = f"--output go-template='{{{{index .data \"{secret.key}\" | base64decode}}}}'"
        yield "login", release.command(f"get secret {secret.name} {decode}")
