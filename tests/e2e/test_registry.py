"""Flow images through a registry beside the cluster, as kind's documentation sets it up.

A registry gives an image its digest, and a digest is what the deployments then name.
"""

from __future__ import annotations

import shutil
import uuid
from typing import TYPE_CHECKING

import httpx
import pytest

from prefect_cassandra.example import runs
from prefect_cassandra.kube import cluster, images
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.kubectl import read_all
from prefect_cassandra.kube.push import push, put_in_use
from prefect_cassandra.kube.server import reached
from prefect_cassandra.kube.tools import attempt, run
from support.ports import free_ports
from support.snippets import ROOT
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Platform

pytestmark = pytest.mark.timeout(900)

IMAGE = "registry:2"
# What containerd on the node is told: this name stands for that container, without TLS.
HOSTS = '[host."http://{name}:5000"]\n'
FOLDER = "/etc/containerd/certs.d"
DEPLOYMENT = "values/values"


@pytest.fixture
def registry() -> Iterator[str]:
    """Run a registry on the loopback that the nodes know as well; both forget it afterwards."""
    (port,) = free_ports(1)
    name, host = f"registry-{uuid.uuid4().hex[:8]}", f"localhost:{port}"
    nodes = run(["kind", "get", "nodes", "--name", cluster.cluster_name(ROOT)]).split()
    place = ["--publish", f"127.0.0.1:{port}:5000", "--network", "kind", "--name", name]
    run(["docker", "run", "--detach", "--rm", *place, IMAGE])
    try:
        for node in nodes:
            script = f"mkdir -p {FOLDER}/{host} && cat > {FOLDER}/{host}/hosts.toml"
            tell = ["docker", "exec", "--interactive", node, "sh", "-c", script]
            run(tell, stdin=HOSTS.format(name=name))
        eventually(lambda: answers(host), "the registry", within=30)
        yield host
    finally:
        for node in nodes:
            attempt(["docker", "exec", node, "rm", "-r", f"{FOLDER}/{host}"])
        attempt(["docker", "rm", "--force", name])
        tags = run(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]).split()
        attempt(["docker", "rmi", *(tag for tag in tags if tag.startswith(f"{host}/"))])


def answers(host: str) -> bool:
    """Say whether a registry takes requests."""
    try:
        return httpx.get(f"http://{host}/v2/", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def digest_in(host: str, tag: str) -> str:
    """Return what the registry itself says the flow image's digest is."""
    kinds = "application/vnd.oci.image.{}.v1+json, application/vnd.docker.distribution.{}.v2+json"
    accepted = f"{kinds.format('index', 'manifest.list')}, {kinds.format('manifest', 'manifest')}"
    address = f"http://{host}/v2/{images.FLOWS}/manifests/{tag}"
    answer = httpx.head(address, headers={"Accept": accepted}, trust_env=False)
    return answer.raise_for_status().headers["Docker-Content-Digest"]


def test_a_pushed_image_is_run_by_its_digest(
    platform: Platform, registry: str, tmp_path: Path
) -> None:
    release = platform.release
    copy = tmp_path / "clone"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
    # Something new, so that no node can have the image already.
    (copy / "flows" / "values" / "more.csv").write_text(f"value\n{uuid.uuid4().int % 1000}\n")
    try:
        pushed = push(copy, release, print, registry=registry)
        assert pushed.image.repository == f"{registry}/{images.FLOWS}"
        assert pushed.image.digest.startswith("sha256:")
        assert digest_in(registry, pushed.image.tag) == pushed.image.digest
        with reached(release, read_installation(release)) as ask:
            found = ask("GET", f"/api/deployments/name/{DEPLOYMENT}")
            assert found["job_variables"]["image"] == pushed.image.reference
            done = runs.wait(ask, runs.trigger(ask, DEPLOYMENT)["id"], print, lambda: None)
            assert runs.failure(ask, done) is None
        (pod,) = read_all(release, "pods", f"prefect.io/flow-run-id={done['id']}")
        assert pod["spec"]["containers"][0]["image"] == pushed.image.reference
        assert pushed.image.digest in pod["status"]["containerStatuses"][0]["imageID"]
    finally:
        # The registry goes, so the deployments go back to the image that the nodes have.
        _, flows = images.build(ROOT, print)
        put_in_use(ROOT, release, read_installation(release), flows, print)
