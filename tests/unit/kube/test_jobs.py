from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.kube.jobs import migrations_job, outcome
from prefect_cassandra.kube.kubectl import Release

RELEASE = Release("pc", "prefect")


def test_the_job_migrates_as_the_owner_and_as_nobody_else() -> None:
    job = migrations_job(RELEASE, "flows:1")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "flows:1"
    assert container["command"] == [
        *("prefect-cassandra", "schema", "migrate"),
        *("--file", "flows/keyspaces.yaml"),
        *("--contact-points", "pc-cassandra"),
        *("--login-folder", "/etc/prefect-cassandra/login"),
    ]
    secrets = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
    assert secrets == ["pc-login-prefect-owner"]
    assert pod["automountServiceAccountToken"] is False


def test_the_pod_is_restricted_with_a_read_only_root() -> None:
    pod = migrations_job(RELEASE, "flows:1")["spec"]["template"]["spec"]
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
    long = Release("r" * 60, "prefect")
    assert long.object("cassandra") == f"{'r' * 42}-cassandra"
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
