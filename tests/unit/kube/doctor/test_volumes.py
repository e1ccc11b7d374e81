from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.kube.doctor.facts import Facts
from prefect_cassandra.kube.doctor.volumes import judge_volumes

NAME = "data-pc-cassandra-0"


def claim(phase: str = "Pending", storage_class: str | None = "fast") -> dict[str, Any]:
    spec = {} if storage_class is None else {"storageClassName": storage_class}
    return {"metadata": {"name": NAME}, "spec": spec, "status": {"phase": phase}}


def test_bound_claims_are_counted() -> None:
    (check,) = judge_volumes(Facts(claims=(claim("Bound"), claim("Bound"))))
    assert (check.status, check.evidence) == ("ok", "all 2 claims have their volume")


def test_no_claims_are_no_success() -> None:
    (check,) = judge_volumes(Facts())
    assert check.status == "skipped"


NO_CLASS = 'storageclass.storage.k8s.io "fast" not found'


@pytest.mark.parametrize(
    ("one", "event", "classes", "status", "said"),
    [
        (claim(), NO_CLASS, None, "fail", "there is no storage class fast"),
        (claim(), "", frozenset({"standard"}), "fail", "there is no storage class fast"),
        (claim(storage_class=None), "", frozenset(), "fail", "no default one"),
        (claim("Lost"), "", None, "fail", "gone"),
        (claim(), "quota exceeded", frozenset({"fast"}), "fail", "quota exceeded"),
        (claim(), "waiting for first consumer", frozenset({"fast"}), "warn", "not there yet"),
        (claim(), "", None, "warn", "not there yet"),
    ],
)
def test_a_claim_without_a_volume_says_why(
    one: dict[str, Any], event: str, classes: frozenset[str] | None, status: str, said: str
) -> None:
    warnings = {f"PersistentVolumeClaim/{NAME}": event} if event else {}
    (check,) = judge_volumes(Facts(claims=(one,), warnings=warnings, classes=classes))
    assert check.status == status
    assert said in check.evidence
    assert check.subject == f"claim {NAME}"


def test_the_classes_that_there_are_are_named() -> None:
    (check,) = judge_volumes(Facts(claims=(claim(),), classes=frozenset({"slow", "standard"})))
    assert "slow, standard" in check.hint
    assert "cassandra.storage.storageClass" in check.hint
