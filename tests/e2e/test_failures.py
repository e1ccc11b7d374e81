"""What goes wrong when people install: each is told by name, with what to do, within a minute."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from e2e.ring import SMALL
from prefect_cassandra.kube import images
from prefect_cassandra.kube.doctor.examine import Patient, examine
from prefect_cassandra.kube.doctor.preflight import Plan, preflight
from prefect_cassandra.kube.kubectl import Release, apply, delete
from prefect_cassandra.kube.release import CHART, helm, make_namespace
from prefect_cassandra.kube.tools import attempt, run
from support.snippets import ROOT
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import Platform

    from prefect_cassandra.kube.doctor.check import Check

pytestmark = pytest.mark.timeout(600)

NAMESPACE = "prefect-failures"
SOON = 60.0
# A server that waits for nobody: small, and its Cassandra is somebody else's.
SERVER_ALONE: dict[str, Any] = {
    "cassandra": {"enabled": False},
    "externalCassandra": {"contactPoints": ["cassandra.example.org"]},
    "bootstrap": {"enabled": False},
    "server": SMALL,
    "postgres": SMALL,
    "worker": SMALL,
}
CASSANDRA_ALONE: dict[str, Any] = {
    "cassandra": {"resources": {"requests": {"cpu": "25m"}}},
    "bootstrap": SMALL,
    "server": {"enabled": False},
    "worker": {"enabled": False},
}
NO_CLASS = SERVER_ALONE | {"postgres": SMALL | {"storage": {"storageClass": "no-such-class"}}}


@pytest.fixture(scope="module")
def make_release(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a way to install releases into a namespace of their own, which goes with them."""
    made: list[Release] = []

    def make(name: str, values: dict[str, Any], *options: str) -> Release:
        release = Release(name, NAMESPACE, platform.release.context)
        if not made:
            make_namespace(ROOT, release)
        made.append(release)
        file = tmp_path_factory.mktemp(name) / "values.json"
        file.write_text(json.dumps(ours() | values))
        run(installing(release, file, *options), timeout=400)
        return release

    try:
        yield make
    finally:
        for release in made:
            attempt(helm(release, "uninstall", release.name, "--no-hooks"), timeout=120)
        if made:
            # With its volumes and the Secrets that Helm keeps.
            delete(made[0], "namespace", NAMESPACE)


def ours() -> dict[str, Any]:
    """Return the images of this working copy, which the platform's fixture has loaded."""
    platform, flows = images.planned(ROOT)
    named = {"platform": platform, "flows": flows}
    return {
        "images": {
            name: {"repository": image.repository, "tag": image.tag}
            for name, image in named.items()
        }
    }


def installing(release: Release, values: Path, *options: str) -> list[str]:
    """Return the command that installs or upgrades a release with the kind profile."""
    files = ["--values", str(ROOT / CHART / "values-kind.yaml"), "--values", str(values)]
    words = ("upgrade", "--install", release.name, str(ROOT / CHART))
    return [*helm(release, *words), *files, *options]


def failing(release: Release, name: str, says: str = "") -> Callable[[], Check | None]:
    """Return a question for the doctor: what is wrong with one thing, if anything is yet.

    Args:
        release: Whom to look at.
        name: Of the check.
        says: What is part of the evidence; on a full machine pods wait for other reasons as well.
    """

    def ask() -> Check | None:
        report = examine(Patient(release), lambda _: None)
        found = (one for one in report.failed if one.name == name and says in one.evidence)
        return next(found, None)

    return ask


def test_a_missing_storage_class_is_named_before_and_after(
    make_release: Any, platform: Platform, tmp_path: Path
) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps(ours() | NO_CLASS))
    plan = Plan(ROOT, Release("noclass", NAMESPACE, platform.release.context), (file,))
    before = {check.name: check for check in preflight(plan, lambda _: None).checks}
    assert before["storage"].status == "fail"
    assert "no-such-class" in before["storage"].evidence

    release = make_release("noclass", NO_CLASS, "--no-hooks")
    check = eventually(failing(release, "volumes"), "the doctor to see it", within=SOON)
    assert check.evidence == "there is no storage class no-such-class"
    assert "postgres.storage.storageClass" in check.hint
    assert "standard" in check.hint


def test_an_image_that_cannot_be_pulled_is_named_with_the_way_to_bring_it(
    make_release: Any,
) -> None:
    nowhere = {"repository": "registry.example.org/nobody/prefect-cassandra-platform", "tag": "1"}
    values = SERVER_ALONE | {"images": ours()["images"] | {"platform": nowhere}}
    release = make_release("nopull", values, "--no-hooks")
    said = f"cannot pull {nowhere['repository']}:1"
    check = eventually(failing(release, "pods", said), "the doctor to see it", within=SOON)
    assert "make push REGISTRY=" in check.hint


@contextmanager
def upgrading(release: Release) -> Iterator[None]:
    """Run `helm upgrade`, hooks and all, while the block runs."""
    command = helm(release, "upgrade", release.name, str(ROOT / CHART), "--reuse-values")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_a_superuser_that_the_data_does_not_know_is_named(make_release: Any) -> None:
    """Somebody gives the Secret another password; the volume keeps the first one."""
    release = make_release("locked", CASSANDRA_ALONE, "--wait", "--timeout", "6m")
    assert examine(Patient(release), print).ok
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": release.object("cassandra-superuser"),
            "namespace": release.namespace,
        },
        "data": {"password": base64.b64encode(b"not the one that the data knows").decode()},
    }
    apply(release, [secret])
    began = time.monotonic()
    with upgrading(release):
        ask = failing(release, "jobs.bootstrap", "the superuser's password")
        check = eventually(ask, "the doctor to see it", within=SOON)
    assert time.monotonic() - began < SOON + 10
    assert "logins.superuserSecret" in check.hint
    logs = attempt(release.kubectl("logs", f"job/{release.object('bootstrap')}"), timeout=60)
    assert "not the one that the data knows" not in logs.output
