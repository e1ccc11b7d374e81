"""The superuser of a local cluster: the login in its data folder, and none beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_cassandra.errors import (
    AuthenticationError,
    DataFolderError,
    LocalStackError,
    UnreachableError,
)
from prefect_cassandra.local.config import DATACENTER
from prefect_cassandra.schema.superuser import ensure_superuser

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig

SUPERUSER = "superuser"


def take_over(cluster: ClusterConfig, login: Path, *, nodes: int, timeout: float) -> None:
    """Make the superuser the only login of the nodes, with a copy of the logins on each.

    Args:
        cluster: How to reach the nodes; its login is not used.
        login: Folder with the superuser's name and password.
        nodes: Nodes of the cluster.
        timeout: Seconds for everything.

    Raises:
        DataFolderError: The cluster knows neither this login nor the default one.
        LocalStackError: The nodes did not get that far in time.
    """
    try:
        ensure_superuser(cluster, login, copies={DATACENTER: nodes}, nodes=nodes, timeout=timeout)
    except AuthenticationError as error:
        raise DataFolderError(
            error.message,
            hint=(
                "The data folder belongs to other credentials. Put its secrets/superuser "
                "back, or use another data folder with --data."
            ),
        ) from error
    except UnreachableError as error:
        raise LocalStackError(
            error.message,
            hint=(
                "Their logs are in the data folder; on a slow machine raise "
                "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_START_TIMEOUT. A new start goes on here."
            ),
        ) from error
