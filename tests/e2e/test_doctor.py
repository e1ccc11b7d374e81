"""The doctor and the preflight on an installed release, from outside and from inside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.cli.app import run as run_program
from prefect_cassandra.kube.doctor.examine import Patient, examine
from prefect_cassandra.kube.doctor.preflight import Plan, preflight
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.kubectl import read_all
from prefect_cassandra.kube.release import CHART, helm
from prefect_cassandra.kube.server import reached
from prefect_cassandra.kube.tools import attempt, run
from support.snippets import ROOT
from support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Platform

pytestmark = pytest.mark.timeout(600)

STATUSES = ("ok", "warn", "skipped")
EVERYTHING = [
    "release",
    "jobs.migrate",
    "jobs.bootstrap",
    "jobs.workpool",
    "pods",
    "volumes",
    "server.health",
    "server.pool",
    "server.workers",
    "runs",
    "cassandra.ring",
    "cassandra.schema",
    "cassandra.version",
    "cassandra.migrations",
    "cassandra.canary",
]


def test_a_release_that_works_is_well_in_every_respect(platform: Platform) -> None:
    report = examine(Patient(platform.release, flows=ROOT / "flows"), print)
    assert [check.name for check in report.checks] == EVERYTHING
    assert [check for check in report.checks if check.status != "ok"] == []
    assert (
        "up and normal" in {check.name: check.evidence for check in report.checks}["cassandra.ring"]
    )


def test_helm_test_is_the_same_doctor_from_inside(platform: Platform) -> None:
    release = platform.release
    done = attempt(helm(release, "test", release.name, "--logs"), timeout=300)
    assert done.code == 0, done.tail()
    lines = [line.split()[:2] for line in done.output.splitlines()]
    assert {words[1] for words in lines if words and words[0] in STATUSES} == set(EVERYTHING)
    (pod,) = read_all(release, "pods", "prefect-cassandra.io/component=test")
    secrets = [one["secret"]["secretName"] for one in pod["spec"]["volumes"] if "secret" in one]
    assert secrets == [release.object("login-prefect-ledger")]


def test_the_doctor_in_the_cluster_reads_no_secret(platform: Platform) -> None:
    release = platform.release
    account = f"system:serviceaccount:{release.namespace}:{release.object('doctor')}"
    can = release.kubectl("auth", "can-i", "--as", account)
    assert attempt([*can, "get", "secrets"]).output.strip() == "no"
    assert attempt([*can, "delete", "pods"]).output.strip() == "no"
    assert attempt([*can, "list", "pods"]).output.strip() == "yes"


def test_programs_get_json_and_an_exit_code(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    release = platform.release
    where = ["--release", release.name, "--namespace", release.namespace]
    tokens = ["doctor", *where, "--context", release.context, "--output", "json"]
    assert run_program(tokens) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert {check["name"] for check in found["checks"]} == set(EVERYTHING)


def test_a_template_that_somebody_changed_is_found(platform: Platform) -> None:
    """Put right by the chart's own Job, as the hint says."""
    release = platform.release
    installed = read_installation(release)
    path = f"/api/work_pools/{installed.work_pool.name}"
    with reached(release, installed) as ask:
        before = ask("GET", path)["base_job_template"]
        changed = json.loads(json.dumps(before))
        changed["variables"]["properties"]["image"]["default"] = "theirs:1"
        ask("PATCH", path, {"base_job_template": changed})
        try:
            report = examine(Patient(release), print)
        finally:
            ask("PATCH", path, {"base_job_template": before})
    assert [check.name for check in report.failed] == ["server.pool"]
    assert "variables.properties.image.default" in report.failed[0].evidence
    assert examine(Patient(release), print).ok


def test_the_cluster_has_what_the_chart_needs(platform: Platform, tmp_path: Path) -> None:
    installed = read_installation(platform.release)
    named = {"platform": installed.images.platform, "flows": installed.images.flows}
    parts = {name: image.rpartition(":") for name, image in named.items()}
    values = {name: {"repository": part[0], "tag": part[2]} for name, part in parts.items()}
    file = tmp_path / "values.json"
    file.write_text(json.dumps({"images": values}))
    profile = ROOT / CHART / "values-kind.yaml"
    report = preflight(Plan(ROOT, platform.release, (profile, file), pull=True), print)
    wrong = [check for check in report.checks if check.status != "ok" and check.name != "network"]
    assert wrong == []
    assert sum(1 for check in report.checks if check.name == "images") == len(named) + 2
    listing = platform.release.kubectl("get", "pods", "--output", "name")
    eventually(lambda: "pod/preflight-" not in run(listing), "the pod to go", within=30)
