from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.cli.app import app
from prefect_cassandra.cli.schema import _owner
from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube import jobs
from prefect_cassandra.kube.cassandra import tls_of
from prefect_cassandra.kube.installation import (
    InstalledCassandra,
    InstalledPods,
    InstalledRelease,
)
from prefect_cassandra.kube.jobs import (
    _Patience,
    connection_arguments,
    migrations_job,
    outcome,
    run_job,
    stuck,
)
from prefect_cassandra.kube.kubectl import Release
from support.installed import ENCRYPTED, EXTERNAL, PLAIN, installed

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = installed()


def pod_of(release: InstalledRelease) -> dict[str, Any]:
    """Return the pod of the release's migrations."""
    pod: dict[str, Any] = migrations_job(release, "flows:1")["spec"]["template"]["spec"]
    return pod


def test_the_job_migrates_as_the_owner_and_as_nobody_else() -> None:
    pod = pod_of(RELEASE)
    (container,) = pod["containers"]
    assert container["image"] == "flows:1"
    assert container["command"] == [
        *("prefect-cassandra", "schema", "migrate"),
        *("--file", "flows/keyspaces.yaml"),
        *("--contact-points", "pc-cassandra", "--port", "9042", "--local-datacenter", "dc1"),
        *("--login-folder", "/etc/prefect-cassandra/login"),
    ]
    secrets = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    assert secrets == ["pc-login-prefect-owner"]
    assert pod["serviceAccountName"] == "pc-hooks"
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("cassandra", "options"),
    [
        (PLAIN, []),
        (ENCRYPTED, ["--ca-file", "/etc/prefect-cassandra/ca/ca.crt", "--no-verify-host"]),
        (EXTERNAL, ["--tls", "--server-name", "a.example.com"]),
    ],
)
def test_the_command_line_understands_what_the_job_says(
    cassandra: InstalledCassandra, options: list[str]
) -> None:
    words = connection_arguments(cassandra)
    _, bound, _ = app.parse_args(
        ["schema", "migrate", *words, "--login-folder", "/login"], exit_on_error=False
    )
    config = _owner(bound.arguments["target"])
    assert config.contact_points == cassandra.contact_points
    assert (config.port, config.local_datacenter) == (cassandra.port, cassandra.local_datacenter)
    assert config.tls == tls_of(cassandra)
    assert words[len(words) - len(options) :] == options


def test_the_authority_is_mounted_without_the_nodes_key() -> None:
    pod = pod_of(installed(cassandra=ENCRYPTED))
    (volume,) = (one for one in pod["volumes"] if one["name"] == "ca")
    assert volume["secret"]["secretName"] == "pc-cassandra-tls"
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    (mount,) = (one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "ca")
    assert mount["mountPath"] == "/etc/prefect-cassandra/ca"


def test_the_pod_is_placed_and_may_pull_as_the_release_does() -> None:
    pods = InstalledPods(
        service_accounts={"hooks": "theirs"},
        image_pull_secrets=("registry",),
        node_selector={"pool": "data"},
        tolerations=({"key": "dedicated", "operator": "Exists"},),
        priority_class_name="high",
    )
    pod = pod_of(installed(pods=pods))
    assert pod["serviceAccountName"] == "theirs"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["nodeSelector"] == {"pool": "data"}
    assert pod["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]
    assert pod["priorityClassName"] == "high"
    assert not {"imagePullSecrets", "nodeSelector", "priorityClassName"} & pod_of(RELEASE).keys()


def test_an_owner_of_another_name_is_the_one_that_is_mounted() -> None:
    pod = pod_of(installed(logins={"prefect_owner": "their-owner"}))
    assert pod["volumes"][0]["secret"]["secretName"] == "their-owner"


def test_the_pod_is_restricted_with_a_read_only_root() -> None:
    pod = pod_of(installed(cassandra=ENCRYPTED))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_network_policies_know_it_by_its_component() -> None:
    job = migrations_job(RELEASE, "flows:1")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == "pc"
    assert labels["prefect-cassandra.io/component"] == "bootstrap"


def test_each_image_has_one_job() -> None:
    names = [migrations_job(RELEASE, image)["metadata"]["name"] for image in ("a:1", "a:1", "a:2")]
    assert names[0] == names[1] != names[2]


def test_names_are_cut_as_the_chart_cuts_them() -> None:
    assert Release("r" * 60, "prefect").object("cassandra") == f"{'r' * 42}-cassandra"
    long = installed(release="r" * 60)
    assert len(migrations_job(long, "a:1")["metadata"]["name"]) == 52


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], None),
        ([{"type": "Complete", "status": "True"}], (True, "")),
        ([{"type": "SuccessCriteriaMet", "status": "True"}], None),
        ([{"type": "Failed", "status": "False"}], None),
        (
            [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "late"}],
            (False, "DeadlineExceeded: late"),
        ),
    ],
)
def test_outcome(conditions: list[dict[str, Any]], expected: tuple[bool, str] | None) -> None:
    assert outcome({"status": {"conditions": conditions}}) == expected


def test_a_job_without_a_status_goes_on() -> None:
    assert outcome({}) is None


def waiting(reason: str) -> list[dict[str, Any]]:
    """Return the pod of a container that waits."""
    status = {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": reason}}}]}
    return [{"metadata": {"name": "a-1"}, "status": status}]


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], None),
        ([{"metadata": {"name": "a"}, "status": {"phase": "Pending"}}], None),
        (waiting("ContainerCreating"), None),
        (waiting("ErrImagePull"), "ErrImagePull"),
        (waiting("ImagePullBackOff"), "ImagePullBackOff"),
        (waiting("CreateContainerConfigError"), "CreateContainerConfigError"),
    ],
)
def test_stuck(pods: list[dict[str, Any]], expected: str | None) -> None:
    assert stuck(pods) == expected


def test_patience_ends_only_after_a_while_without_a_break() -> None:
    patience = _Patience()
    assert [patience.is_over("ErrImagePull", now) for now in (0, 15, 19)] == [False] * 3
    assert not patience.is_over(None, 19.5)
    assert not patience.is_over("ErrImagePull", 25)
    assert not patience.is_over("ImagePullBackOff", 44)
    assert patience.is_over("ErrImagePull", 46)


KUBECTL = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$*" in
  *"get job"*) echo '{{"status": {{}}}}';;
  *"get pods"*) cat {folder}/pods.json;;
esac
"""


def test_an_image_that_cannot_be_pulled_ends_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL.format(folder=tmp_path))
    program.chmod(0o755)
    (tmp_path / "pods.json").write_text(json.dumps({"items": waiting("ImagePullBackOff")}))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(jobs, "_STUCK", 0.1)
    monkeypatch.setattr(jobs, "_PAUSE", 0.02)
    with pytest.raises(PlatformError, match="cannot start:\na-1/a: ImagePullBackOff") as error:
        run_job(Release("pc", "prefect"), migrations_job(RELEASE, "flows:1"), print)
    assert "images.pullSecrets" in error.value.hint
    # It is not left to go on pulling.
    assert "delete job" in (tmp_path / "asked").read_text().splitlines()[-1]
