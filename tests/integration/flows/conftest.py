"""What the example flows stand on: tables and logins, a Prefect server, blocks and a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from prefect_cassandra import CassandraCluster, CassandraCredentials
from prefect_cassandra.local import prefect_services
from prefect_cassandra.local.project import block_name, flow_role
from prefect_cassandra.schema import Installation, apply, load_keyspaces
from prefect_cassandra.settings import LocalSettings
from support.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import RunningNode

ROOT = Path(__file__).parents[3]
FLOWS = ROOT / "flows"
PATIENCE = 240.0


@dataclass(frozen=True)
class RunningPrefect:
    """A server with the pool `local`, and its worker."""

    folder: Path
    port: int

    def run(self, *arguments: str) -> str:
        """Run Prefect's command line from the root of the clone, as the READMEs say."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=ROOT,
            env=prefect_services.client_environment(self.folder, self.port, os.environ),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrefect]:
    """The local stack's server and worker, in a folder of their own; flows here report to them."""
    folder, (port,) = tmp_path_factory.mktemp("prefect"), free_ports(1)
    cache = LocalSettings().cache_folder
    services = prefect_services.Services(folder, cache, port, drain=5.0)
    home = folder / "prefect"
    try:
        services.start(PATIENCE, aborted=lambda: False, on_ready=lambda _: None)
        with temporary_settings(
            {
                PREFECT_API_URL: prefect_services.api_url(port),
                PREFECT_HOME: home,
                PREFECT_LOCAL_STORAGE_PATH: home / "storage",
            }
        ):
            yield RunningPrefect(folder, port)
    finally:
        services.worker.stop(30.0)
        services.server.stop(30.0)


@pytest.fixture(scope="session")
def deployed(node: RunningNode, prefect_api: RunningPrefect) -> RunningPrefect:
    """The tables of all example flows, a block for each keyspace, and the deployments."""
    secrets = node.cassandra.secrets
    installation = Installation(load_keyspaces(FLOWS / "keyspaces.yaml"), "local", secrets)
    apply(node.config(), installation)
    for keyspace in installation.applications:
        config = node.config(flow_role(keyspace))
        CassandraCluster(
            contact_points=list(config.contact_points),
            port=config.port,
            credentials=CassandraCredentials(folder=secrets / flow_role(keyspace)),
        ).save(block_name(keyspace), overwrite=True)
    prefect_api.run("deploy", "--all", "--prefect-file", str(FLOWS / "prefect.yaml"))
    # The worker must not start a run that no test asked for.
    prefect_api.run("deployment", "schedule", "pause", "--all")
    return prefect_api
