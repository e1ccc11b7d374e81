"""What the installed platform promises, asked of a real cluster in a `restricted` namespace."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.example.flights import DEPLOYMENT
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.jobs import migrations_job, run_job
from prefect_cassandra.kube.kubectl import read_all, secret_data
from prefect_cassandra.kube.release import helm
from prefect_cassandra.kube.server import reached
from prefect_cassandra.kube.tools import attempt, run

if TYPE_CHECKING:
    from tests.e2e.conftest import Platform

    from prefect_cassandra.kube.kubectl import Release

pytestmark = pytest.mark.timeout(1500)

# Prints which of its arguments, `name:port`, take a connection.
KNOCK = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    # A name that is not known is an error of the test, not a closed door.
    address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][4]
    try:
        socket.create_connection(address[:2], 3).close()
        print("open", target)
    except OSError as error:
        print("shut", target)
"""


def flow_pod(platform: Platform) -> dict[str, Any]:
    """Return the pod that the demo's run ran in."""
    selector = f"prefect.io/flow-run-id={platform.run_id}"
    (pod,) = read_all(platform.release, "pods", selector)
    return pod


def knock(release: Release, component: str, image: str, *targets: str) -> dict[str, str]:
    """Try to connect from a pod that the network policies take for one of a component."""
    job = migrations_job(read_installation(release), image)
    name = f"knock-{uuid.uuid4().hex[:8]}"
    labels = {
        "app.kubernetes.io/instance": release.name,
        "prefect-cassandra.io/component": component,
    }
    job["metadata"] |= {"name": name, "labels": labels}
    template = job["spec"]["template"]
    template["metadata"]["labels"] = labels
    template["spec"]["containers"][0]["command"] = ["python", "-c", KNOCK, *targets]
    lines = run_job(release, job, print).splitlines()
    return {target: state for state, target in (line.split() for line in lines)}


def test_the_demo_finds_every_row(platform: Platform) -> None:
    assert platform.result.is_exact
    found = {table.table: table.found for table in platform.result.tables}
    assert found["by_origin_day"] == 336_776
    assert found["by_tailnum"] == 334_264
    assert found["weather_by_origin_day"] == 26_115
    assert (found["planes"], found["airports"], found["airlines"]) == (3_322, 1_458, 16)


def test_the_flow_ran_as_a_job_and_its_names_are_told(platform: Platform) -> None:
    pod = flow_pod(platform)
    (owner,) = pod["metadata"]["ownerReferences"]
    assert owner["kind"] == "Job"
    trail = " ".join(text for _, text in platform.result.trail)
    assert owner["name"] in trail
    assert pod["metadata"]["name"] in trail


def test_a_flow_pod_holds_one_login_and_no_token(platform: Platform) -> None:
    spec = flow_pod(platform)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == platform.release.object("flow")
    secrets = [one["secret"]["secretName"] for one in spec["volumes"] if "secret" in one]
    assert secrets == [platform.release.object("login-flights-flow")]
    assert not any("projected" in one for one in spec["volumes"])
    (container,) = spec["containers"]
    secret = {one["name"]: one for one in container["env"]}["PREFECT_API_AUTH_STRING"]
    assert "value" not in secret
    assert secret["valueFrom"]["secretKeyRef"]["key"] == "auth-string"


@pytest.mark.parametrize("login", ["prefect-owner", "prefect-ledger", "somebody"])
def test_no_run_gets_a_login_that_is_not_a_flows(platform: Platform, login: str) -> None:
    with reached(platform.release, read_installation(platform.release)) as ask:
        deployment = ask("GET", f"/api/deployments/name/{DEPLOYMENT}")["id"]
        path = f"/api/deployments/{deployment}/create_flow_run"
        with pytest.raises(PlatformError, match="is not one of"):
            ask("POST", path, {"job_variables": {"login": login}})


def test_no_secret_is_in_any_manifest_or_log(platform: Platform) -> None:
    release = platform.release
    known = [
        secret_data(release, release.object("server-auth"))["auth-string"].rpartition(":")[2],
        secret_data(release, release.object("postgres"))["password"],
        secret_data(release, release.object("cassandra-superuser"))["password"],
        secret_data(release, release.object("login-flights-flow"))["password"],
    ]
    kinds = "pods,jobs,deployments,statefulsets,configmaps"
    shown = run(release.kubectl("get", kinds, "--output", "json"), timeout=120)
    for pod in json.loads(run(release.kubectl("get", "pods", "--output", "json")))["items"]:
        name = pod["metadata"]["name"]
        shown += attempt(release.kubectl("logs", name, "--all-containers"), timeout=120).output
    assert len(shown) > 10_000
    assert [secret for secret in known if secret in shown] == []


def test_only_listed_connections_are_possible(platform: Platform) -> None:
    release = platform.release
    image = flow_pod(platform)["spec"]["containers"][0]["image"]
    server = f"{release.object('server')}:4200"
    postgres = f"{release.object('postgres')}:5432"
    cassandra = f"{release.object('cassandra')}:9042"
    storage = f"{release.object('cassandra-nodes')}:7000"
    kubernetes = "kubernetes.default.svc:443"
    everything = (server, postgres, cassandra, storage, kubernetes)
    assert knock(release, "flow", image, *everything) == {
        server: "open",
        cassandra: "open",
        postgres: "shut",
        storage: "shut",
        kubernetes: "shut",
    }
    assert knock(release, "worker", image, *everything) == {
        server: "open",
        kubernetes: "open",
        cassandra: "shut",
        postgres: "shut",
        storage: "shut",
    }
    # Every door that was found shut is one that somebody else may go through.
    assert knock(release, "migrate", image, postgres) == {postgres: "open"}
    assert knock(release, "bootstrap", image, cassandra) == {cassandra: "open"}


def test_an_upgrade_keeps_passwords_and_pods(platform: Platform) -> None:
    release = platform.release
    secrets = ("server-auth", "postgres", "cassandra-superuser", "login-flights-flow")
    before = {one: secret_data(release, release.object(one)) for one in secrets}
    pods = running_pods(release)
    chart = "charts/prefect-cassandra"
    command = helm(release, "upgrade", release.name, chart, "--reuse-values", "--wait")
    run([*command, "--timeout", "10m"], timeout=660)
    assert {one: secret_data(release, release.object(one)) for one in secrets} == before
    assert running_pods(release) == pods
    logs = run(release.kubectl("logs", f"job/{release.object('bootstrap')}"))
    assert "the default login and logins without a name are refused" in logs
    assert "\n0 statement(s)" in logs


def running_pods(release: Release) -> set[str]:
    """Return the pods of the servers; those of Jobs come and go."""
    selector = (
        f"app.kubernetes.io/instance={release.name},"
        "prefect-cassandra.io/component in (cassandra,server,postgres,worker)"
    )
    return {pod["metadata"]["uid"] for pod in read_all(release, "pods", selector)}
