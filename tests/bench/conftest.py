"""The platform that is measured: the release of the demo, or one that the environment names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.kube import cluster, images
from prefect_cassandra.kube.demo import NAMESPACE, RELEASE
from prefect_cassandra.kube.installation import InstalledRelease, read_installation
from prefect_cassandra.kube.kubectl import Release
from prefect_cassandra.kube.push import put_in_use
from prefect_cassandra.kube.release import install, make_namespace, public_images, values_of
from prefect_cassandra.project.folder import KEYSPACES_FILE
from prefect_cassandra.schema import load_keyspaces
from support.snippets import ROOT

if TYPE_CHECKING:
    from prefect_cassandra.kube.images import Image


@dataclass(frozen=True)
class Installed:
    """A release that runs what this folder holds."""

    release: Release
    described: InstalledRelease
    flows: Image


@pytest.fixture(scope="session")
def installed() -> Installed:
    """The release of `make kind-demo`, made or brought up to date; it stays."""
    name = cluster.up(ROOT, print, os.environ.get("KIND_NODE_IMAGE", ""))
    release = Release(
        os.environ.get("BENCH_RELEASE", RELEASE),
        os.environ.get("BENCH_NAMESPACE", NAMESPACE),
        cluster.context_of(name),
    )
    platform, flows = images.build(ROOT, print)
    values = values_of(platform, flows, load_keyspaces(ROOT / "flows" / KEYSPACES_FILE))
    make_namespace(ROOT, release)
    public = [one for one in public_images(ROOT, release, values) if images.exists(one)]
    images.load(name, [platform.tagged, flows.tagged, *public], print)
    install(ROOT, release, values, print)
    described = read_installation(release)
    put_in_use(ROOT, release, described, flows, print)
    return Installed(release, described, flows)
