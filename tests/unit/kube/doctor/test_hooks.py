from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from prefect_cassandra.kube.doctor.facts import Facts
from prefect_cassandra.kube.doctor.hooks import judge_hooks

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
REFUSED = "the cluster refuses both our superuser and the default login; trying on"


def job(name: str = "pc-bootstrap", made: str = "11:59:30", **status: Any) -> dict[str, Any]:
    labels = {"prefect-cassandra.io/component": "bootstrap"}
    meta = {"name": name, "labels": labels, "creationTimestamp": f"2030-01-01T{made}Z"}
    return {"metadata": meta, "status": status}


def ended(kind: str, **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", **more}]}


def facts(one: dict[str, Any], log: str = "") -> Facts:
    title = one["metadata"]["name"]
    labels = {"batch.kubernetes.io/job-name": title, "prefect-cassandra.io/component": "bootstrap"}
    pod = {"metadata": {"name": "p", "labels": labels, "creationTimestamp": "x"}}
    return Facts(pods=(pod,), jobs=(one,), logs={"p/bootstrap": log})


def bootstrap(found: Facts) -> Any:
    (check,) = (one for one in judge_hooks(found, NOW) if one.name == "jobs.bootstrap")
    return check


def test_a_job_that_is_done_is_well() -> None:
    assert bootstrap(facts(job(**ended("Complete")))).status == "ok"


def test_jobs_that_are_gone_are_no_success_and_no_failure() -> None:
    assert {check.status for check in judge_hooks(Facts(), NOW)} == {"skipped"}


def test_a_failed_job_is_quoted_with_its_known_cause() -> None:
    failed = ended("Failed", reason="BackoffLimitExceeded", message="too often")
    log = (
        "superuser of 1 node(s)\nError PC210: The cluster accepts neither our superuser nor the "
        "default login: incorrect\n  -> Its data belongs to other credentials"
    )
    check = bootstrap(facts(job(**failed), log))
    assert check.status == "fail"
    assert "BackoffLimitExceeded" in check.evidence
    assert "Cassandra refuses the superuser's password" in check.evidence
    assert "logins.superuserSecret" in check.hint


def test_a_failed_job_of_unknown_cause_names_its_log() -> None:
    check = bootstrap(facts(job(**ended("Failed", reason="DeadlineExceeded")), "a last word"))
    assert check.evidence.endswith("a last word")
    assert "kubectl logs job/pc-bootstrap" in check.hint


@pytest.mark.parametrize(
    ("made", "log", "status"),
    [
        ("11:59:50", "superuser of 1 node(s)", "warn"),
        ("11:59:50", REFUSED, "fail"),
        ("11:59:50", "Name or service not known", "warn"),
        ("11:59:00", "Name or service not known", "fail"),
        ("11:58:00", "superuser of 1 node(s)", "warn"),
    ],
)
def test_what_no_waiting_mends_is_a_failure_before_the_job_gives_up(
    made: str, log: str, status: str
) -> None:
    assert bootstrap(facts(job(made=made, active=1), log)).status == status


def test_the_newest_job_counts_and_those_of_a_push_do_not() -> None:
    old = job("pc-bootstrap-old", "10:00:00", **ended("Failed"))
    new = job("pc-bootstrap", "11:00:00", **ended("Complete"))
    pushed = job("pc-migrations-1", "11:30:00", **ended("Failed"))
    pushed["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "prefect-cassandra"
    assert bootstrap(Facts(jobs=(old, new, pushed))).status == "ok"
