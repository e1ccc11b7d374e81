"""Gives a new cluster its own superuser and takes the well-known one away.

Cassandra makes itself a superuser `cassandra` with the password `cassandra`. The order of the steps
makes each of them repeatable: the new password is in its file before the database learns it, and
the default login goes last. A crash anywhere is mended by the next start.
"""

from __future__ import annotations

import secrets
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect_cassandra.driver.config import Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import (
    AuthenticationError,
    DataFolderError,
    LocalStackError,
    NotAppliedError,
    UnreachableError,
)
from prefect_cassandra.local.config import DATACENTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.errors import PrefectCassandraError
    from prefect_cassandra.schema.credentials import PasswordFolder

SUPERUSER = "superuser"
# Cassandra's own, known to everybody; this module disables it.
DEFAULT_LOGIN = Login("cassandra", "cassandra")

_ENTROPY = 32
_PAUSE = 0.1

# While nodes find each other, logins fail in other ways than by a wrong password.
_NOT_YET = (AuthenticationError, UnreachableError, NotAppliedError)


def ensure_superuser(
    cluster: ClusterConfig, passwords: PasswordFolder, *, nodes: int, timeout: float
) -> None:
    """Make the superuser if it is not there, and disable `cassandra` if it is enabled.

    Returns when all nodes know each other, agree on the schema and refuse the default login.

    Args:
        cluster: How to reach the nodes; its login is not used.
        passwords: Where the superuser's name and password are; they are there already.
        nodes: Nodes of the cluster, and so copies of the logins.
        timeout: Seconds for everything.

    Raises:
        DataFolderError: The cluster knows neither login.
        LocalStackError: The nodes did not get that far in time.
    """
    deadline = time.monotonic() + timeout
    own = replace(cluster, login=Login(folder=passwords.login_folder(SUPERUSER)))
    default = replace(cluster, login=DEFAULT_LOGIN)
    if _accepted(own, default, deadline) is default:
        with closing(Session(default)) as session:
            _replicate_logins(session, nodes)
            _create_superuser(session, passwords.hashed(SUPERUSER))
        # Other nodes may hear of the login a moment later.
        _wait_until(lambda: _refusal(own) is None, deadline, "log the superuser in")
    with closing(Session(own)) as session:
        _replicate_logins(session, nodes)
        _wait_until(lambda: _have_met(session, nodes), deadline, "agree on the schema")
        if not _disable_default(session):
            return
    # Nodes remember a login for up to 2 s.
    _wait_until(lambda: _is_refused(default), deadline, "refuse the default login")


def _accepted(own: ClusterConfig, default: ClusterConfig, deadline: float) -> ClusterConfig:
    """Return the one that can log in; a new cluster knows the default login only after seconds."""
    while True:
        problem = _refusal(own)
        if problem is None:
            return own
        if _refusal(default) is None:
            return default
        if time.monotonic() > deadline:
            raise DataFolderError(
                "The cluster accepts neither the generated superuser nor the default login: "
                f"{problem.message}",
                hint=(
                    "The data folder belongs to other credentials. Put its secrets/superuser "
                    "back, or use another data folder with --data."
                ),
            ) from problem
        time.sleep(_PAUSE)


def _refusal(config: ClusterConfig) -> PrefectCassandraError | None:
    """Log in and out again; return what stood in the way."""
    with closing(Session(config)) as session:
        try:
            session.connect()
        except _NOT_YET as error:
            return error
    return None


def _is_refused(config: ClusterConfig) -> bool:
    return isinstance(_refusal(config), AuthenticationError)


def _wait_until(condition: Callable[[], bool], deadline: float, what: str) -> None:
    while not condition():
        if time.monotonic() > deadline:
            raise LocalStackError(
                f"The nodes answer CQL, but did not {what} in time.",
                hint=(
                    "Their logs are in the data folder; on a slow machine raise "
                    "PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_START_TIMEOUT. A new start goes on here."
                ),
            )
        time.sleep(_PAUSE)


def _have_met(session: Session, nodes: int) -> bool:
    """Tell whether a node sees all others and all have the same schema."""
    local = session.execute("SELECT schema_version FROM system.local").rows
    peers = session.execute("SELECT schema_version FROM system.peers_v2").rows
    return len(peers) == nodes - 1 and len({row["schema_version"] for row in local + peers}) == 1


def _create_superuser(session: Session, hashed: str) -> None:
    """Make the role; the ALTER covers one that an interrupted attempt left.

    Values cannot be bound in role statements. A hash has no quotes in it, and shows nothing.
    """
    options = f"HASHED PASSWORD = '{hashed}' AND SUPERUSER = true AND LOGIN = true"
    session.execute(f"CREATE ROLE IF NOT EXISTS {SUPERUSER} WITH {options}", idempotent=True)
    session.execute(f"ALTER ROLE {SUPERUSER} WITH {options}", idempotent=True)


def _replicate_logins(session: Session, nodes: int) -> None:
    """Keep a copy of the logins on every node: one node down must not lock everybody out.

    The nodes made the keyspace with that many copies already, so nothing has to be repaired; this
    only names the datacenter, which SimpleStrategy cannot.
    """
    if nodes == 1:
        return
    row = session.execute(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'system_auth'"
    ).one()
    if row and row["replication"].get(DATACENTER) == str(nodes):
        return
    session.execute(
        "ALTER KEYSPACE system_auth WITH replication = "
        f"{{'class': 'NetworkTopologyStrategy', '{DATACENTER}': {nodes}}}",
        idempotent=True,
    )


def _disable_default(session: Session) -> bool:
    """Take login, rights and the known password from `cassandra`; tell whether it had any."""
    row = session.execute(
        "SELECT can_login, is_superuser FROM system_auth.roles WHERE role = 'cassandra'"
    ).one()
    if row is None or not (row["can_login"] or row["is_superuser"]):
        return False
    session.execute(
        f"ALTER ROLE cassandra WITH PASSWORD = '{secrets.token_urlsafe(_ENTROPY)}' "
        "AND SUPERUSER = false AND LOGIN = false",
        idempotent=True,
    )
    return True
