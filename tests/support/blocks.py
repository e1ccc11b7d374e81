"""Blocks for the node that a test runs against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cloudpickle

from prefect_cassandra import CassandraCluster, CassandraCredentials

if TYPE_CHECKING:
    from prefect_cassandra.driver.config import ClusterConfig


def cluster_block(config: ClusterConfig, **values: Any) -> CassandraCluster:
    """Return a block that logs in as `config` does."""
    login = config.login
    credentials = None
    if login is not None:
        credentials = (
            CassandraCredentials(folder=login.folder)
            if login.folder is not None
            else CassandraCredentials.model_validate(
                {"username": login.username, "password": login.password}
            )
        )
    return CassandraCluster(
        contact_points=list(config.contact_points),
        port=config.port,
        credentials=credentials,
        request_timeout=config.request_timeout,
        **values,
    )


def fetch_pickled(pickled: bytes, query: str) -> list[tuple[Any, ...]]:
    """Run a query through a pickled block; a module of its own, so that other processes find it."""
    block: CassandraCluster = cloudpickle.loads(pickled)
    return block.fetch_all(query)
