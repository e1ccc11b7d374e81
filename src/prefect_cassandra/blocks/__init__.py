"""Prefect blocks: who logs in, to which cluster, and where results are kept.

Prefect imports this module through the `prefect.collections` entry point, which registers every
block type here. The lock manager is no block, but is made of one: Prefect has no blocks for locks.
"""

from prefect_cassandra.blocks.cluster import (
    CassandraCluster,
    CassandraCredentials,
    CassandraTls,
)
from prefect_cassandra.blocks.levels import Consistency, SerialConsistency
from prefect_cassandra.blocks.locks import CassandraLockManager
from prefect_cassandra.blocks.results import CassandraResultStorage

__all__ = [
    "CassandraCluster",
    "CassandraCredentials",
    "CassandraLockManager",
    "CassandraResultStorage",
    "CassandraTls",
    "Consistency",
    "SerialConsistency",
]
