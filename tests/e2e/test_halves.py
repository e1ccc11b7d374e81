"""Two releases, each a half: one has Cassandra, with TLS, the other has the Prefect server.

Each uses the other's half as one of its own would be used, and each has a worker with a pool of its
own. So flows are pushed to both, and run from both, over encrypted connections.
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.sharing import close_sessions, shared_session
from prefect_cassandra.errors import PlatformError, UnreachableError
from prefect_cassandra.example import runs
from prefect_cassandra.kube import cluster, images
from prefect_cassandra.kube.cassandra import connected
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.kubectl import Release, apply, read_all
from prefect_cassandra.kube.push import put_in_use
from prefect_cassandra.kube.release import (
    helm,
    install,
    make_namespace,
    public_images,
    values_of,
)
from prefect_cassandra.kube.server import reached
from prefect_cassandra.kube.tools import attempt, run
from prefect_cassandra.schema import load_keyspaces
from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.kube.images import Image

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

NAMESPACE = "halves"
DATA, CONTROL = "data", "control"
LOGIN = {"name": "prefect-login", "key": "auth-string"}
ROWS = 24
COUNT = "SELECT count(*) AS rows FROM values_demo.by_file WHERE file = ?"


def members(name: str) -> list[dict[str, Any]]:
    """Return the peers of a NetworkPolicy that are a release's pods."""
    return [{"podSelector": {"matchLabels": {"app.kubernetes.io/instance": name}}}]


def requests(cpu: str) -> dict[str, Any]:
    """Return resources that leave the CPU of a small node to others; the limits stay."""
    return {"resources": {"requests": {"cpu": cpu}}}


SMALL: dict[str, Any] = {
    "bootstrap": requests("10m"),
    "postgres": requests("10m"),
    "worker": requests("10m"),
}
# Cassandra and a worker; the server is the other's.
DATA_VALUES: dict[str, Any] = SMALL | {
    "cassandra": {"tls": {"client": True}} | requests("25m"),
    "server": {"enabled": False},
    "externalServer": {
        "apiUrl": f"http://{CONTROL}-server.{NAMESPACE}.svc:4200/api",
        "authSecret": LOGIN,
    },
    "workPool": {"name": DATA, "jobDefaults": {"cpuRequest": "10m"}},
    "networkPolicy": {"cassandraPeers": members(CONTROL)},
}
# The server and a worker; the Cassandra is the other's, and so are its logins.
CONTROL_VALUES: dict[str, Any] = SMALL | {
    "cassandra": {"enabled": False},
    "externalCassandra": {
        "contactPoints": [f"{DATA}-cassandra"],
        "replication": 1,
        "tls": {"enabled": True, "caSecret": f"{DATA}-cassandra-tls"},
    },
    "logins": {
        "superuserSecret": f"{DATA}-cassandra-superuser",
        "existingPrefix": f"{DATA}-login",
    },
    "server": {"auth": {"existingSecret": LOGIN["name"]}} | requests("10m"),
    "workPool": {"name": CONTROL, "jobDefaults": {"cpuRequest": "10m"}},
    "networkPolicy": {"serverPeers": members(DATA)},
}


@pytest.fixture(scope="module")
def flows() -> Iterator[Image]:
    """Install both halves, return the flow image, and take everything away afterwards."""
    name = cluster.up(ROOT, print, os.environ.get("KIND_NODE_IMAGE", ""))
    data, control = half(DATA), half(CONTROL)
    platform, flow_image = images.build(ROOT, print)
    values = values_of(platform, flow_image, load_keyspaces(ROOT / "flows" / "keyspaces.yaml"))
    make_namespace(ROOT, data)
    public = [one for one in public_images(ROOT, data, values) if images.exists(one)]
    images.load(name, [platform.tagged, flow_image.tagged, *public], print)
    apply(data, [login_secret()])
    try:
        # Each needs the other: the keyspaces of the second want the first's Cassandra, and the
        # pool of the first wants the second's server. So the first gets its worker last.
        without_worker = values | DATA_VALUES | {"worker": {"enabled": False}}
        install(ROOT, data, without_worker, print)
        install(ROOT, control, values | CONTROL_VALUES, print)
        install(ROOT, data, values | DATA_VALUES, print)
        yield flow_image
    finally:
        for one in (control, data):
            attempt(helm(one, "uninstall", one.name, "--wait"), timeout=300)
        run(data.kubectl("delete", "namespace", NAMESPACE, "--wait"), timeout=300)


def half(name: str) -> Release:
    """Return one of the two releases."""
    return Release(name, NAMESPACE, cluster.context_of(cluster.cluster_name(ROOT)))


def login_secret() -> dict[str, Any]:
    """Return a Secret that was there before either release."""
    login = base64.b64encode(f"admin:{secrets.token_urlsafe(24)}".encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": LOGIN["name"], "namespace": NAMESPACE},
        "data": {LOGIN["key"]: login},
    }


def run_values(release: Release) -> dict[str, Any]:
    """Run the smallest flow through a release's server and return the run and its pod."""
    with reached(release, read_installation(release)) as ask:
        found = runs.wait(ask, runs.trigger(ask, "values/values")["id"], print, lambda: None)
        assert runs.failure(ask, found) is None
    (pod,) = read_all(release, "pods", f"prefect.io/flow-run-id={found['id']}")
    return {"run": found, "pod": pod}


@pytest.mark.parametrize("name", [DATA, CONTROL])
def test_flows_are_pushed_to_either_half_and_run_there(name: str, flows: Image) -> None:
    release = half(name)
    installed = read_installation(release)
    pushed = {one.deployment for one in put_in_use(ROOT, release, installed, flows, print)}
    assert "values/values" in pushed
    found = run_values(release)
    assert found["run"]["work_pool_name"] == name
    # The Job is the half's own, with the other half's credentials where it needs them.
    assert found["pod"]["metadata"]["labels"]["app.kubernetes.io/instance"] == name
    volumes = found["pod"]["spec"]["volumes"]
    mounted = {one["secret"]["secretName"] for one in volumes if "secret" in one}
    assert mounted == {f"{DATA}-login-values-demo-flow", f"{DATA}-cassandra-tls"}
    with connected(release, installed, "values_demo_reader") as config:
        assert config.tls is not None
        try:
            row = shared_session(config).execute(COUNT, ["flows/values/sample.csv"]).one()
        finally:
            close_sessions()
    assert row is not None
    assert row["rows"] == ROWS


@pytest.mark.usefixtures("flows")
def test_nobody_gets_in_without_encryption() -> None:
    release = half(DATA)
    installed = read_installation(release)

    with connected(release, installed, "values_demo_reader") as config:
        try:
            with pytest.raises(UnreachableError):
                shared_session(replace(config, tls=None)).execute(COUNT, ["x"])
        finally:
            close_sessions()


@pytest.mark.usefixtures("flows")
def test_a_release_that_is_not_there_is_named() -> None:
    with pytest.raises(PlatformError, match="no release nobody of this chart"):
        read_installation(half("nobody"))
