"""Every pod that can come of the chart, those of hooks, tests and flows included."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chart.rendering import Object, Pod, job_manifest, named, pods, render
from chart.security import problems
from prefect_cassandra.kube.deployments import FLOW_COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable

# server, worker, cassandra, postgres, migrate, bootstrap, workpool, test, uninstall, flow; and the
# reconciler where it is on.
COMPONENTS = {
    "default": 10,
    "kind": 10,
    "production": 10,
    "server-only": 9,
    "cassandra-only": 7,
    "tls": 10,
    "existing-secrets": 10,
    "external-postgres": 9,
    "reconciler": 11,
}


def test_all_pods_are_restricted(templates: list[Pod]) -> None:
    assert {pod.owner: problems(pod) for pod in templates if problems(pod)} == {}


def test_no_pod_is_left_out(profile: str, templates: list[Pod]) -> None:
    assert len({pod.component for pod in templates}) == COMPONENTS[profile]
    assert len(templates) == COMPONENTS[profile]
    assert sum(len(pod.containers) for pod in templates) >= COMPONENTS[profile]


def test_walk_finds_every_list_of_containers(objects: list[Object]) -> None:
    """A workload of a kind nobody thought of would have one as well."""
    seen = json.dumps(objects).count('"containers": [')
    inside = json.dumps(objects).count('\\"containers\\": [')
    assert seen + inside == len(pods(objects))


def test_shared_settings_reach_every_pod() -> None:
    for pod in pods(render("external-postgres")):
        assert pod.spec["nodeSelector"] == {"pool": "data"}, pod.owner
        assert pod.spec["priorityClassName"] == "high", pod.owner
        assert pod.spec["tolerations"][0]["key"] == "dedicated", pod.owner
    for pod in pods(render("existing-secrets")):
        assert pod.spec["imagePullSecrets"] == [{"name": "registry"}], pod.owner


def test_pod_labels_hold_no_version(templates: list[Pod]) -> None:
    """An upgrade of the chart alone must restart nothing; the test's pod is made anew anyway."""
    for pod in templates:
        assert "helm.sh/chart" not in pod.labels or pod.component == "test", pod.owner
        assert pod.labels["app.kubernetes.io/instance"] == "pc", pod.owner


def test_digest_wins_over_the_tag() -> None:
    digest = f"sha256:{'0' * 64}"
    images = {
        name: {"digest": digest, "tag": "1"}
        for name in ("platform", "flows", "cassandra", "postgres")
    }
    for pod in pods(render({"images": images})):
        for container in pod.containers:
            assert container["image"].endswith(f"@{digest}"), pod.owner
        assert problems(pod) == []


def test_job_variables_reach_the_flow_pod() -> None:
    config = named(render("kind"), "ConfigMap", "pc-work-pool")
    manifest = job_manifest(
        json.loads(config["data"]["base-job-template.json"]),
        name="late-bee",
        image="flows:7",
        login="flights-flow",
        memory_limit="3Gi",
        finished_job_ttl=60,
    )
    spec = manifest["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert manifest["metadata"]["generateName"] == "late-bee-"
    assert manifest["metadata"]["namespace"] == "prefect"
    assert container["image"] == "flows:7"
    assert container["resources"]["limits"] == {"memory": "3Gi"}
    assert manifest["spec"]["ttlSecondsAfterFinished"] == 60
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["activeDeadlineSeconds"] == 3600
    logins = [volume for volume in spec["volumes"] if volume["name"] == "login"]
    assert logins[0]["secret"]["secretName"] == "pc-login-flights-flow"


def test_a_flows_command_is_the_deployments_to_say_and_else_prefects() -> None:
    config = named(render("kind"), "ConfigMap", "pc-work-pool")
    base = json.loads(config["data"]["base-job-template.json"])
    cases: list[dict[str, str]] = [{}, {"command": FLOW_COMMAND}]
    for variables in cases:
        (container,) = job_manifest(base, **variables)["spec"]["template"]["spec"]["containers"]
        # Prefect fills in its own command where there is none.
        assert container.get("args") == variables.get("command")


def test_jobs_end_by_themselves(objects: list[Object]) -> None:
    jobs = [found for found in objects if found["kind"] == "Job"]
    assert jobs
    for job in jobs:
        assert job["spec"]["backoffLimit"] <= 4
        assert 0 < job["spec"]["activeDeadlineSeconds"] <= 1800
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def _pod() -> Pod:
    (found,) = (pod for pod in pods(render("default")) if pod.component == "worker")
    return found


def _container(change: Callable[[Object], Any]) -> Callable[[Object], Any]:
    return lambda spec: change(spec["containers"][0])


SPOILT: dict[str, Callable[[Object], Any]] = {
    "runAsNonRoot is not true": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
    "runAsUser is no number": lambda spec: spec["securityContext"].update(runAsUser=0),
    "runAsGroup is no number": lambda spec: spec["securityContext"].update(runAsGroup="prefect"),
    "seccompProfile": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "hostNetwork is on": lambda spec: spec.update(hostNetwork=True),
    "automountServiceAccountToken": lambda spec: spec.pop("automountServiceAccountToken"),
    "serviceAccountName": lambda spec: spec.pop("serviceAccountName"),
    "is a hostPath": lambda spec: spec["volumes"][0].update(hostPath={"path": "/"}),
    "is not mounted": lambda spec: spec["volumes"].append({"name": "more", "emptyDir": {}}),
    "there is no volume tmp": lambda spec: spec["volumes"].pop(0),
    "allowPrivilegeEscalation": _container(lambda c: c["securityContext"].clear()),
    "readOnlyRootFilesystem": _container(
        lambda c: c["securityContext"].update(readOnlyRootFilesystem=False)
    ),
    "capabilities": _container(
        lambda c: c["securityContext"]["capabilities"].update(add=["SYS_ADMIN"])
    ),
    "securityContext.privileged": _container(
        lambda c: c["securityContext"].update(privileged=True)
    ),
    "no limits of memory": _container(lambda c: c["resources"]["limits"].clear()),
    "no requests of cpu": _container(lambda c: c["resources"]["requests"].pop("cpu")),
    "has no tag": _container(lambda c: c.update(image="worker")),
    "image is latest": _container(lambda c: c.update(image="registry:5000/worker:latest")),
    "no livenessProbe": _container(lambda c: c.pop("livenessProbe")),
    "that is not there": _container(lambda c: c["ports"][0].update(name="other")),
    "a hostPort is used": _container(lambda c: c["ports"][0].update(hostPort=80)),
    "in clear text": _container(lambda c: c["env"].append({"name": "DB_PASSWORD", "value": "x"})),
    "is set twice": _container(lambda c: c["env"].append({"name": "HOME", "value": "/"})),
}


@pytest.mark.parametrize("problem", SPOILT)
def test_check_sees_what_was_spoilt(problem: str) -> None:
    pod = _pod()
    assert problems(pod) == []
    SPOILT[problem](pod.spec)
    assert any(problem in found for found in problems(pod))
