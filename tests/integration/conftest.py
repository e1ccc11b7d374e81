"""What every integration test stands on: one real node, one Prefect server, one worker."""

from __future__ import annotations

import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from prefect.context import _temporary_global_settings_context, get_settings_context
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_LOCAL_STORAGE_PATH,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)

from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import close_sessions
from prefect_cassandra.local.plan import StackConfig
from prefect_cassandra.local.project import deploy
from prefect_cassandra.local.stack import Stack
from support.ports import free_ports
from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig

PATIENCE = 240.0


@dataclass(frozen=True)
class RunningNode:
    """The node of this run."""

    stack: Stack

    def config(self, role: str | None = "superuser") -> ClusterConfig:
        """Return how to connect as `role`, whose secret is in the node's secrets folder."""
        return self.stack.cluster_config(role)


@dataclass(frozen=True)
class RunningPrefect:
    """The server of this run, with the pool `local`, and its worker."""

    stack: Stack

    @property
    def folder(self) -> Path:
        """Return the data folder, which holds the logs."""
        return self.stack.config.data

    def run(self, *arguments: str) -> str:
        """Run Prefect's command line from the root of the clone, as the READMEs say."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=ROOT,
            env=self.stack.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack on ports nobody else uses; its guard ends it even if this run is killed."""
    cql, storage, jmx, server = free_ports(4)
    config = StackConfig.from_settings(
        data=tmp_path_factory.mktemp("stack"),
        cql_port=cql,
        storage_port=storage,
        jmx_port=jmx,
        server_port=server,
    )
    with Stack(config) as running:
        yield running
        close_sessions()


@pytest.fixture(scope="session")
def node(stack: Stack) -> RunningNode:
    """One real node with a superuser of its own."""
    return RunningNode(stack)


@pytest.fixture(scope="session")
def prefect_api(stack: Stack) -> Iterator[RunningPrefect]:
    """The stack's server as the one that flows and blocks of this process use."""
    home = stack.config.data / "prefect"
    chosen = {
        PREFECT_API_URL: stack.api_url,
        PREFECT_HOME: home,
        PREFECT_LOCAL_STORAGE_PATH: home / "storage",
        PREFECT_SERVER_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{home / 'prefect.db'}",
    }
    # Prefect's own threads see only the process-wide settings; its test harness does the same.
    with (
        temporary_settings(chosen),
        _temporary_global_settings_context(get_settings_context()),
    ):
        yield RunningPrefect(stack)


@pytest.fixture(scope="session")
def deployed(stack: Stack, prefect_api: RunningPrefect) -> RunningPrefect:
    """The example flows as `local deploy` puts them on a stack."""
    deploy(stack, ROOT / "flows", print)
    # The worker must not start a run that no test asked for.
    prefect_api.run("deployment", "schedule", "pause", "--all")
    return prefect_api


@pytest.fixture(scope="session")
def superuser(node: RunningNode) -> Iterator[Session]:
    """A session that may do everything."""
    session = Session(node.config())
    yield session
    session.close()


@pytest.fixture
def keyspace(superuser: Session) -> str:
    """A fresh keyspace; it stays until the node goes, because dropping costs more than keeping."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    superuser.execute(
        f"CREATE KEYSPACE {name} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    return name


@pytest.fixture
def make(superuser: Session, keyspace: str) -> Callable[[str], str]:
    """Makes a table of the columns it is given, and returns its name."""

    def create(columns: str) -> str:
        name = f"{keyspace}.t{uuid.uuid4().hex[:8]}"
        superuser.execute(f"CREATE TABLE {name} ({columns})")
        return name

    return create
