"""What every integration test stands on: one real node for the whole run."""

from __future__ import annotations

import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import close_sessions
from prefect_cassandra.local.cassandra import Cassandra, CassandraConfig
from prefect_cassandra.local.guard import FAREWELL
from prefect_cassandra.settings import LocalSettings
from support.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig


@dataclass(frozen=True)
class RunningNode:
    """The node of this run."""

    cassandra: Cassandra

    def config(self, role: str | None = "superuser") -> ClusterConfig:
        """Return how to connect as `role`, whose secret is in the node's secrets folder."""
        return self.cassandra.cluster_config(role)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """One real node with a superuser of its own, on ports nobody else uses."""
    cql, storage, jmx = free_ports(3)
    config = CassandraConfig(
        data_folder=tmp_path_factory.mktemp("node"),
        cache_folder=LocalSettings().cache_folder,
        cql_port=cql,
        storage_port=storage,
        jmx_port=jmx,
        heap="256M",
    )
    with guarded(config.data_folder), Cassandra(config) as cassandra:
        yield RunningNode(cassandra)
        close_sessions()


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """End what runs for `folder` even if this test run is killed and cleans up nothing."""
    command = [sys.executable, "-m", "prefect_cassandra.local.guard", str(folder), "5"]
    # A session of its own: Ctrl-C and a killed process group must not end it with the tests.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as guard:
        try:
            yield
        finally:
            guard.communicate(FAREWELL)


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
