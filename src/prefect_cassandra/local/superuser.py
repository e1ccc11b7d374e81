"""Gives a new cluster its own superuser and takes the well-known one away.

Cassandra makes itself a superuser `cassandra` with the password `cassandra`. The order of the steps
makes each of them repeatable: the new password is in its file before the database learns it, and
the default login goes last. A crash anywhere is mended by the next start.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect_cassandra.driver.config import Login
from prefect_cassandra.driver.session import shared_session
from prefect_cassandra.errors import (
    AuthenticationError,
    DataFolderError,
    LocalStackError,
    NotAppliedError,
    UnreachableError,
)
from prefect_cassandra.local.config import DATACENTER

if TYPE_CHECKING:
    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.driver.session import Session
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

    Args:
        cluster: How to reach the nodes; its login is not used.
        passwords: Where the superuser's name and password are; they are there already.
        nodes: Nodes of the cluster, and so copies of the logins.
        timeout: Seconds for everything.

    Raises:
        DataFolderError: The cluster knows neither login.
        LocalStackError: The default login was still accepted at the end of the time.
    """
    deadline = time.monotonic() + timeout
    own = replace(cluster, login=Login(folder=passwords.login_folder(SUPERUSER)))
    default = replace(cluster, login=DEFAULT_LOGIN)
    session = _first_login(own, default, deadline)
    if session is None:
        _create_superuser(default, passwords.hashed(SUPERUSER), nodes)
        session = _log_in(own, deadline)
    _replicate_logins(session, nodes)
    if _disable_default(session):
        _wait_refused(default, deadline)


def wait_joined(cluster: ClusterConfig, nodes: int, timeout: float) -> None:
    """Wait until the nodes know each other and agree on the schema.

    Raises:
        LocalStackError: They did not within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    session = shared_session(cluster)
    while True:
        local = session.execute("SELECT schema_version FROM system.local").rows
        peers = session.execute("SELECT schema_version FROM system.peers_v2").rows
        versions = {row["schema_version"] for row in [*local, *peers]}
        if len(peers) == nodes - 1 and len(versions) == 1:
            return
        if time.monotonic() > deadline:
            raise LocalStackError(
                f"After {timeout:.0f} s a node sees {len(peers)} of {nodes - 1} others and "
                f"{len(versions)} version(s) of the schema.",
                hint="prefect-cassandra local nodetool status shows what each node thinks.",
            )
        time.sleep(_PAUSE)


def _first_login(own: ClusterConfig, default: ClusterConfig, deadline: float) -> Session | None:
    """Return a session of the own login, or None when the default login is the one that works."""
    while True:
        try:
            return _open(own)
        except _NOT_YET as error:
            problem = error
        try:
            _open(default).close()
        except _NOT_YET:
            if time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
        else:
            return None
    raise DataFolderError(
        "The cluster accepts neither the generated superuser nor the default login: "
        f"{problem.message}",
        hint=(
            "The data folder belongs to other credentials. Put its secrets/superuser back, or "
            "use another data folder with --data."
        ),
    ) from problem


def _log_in(own: ClusterConfig, deadline: float) -> Session:
    """Log in with a login that exists; other nodes may hear of it a moment later."""
    while True:
        try:
            return _open(own)
        except _NOT_YET:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def _open(config: ClusterConfig) -> Session:
    session = shared_session(config)
    session.execute("SELECT release_version FROM system.local")
    return session


def _create_superuser(default: ClusterConfig, hashed: str, nodes: int) -> None:
    """Make the role as `cassandra`; the ALTER covers a role that an earlier attempt left.

    Values cannot be bound in role statements. A hash has no quotes in it, and shows nothing.
    """
    options = f"HASHED PASSWORD = '{hashed}' AND SUPERUSER = true AND LOGIN = true"
    session = _open(default)
    try:
        _replicate_logins(session, nodes)
        session.execute(f"CREATE ROLE IF NOT EXISTS {SUPERUSER} WITH {options}", idempotent=True)
        session.execute(f"ALTER ROLE {SUPERUSER} WITH {options}", idempotent=True)
    finally:
        session.close()


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


def _wait_refused(default: ClusterConfig, deadline: float) -> None:
    """Prove that the well-known login is refused; nodes remember a login for up to 2 s."""
    while True:
        try:
            _open(default).close()
        except AuthenticationError:
            return
        if time.monotonic() > deadline:
            raise LocalStackError(
                "The default login cassandra is still accepted although it was disabled.",
                hint="Start again: every start disables it anew.",
            )
        time.sleep(_PAUSE)
