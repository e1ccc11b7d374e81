from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.kube.doctor import platform

WANTED = ">=1.30.0-0"
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


def named(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}}


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ("v1.34.4", "ok"),
        ("v1.30.0-eks-1234", "ok"),
        ("v1.29.9", "fail"),
        ("v2.0.0", "ok"),
        ("", "skipped"),
    ],
)
def test_the_version_is_the_charts_or_newer(found: str, status: str) -> None:
    assert platform.judge_version(found, WANTED).status == status


def test_kinds_that_the_cluster_does_not_know_are_named() -> None:
    objects = [
        {"apiVersion": "v1", "kind": "Service"},
        {"apiVersion": "cert-manager.io/v1", "kind": "Certificate"},
    ]
    check = platform.judge_apis(objects, {("v1", "Service")})
    assert (check.status, "Certificate (cert-manager.io/v1)" in check.evidence) == ("fail", True)
    assert "cassandra.tls.issuer.name" in check.hint
    assert platform.judge_apis(objects[:1], {("v1", "Service")}).status == "ok"


@pytest.mark.parametrize(
    ("wanted", "classes", "status", "said"),
    [
        ({"": ["pc-cassandra"]}, [named("standard", annotations=DEFAULT)], "ok", "the default"),
        ({"": ["pc-cassandra"]}, [named("standard")], "fail", "no storage class is the default"),
        ({"": ["pc-cassandra"]},
         [named("a", annotations=DEFAULT), named("b", annotations=DEFAULT)], "warn", "a, b"),
        ({"fast": ["pc-postgres"]}, [named("fast")], "ok", "storage class fast"),
        ({"fast": ["pc-postgres"]}, [named("slow")], "fail",
         "there is no storage class fast, which pc-postgres wants"),
        ({"fast": ["pc-postgres"]}, None, "skipped", "may not be seen"),
        ({}, [], "skipped", "no volume"),
    ],
)  # fmt: skip
def test_each_storage_class_that_is_named_is_there(
    wanted: Any, classes: Any, status: str, said: str
) -> None:
    (check,) = platform.judge_storage(wanted, classes)
    assert check.status == status
    assert said in check.evidence


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (named("prefect", labels={"pod-security.kubernetes.io/enforce": "restricted"}), "ok"),
        (named("prefect", labels={"pod-security.kubernetes.io/enforce": "baseline"}), "warn"),
        (named("prefect"), "warn"),
        (None, "warn"),
    ],
)
def test_the_namespace_enforces_restricted(found: Any, status: str) -> None:
    assert platform.judge_namespace(found, "prefect").status == status


@pytest.mark.parametrize(
    ("names", "status", "said"),
    [
        (["calico-node", "kube-proxy"], "ok", "calico-node enforces"),
        (["kindnet"], "ok", "newer versions"),
        (["kube-flannel-ds"], "warn", "does not enforce"),
        (["kube-proxy"], "warn", "nothing known"),
        (None, "skipped", "may not be seen"),
    ],
)
def test_whether_policies_are_enforced_is_told_by_the_networks_programs(
    names: list[str] | None, status: str, said: str
) -> None:
    found = None if names is None else [named(name) for name in names]
    check = platform.judge_network(found, has_policies=True)
    assert check.status == status
    assert said in check.evidence


def test_a_release_without_policies_is_a_warning() -> None:
    assert platform.judge_network([named("calico-node")], has_policies=False).status == "warn"
