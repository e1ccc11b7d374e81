"""Versions of deployments on a real cluster: pushed, run, gone back from and promoted, no Helm."""

from __future__ import annotations

import json
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.cli.app import run as command
from prefect_cassandra.example import runs
from prefect_cassandra.kube import cluster
from prefect_cassandra.kube.images import Image
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.kubectl import Release, read_all
from prefect_cassandra.kube.push import push
from prefect_cassandra.kube.release import helm, install, make_namespace, values_of
from prefect_cassandra.kube.server import reached
from prefect_cassandra.kube.tools import attempt, run
from prefect_cassandra.project.ran import IMAGE_LABEL, VERSION_LABEL
from prefect_cassandra.schema import load_keyspaces
from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Platform

    from prefect_cassandra.project.asking import Ask

pytestmark = pytest.mark.timeout(1500)

DEPLOYMENT = "values/values"
OTHER = "promoted"


def options(release: Release) -> list[str]:
    """Return the command line's way to mean a release."""
    where = ["--release", release.name, "--namespace", release.namespace]
    return [*where, "--context", release.context]


def history(release: Release, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what the command line tells of the deployment's versions, the newest first."""
    capsys.readouterr()
    words = ["flows", "history", DEPLOYMENT, *options(release), "--output", "json"]
    assert command(words) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def helm_history(release: Release) -> str:
    return run(helm(release, "history", release.name, "--output", "json"))


@contextmanager
def server_of(release: Release) -> Iterator[Ask]:
    with reached(release, read_installation(release)) as ask:
        yield ask


def finished(ask: Ask, run_id: str) -> dict[str, Any]:
    """Wait for a run and check that it went well."""
    done = runs.wait(ask, run_id, print, lambda: None)
    assert runs.failure(ask, done) is None
    return done


def assert_ran(release: Release, run_id: str, label: str, image: str) -> None:
    """Check that the run, its trail and its pod all tell of one version."""
    with server_of(release) as ask:
        done = finished(ask, run_id)
        trail = list(runs.trail(ask, done, nobody="-", role="-", where=()))
    assert done["labels"][VERSION_LABEL] == label
    assert done["labels"][IMAGE_LABEL] == image
    assert ("", f"deployment values version {label}") in trail
    assert ("", f"image {image}") in trail
    (pod,) = read_all(release, "pods", f"prefect.io/flow-run-id={run_id}")
    assert pod["spec"]["containers"][0]["image"] == image


def trigger(release: Release) -> str:
    with server_of(release) as ask:
        return str(runs.trigger(ask, DEPLOYMENT)["id"])


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A clone of the project whose flows differ, so that its image is another one."""
    copy = tmp_path / "clone"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
    (copy / "flows" / "values" / "more.csv").write_text(f"value\n{uuid.uuid4().int % 1000}\n")
    return copy


def test_a_pushed_version_runs_and_is_rolled_back_without_helm(
    platform: Platform, changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = platform.release
    (old, *_) = history(release, capsys)
    assert old["state"] == "in use"
    helm_before = helm_history(release)

    pushed = push(changed, release, print, cluster=cluster.cluster_name(ROOT))
    (made,) = (one for one in pushed.versions if one.deployment == DEPLOYMENT)
    assert made.number == old["version"] + 1
    assert made.origin.image != old["image"]
    assert_ran(release, trigger(release), made.label, made.origin.image)

    with held(release) as waiting:
        assert command(["flows", "rollback", DEPLOYMENT, *options(release)]) == 0
    (new, *_) = history(release, capsys)
    assert new["version"] == made.number + 1
    assert (new["restored_from"], new["image"]) == (old["version"], old["image"])
    assert new["kubernetes_user"]
    # It was asked for when the pushed version was in use, and says what it really ran.
    assert_ran(release, waiting["id"], new["label"], new["image"])
    assert waiting["deployment_version"] == made.label
    assert_ran(release, trigger(release), new["label"], new["image"])
    assert [one["state"] for one in history(release, capsys)[:3]] == [
        "in use",
        "superseded",
        "superseded",
    ]
    assert helm_history(release) == helm_before


@contextmanager
def held(release: Release) -> Iterator[dict[str, Any]]:
    """Give a run that no worker takes before the block has ended."""
    with server_of(release) as ask:
        queue = ask("GET", f"/api/deployments/name/{DEPLOYMENT}")["work_queue_id"]
        ask("PATCH", f"/api/work_queues/{queue}", {"is_paused": True})
        try:
            yield runs.trigger(ask, DEPLOYMENT)
        finally:
            ask("PATCH", f"/api/work_queues/{queue}", {"is_paused": False})


@pytest.fixture
def other(platform: Platform) -> Iterator[Release]:
    """Another release on the same cluster, with flows nobody has pushed to it yet."""
    release = Release("pc", OTHER, platform.release.context)
    installed = read_installation(platform.release).images
    keyspaces = load_keyspaces(ROOT / "flows" / "keyspaces.yaml")
    values = values_of(as_image(installed.platform), as_image(installed.flows), keyspaces)
    make_namespace(ROOT, release)
    try:
        install(ROOT, release, values, print)
        yield release
    finally:
        attempt(helm(release, "uninstall", release.name, "--wait"), timeout=300)
        run(release.kubectl("delete", "namespace", OTHER, "--wait"), timeout=300)


def as_image(reference: str) -> Image:
    """Read a reference by tag, as images are on kind's nodes."""
    repository, _, tag = reference.rpartition(":")
    return Image(repository, tag)


def test_a_version_is_promoted_to_another_release(
    platform: Platform, other: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    (source, *_) = history(platform.release, capsys)
    words = ["flows", "promote", DEPLOYMENT, *options(platform.release), "--to-namespace", OTHER]
    assert command(words) == 0
    (made,) = history(other, capsys)
    assert (made["version"], made["image"]) == (1, source["image"])
    mine = platform.release
    place = f"{mine.context}/{mine.namespace}/{mine.name}"
    assert made["promoted_from"] == f"{place} version {source['version']}"
    assert_ran(other, trigger(other), made["label"], made["image"])
