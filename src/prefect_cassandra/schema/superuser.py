"""Gives a new cluster its own superuser and takes the well-known one away.

Cassandra makes itself a superuser `cassandra` with the password `cassandra`. The order of the steps
makes each of them repeatable: the new password is in its file before the database learns it, and
the default login goes last. A crash anywhere is mended by the next attempt.
"""

from __future__ import annotations

import secrets
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect_cassandra.driver.config import Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import AuthenticationError, NotAppliedError, UnreachableError
from prefect_cassandra.schema.cql import quote_name
from prefect_cassandra.schema.credentials import PasswordFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.errors import PrefectCassandraError

# Cassandra's own, known to everybody; this module disables it.
DEFAULT_LOGIN = Login("cassandra", "cassandra")

_ENTROPY = 32
_PAUSE = 0.1
# A new cluster makes the default login ten seconds after it starts, a slow one somewhat later. Who
# is refused for longer is told so, and given up in time for somebody to look.
_TOLD, _GIVEN_UP = 15.0, 90.0
_WRONG = "incorrect"

# While nodes find each other, logins fail in other ways than by a wrong password.
_NOT_YET = (AuthenticationError, UnreachableError, NotAppliedError)


def ensure_superuser(  # noqa: PLR0913 -- one wait, told apart by what it waits for
    cluster: ClusterConfig,
    login: Path,
    *,
    copies: Mapping[str, int],
    nodes: int,
    timeout: float,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Make the superuser if it is not there, and disable `cassandra` if it is enabled.

    Returns when all nodes know each other, agree on the schema and refuse the default login.

    Args:
        cluster: How to reach the nodes; its login is not used.
        login: Folder with the superuser's files `username` and `password`.
        copies: Datacenter to copies of the logins it keeps.
        nodes: Nodes of the cluster; a new one is waited for until all of them are there.
        timeout: Seconds for everything.
        progress: Called with a line when the logins are refused for longer than usual.

    Raises:
        AuthenticationError: The cluster knows neither login.
        UnreachableError: The nodes did not get that far in time.
    """
    deadline = time.monotonic() + timeout
    own = replace(cluster, login=Login(folder=login))
    default = replace(cluster, login=DEFAULT_LOGIN)
    is_new = _accepted(own, default, deadline, progress) is default
    if is_new:
        with closing(Session(default)) as session:
            _replicate_logins(session, copies)
            _create_superuser(session, login)
        # Other nodes may hear of the login a moment later.
        _wait_until(lambda: refusal(own) is None, deadline, "log the superuser in")
    with closing(Session(own)) as session:
        _replicate_logins(session, copies)
        # Later a node may be down for good or still joining, which is no reason to do nothing.
        wanted = nodes if is_new else None
        _wait_until(lambda: _have_met(session, wanted), deadline, "agree on the schema")
        if not _disable_default(session):
            return
    # Nodes remember a login for up to 2 s.
    _wait_until(lambda: is_refused(default), deadline, "refuse the default login")


def refusal(config: ClusterConfig) -> PrefectCassandraError | None:
    """Log in and out again; return what stood in the way."""
    with closing(Session(config)) as session:
        try:
            session.connect()
        except _NOT_YET as error:
            return error
    return None


def is_refused(config: ClusterConfig) -> bool:
    """Tell whether the cluster says no to this login, which an unreachable one does not."""
    return isinstance(refusal(config), AuthenticationError)


def _accepted(
    own: ClusterConfig,
    default: ClusterConfig,
    deadline: float,
    progress: Callable[[str], None] | None,
) -> ClusterConfig:
    """Return the one that can log in; a new cluster knows the default login only after seconds."""
    wrong_since, is_told = None, False
    while True:
        problem = refusal(own)
        if problem is None:
            return own
        other = refusal(default)
        if other is None:
            return default
        now = time.monotonic()
        if not (_is_wrong(problem) and _is_wrong(other)):
            wrong_since = None
        elif wrong_since is None:
            wrong_since = now
        waited = 0.0 if wrong_since is None else now - wrong_since
        if progress is not None and waited > _TOLD and not is_told:
            progress("the cluster refuses both our superuser and the default login; trying on")
            is_told = True
        if now > deadline or waited > _GIVEN_UP:
            raise _refused(problem)
        time.sleep(_PAUSE)


def _is_wrong(problem: PrefectCassandraError) -> bool:
    """Tell a wrong password from logins that cannot be looked up, as too few nodes are up yet."""
    return isinstance(problem, AuthenticationError) and _WRONG in problem.message


def _refused(problem: PrefectCassandraError) -> PrefectCassandraError:
    if not isinstance(problem, AuthenticationError):
        return problem
    return AuthenticationError(
        "The cluster accepts neither our superuser nor the default login: " + problem.message,
        hint="Its data belongs to other credentials; give it the superuser it knows.",
    )


def _wait_until(condition: Callable[[], bool], deadline: float, what: str) -> None:
    while not condition():
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"The nodes answer CQL, but did not {what} in time.",
                hint="Their logs tell why; another attempt goes on here.",
            )
        time.sleep(_PAUSE)


def _have_met(session: Session, nodes: int | None) -> bool:
    """Tell whether a node sees all others, if their number is known, and all have one schema."""
    local = session.execute("SELECT schema_version FROM system.local").rows
    peers = session.execute("SELECT schema_version FROM system.peers_v2").rows
    met = nodes is None or len(peers) == nodes - 1
    return met and len({row["schema_version"] for row in local + peers}) == 1


def _create_superuser(session: Session, login: Path) -> None:
    """Make the role; the ALTER covers one that an interrupted attempt left.

    Values cannot be bound in role statements. A hash has no quotes in it, and shows nothing.
    """
    name = (login / "username").read_text(encoding="utf-8").strip()
    hashed = PasswordFolder(login.parent).hashed(login.name)
    options = f"HASHED PASSWORD = '{hashed}' AND SUPERUSER = true AND LOGIN = true"
    session.execute(f"CREATE ROLE IF NOT EXISTS {quote_name(name)} WITH {options}", idempotent=True)
    session.execute(f"ALTER ROLE {quote_name(name)} WITH {options}", idempotent=True)


def _replicate_logins(session: Session, copies: Mapping[str, int]) -> None:
    """Keep several copies of the logins: one node down must not lock everybody out.

    Nodes of a new cluster were told so (`cassandra.system_auth.default_rf`) and made the keyspace
    with that many copies already, so nothing has to be repaired; this only names the datacenter,
    which SimpleStrategy cannot. Whoever raises the number later has to repair `system_auth`.
    """
    if sum(copies.values()) == 1:
        return
    row = session.execute(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'system_auth'"
    ).one()
    if row and all(row["replication"].get(name) == str(copy) for name, copy in copies.items()):
        return
    kept = ", ".join(f"'{name}': {copy}" for name, copy in copies.items())
    session.execute(
        "ALTER KEYSPACE system_auth WITH replication = "
        f"{{'class': 'NetworkTopologyStrategy', {kept}}}",
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
