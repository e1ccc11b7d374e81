"""One installed platform for all tests: `make e2e` brings it up as `make kind-demo` does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.kube import cluster
from prefect_cassandra.kube.demo import KindDemo, perform
from prefect_cassandra.kube.kubectl import Release
from support.snippets import ROOT

if TYPE_CHECKING:
    from prefect_cassandra.example.flights import DemoResult


@dataclass(frozen=True)
class Platform:
    """The release, and what the demo found when it was brought up."""

    release: Release
    result: DemoResult
    said: list[str]

    @property
    def run_id(self) -> str:
        """Return the id of the demo's flow run."""
        return self.result.ui_url.rpartition("/")[2]


@pytest.fixture(scope="session")
def platform() -> Platform:
    """The demo, done on a kind cluster; both stay for the next time."""
    demo = KindDemo(ROOT, os.environ.get("KIND_NODE_IMAGE", ""))
    said: list[str] = []
    result = perform(demo, said.append)
    context = cluster.context_of(cluster.cluster_name(ROOT))
    return Platform(Release(demo.release, demo.namespace, context), result, said)
