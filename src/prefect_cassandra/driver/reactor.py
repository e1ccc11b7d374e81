"""The driver's classes, imported in one place and only with the event loop we stand on.

The driver picks an event loop when `cassandra.cluster` is imported. libev is compiled into its
wheels; the others are slower, cannot do TLS or hang after a fork, so anything else is refused.
"""

from __future__ import annotations

from typing import Any

from prefect_cassandra.errors import ConfigurationError

_WAY_OUT = (
    "Install the driver's wheel (pip install --only-binary :all: 'cassandra-driver>=3.30.1') and "
    "do not let gevent or eventlet patch this process."
)

try:
    # On Python 3.12 and later the import itself fails when no event loop can be had.
    from cassandra import cluster as driver_cluster
    from cassandra.io import libevreactor
except Exception as error:
    raise ConfigurationError(
        f"The Cassandra driver came without its libev event loop: {error}.", hint=_WAY_OUT
    ) from error

Cluster = driver_cluster.Cluster
ExecutionProfile = driver_cluster.ExecutionProfile
NoHostAvailable = driver_cluster.NoHostAvailable
ResultSet = driver_cluster.ResultSet
DEFAULT_PROFILE = driver_cluster.EXEC_PROFILE_DEFAULT

# Whatever a forked child inherits is kept here for good: collecting it would close the parent's
# connections as far as this process can, and wait on locks that no thread will ever release.
_inherited: list[object] = []


def require_libev(connection_class: Any = None) -> None:
    """Refuse to run on any event loop but libev.

    Args:
        connection_class: What the driver chose; asked from the driver when not given.

    Raises:
        ConfigurationError: The driver chose another loop.
    """
    chosen = connection_class or Cluster.connection_class
    if chosen is not libevreactor.LibevConnection:
        raise ConfigurationError(
            f"The Cassandra driver runs on {chosen.__name__}, not on libev.", hint=_WAY_OUT
        )


def leave_parent(*belongings: object) -> None:
    """Forget the event loop a forked child inherited, without touching its connections.

    The driver notices a fork too, but closes the inherited connections one by one, under locks that
    the parent's threads may have held at the fork.
    """
    _inherited.extend(belongings)
    _inherited.append(libevreactor._global_loop)  # noqa: SLF001 -- no public way to start afresh
    libevreactor._global_loop = None  # noqa: SLF001 -- the same
    clusters = driver_cluster._clusters_for_shutdown  # noqa: SLF001 -- shut down at exit otherwise
    _inherited.extend(clusters)
    clusters.clear()
