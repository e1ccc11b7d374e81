"""Opening one connection to a cluster: the driver's cluster and session, as we want them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cassandra
from cassandra import ConsistencyLevel
from cassandra.policies import ExponentialReconnectionPolicy
from cassandra.query import tuple_factory

from prefect_cassandra.driver.answers import Page, page_of
from prefect_cassandra.driver.auth import LoginProvider
from prefect_cassandra.driver.cqltype import from_driver
from prefect_cassandra.driver.frames import as_frame
from prefect_cassandra.driver.outcomes import describe, meaning, to_error, unreachable
from prefect_cassandra.driver.raw_rows import RawRows, keep_raw
from prefect_cassandra.driver.reactor import (
    DEFAULT_PROFILE,
    Cluster,
    ExecutionProfile,
    NoHostAvailable,
    ResultSet,
    require_libev,
)
from prefect_cassandra.driver.request import Request, pin_timestamp
from prefect_cassandra.driver.retry import NeverInside
from prefect_cassandra.driver.routing import ReplicaRouting
from prefect_cassandra.driver.statements import Kind
from prefect_cassandra.driver.tables import TableInfo, find_table
from prefect_cassandra.driver.tls import RenewingContext
from prefect_cassandra.errors import ConfigurationError, PrefectCassandraError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect_cassandra.driver.config import ClusterConfig

Clock = Callable[[], int]

# v5 tells more (0x1700, per-node failure codes) and checks sums; the driver steps down to v4, one
# version at a time, on servers that know only that. DSE's own versions are not tried.
_PROTOCOL = 5
# A node that vanished without closing its connections is noticed after both, and a busy node that
# answers late is not taken for one.
_HEARTBEAT_INTERVAL = 15
_HEARTBEAT_TIMEOUT = 15
_RECONNECT_FIRST, _RECONNECT_LAST = 0.5, 30.0


class Link:
    """One live connection to a cluster, of one process.

    It is replaced as a whole when every node it knew has gone.
    """

    def __init__(self, config: ClusterConfig, cluster: Any, session: Any) -> None:
        self.config = config
        self.cluster = cluster
        self.session = session
        self.pid = os.getpid()
        self._tables: dict[tuple[str, str], tuple[Any, TableInfo]] = {}

    def start(self, request: Request, state: bytes | None = None) -> Any:
        """Send one try of `request` and return the driver's future."""
        return self.session.execute_async(
            request.statement, timeout=request.timeout, paging_state=state
        )

    def node_ids(self) -> frozenset[UUID]:
        """Return the ids of the cluster's nodes as it has told them, without asking the server."""
        ids = (host.host_id for host in self.cluster.metadata.all_hosts())
        return frozenset(one for one in ids if one is not None)

    def table_metadata(self, keyspace: str, table: str) -> Any:
        """Return the driver's own description of a table; a new object after each change of it."""
        found = self.cluster.metadata.keyspaces.get(keyspace)
        return None if found is None else found.tables.get(table) or found.views.get(table)

    def table(self, keyspace: str, table: str) -> TableInfo | None:
        """Return what is known about a table, without asking the server."""
        described = self.table_metadata(keyspace, table)
        known = self._tables.get((keyspace, table))
        if known is not None and known[0] is described:
            return known[1]
        info = find_table(self.cluster.metadata, keyspace, table)
        if info is not None:
            self._tables[keyspace, table] = (described, info)
        return info

    def refresh_schema(self) -> None:
        """Ask the server for its schema now."""
        self.cluster.refresh_schema_metadata(max_schema_agreement_wait=0)

    def close(self) -> None:
        """Close every connection; waits for the driver's own threads."""
        self.cluster.shutdown()


def read_page(future: Any, raw: Any) -> Page:
    """Turn what a finished future delivered into a page."""
    answer = ResultSet(future, raw)
    names = tuple(answer.column_names or ())
    if not names:
        return Page(schema_agreed=bool(future.is_schema_agreed))
    if isinstance(raw, RawRows):
        return Page(names, state=answer.paging_state, raw=raw)
    types = tuple(from_driver(kind) for kind in answer.column_types or ())
    rows = page_of(names, answer.column_types, raw)
    return Page(names, rows, answer.paging_state, types=types)


def wait_for(future: Any) -> Any:
    """Wait for a future and return what it delivered, which the driver wraps when asked."""
    rows = future.result().current_rows
    return rows[0] if rows and isinstance(rows[0], RawRows) else rows


def open_link(config: ClusterConfig, clock: Clock) -> Link:
    """Connect.

    Args:
        config: Where to, as whom and how.
        clock: Gives the write timestamps.

    Raises:
        UnreachableError: No contact point answered, or none of their names resolves.
        AuthenticationError: The login was refused.
        ConfigurationError: A file, a datacenter or the event loop is wrong.
    """
    require_libev()
    cluster = _new_cluster(config, clock)
    try:
        session = cluster.connect()
        require_one_datacenter(_datacenters(cluster), config.local_datacenter)
    except Exception as error:
        cluster.shutdown()
        # A datacenter nobody is in looks like a cluster of which no node is up.
        require_one_datacenter(_datacenters(cluster), config.local_datacenter)
        raise _connect_error(error) from error
    session.add_request_init_listener(pin_timestamp)
    session.add_request_init_listener(keep_raw)
    session.add_request_init_listener(as_frame)
    return Link(config, cluster, session)


def require_one_datacenter(known: set[str], wanted: str | None) -> None:
    """Check that there is no doubt about which nodes are near.

    Raises:
        ConfigurationError: No name was given and there are several, or the one given is not there.
    """
    names = ", ".join(sorted(known))
    if wanted is None and len(known) > 1:
        raise ConfigurationError(
            f"The cluster has several datacenters: {names}.",
            hint="Set local_datacenter to the one this program runs in.",
        )
    if wanted is not None and known and wanted not in known:
        raise ConfigurationError(
            f"The cluster has no datacenter {wanted!r}, only {names}.",
            hint="Set local_datacenter to one of them; letter case matters.",
        )


def _datacenters(cluster: Any) -> set[str]:
    return {host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter}


def _new_cluster(config: ClusterConfig, clock: Clock) -> Any:
    options: dict[str, Any] = {
        "port": config.port,
        "auth_provider": LoginProvider(config.login) if config.login else None,
        "execution_profiles": {DEFAULT_PROFILE: _profile(config)},
        "reconnection_policy": ExponentialReconnectionPolicy(
            _RECONNECT_FIRST, _RECONNECT_LAST, max_attempts=None
        ),
        "connect_timeout": config.connect_timeout,
        "control_connection_timeout": config.connect_timeout,
        "idle_heartbeat_interval": _HEARTBEAT_INTERVAL,
        "idle_heartbeat_timeout": _HEARTBEAT_TIMEOUT,
        "timestamp_generator": clock,
        # Other nodes prepare a statement when they first meet it; asking all of them at once makes
        # every new statement wait for the slowest.
        "prepare_on_all_hosts": False,
        # lz4 costs more than it saves inside a cluster's network, and most of all on loopback.
        "compression": False,
        "monitor_reporting_enabled": False,
        "application_name": "prefect-cassandra",
    }
    options |= _bundle(config) if config.secure_connect_bundle else _addresses(config)
    try:
        cluster = Cluster(**options)
    except PrefectCassandraError:
        raise
    except cassandra.UnresolvableContactPoints as error:
        said = f"no address found for {', '.join(config.contact_points)}"
        raise unreachable(error, said) from error
    except Exception as error:
        raise _construction_error(config, error) from error
    # Set as an attribute, because a version given to the constructor forbids stepping down.
    cluster.protocol_version = _PROTOCOL
    return cluster


def _profile(config: ClusterConfig) -> Any:
    return ExecutionProfile(
        load_balancing_policy=ReplicaRouting(
            config.local_datacenter,
            frozenset(config.contact_points) if config.only_contact_points else None,
        ),
        retry_policy=NeverInside(),
        consistency_level=ConsistencyLevel.name_to_value[config.consistency],
        serial_consistency_level=ConsistencyLevel.name_to_value[config.serial_consistency],
        request_timeout=config.request_timeout,
        row_factory=tuple_factory,
        # Speculative execution stays off, the driver's default: it repeats without asking `decide`.
    )


def _addresses(config: ClusterConfig) -> dict[str, Any]:
    options: dict[str, Any] = {"contact_points": list(config.contact_points)}
    if config.tls is not None:
        options["ssl_context"] = RenewingContext(config.tls)
        if config.tls.server_name is not None:
            options["ssl_options"] = {"server_hostname": config.tls.server_name}
    return options


def _bundle(config: ClusterConfig) -> dict[str, Any]:
    return {
        "cloud": {
            "secure_connect_bundle": str(config.secure_connect_bundle),
            # The bundle is unpacked; beside the file may be a read-only mount.
            "use_default_tempdir": True,
            "connect_timeout": config.connect_timeout,
        }
    }


def _construction_error(config: ClusterConfig, error: Exception) -> PrefectCassandraError:
    if config.secure_connect_bundle is None:
        return ConfigurationError(f"The cluster's settings do not work: {describe(error)}.")
    if isinstance(error, cassandra.DriverException):
        return unreachable(error, f"{describe(error)} (from {config.secure_connect_bundle})")
    return ConfigurationError(
        f"The secure-connect bundle {config.secure_connect_bundle} cannot be used: "
        f"{describe(error)}.",
        hint="Download it again from the database's console.",
    )


def _connect_error(error: Exception) -> PrefectCassandraError:
    if isinstance(error, PrefectCassandraError):
        return error
    if isinstance(error, NoHostAvailable):
        return to_error(error, meaning(error, Kind.READ, sent=False), Kind.READ, "", "")
    return unreachable(error, describe(error))
