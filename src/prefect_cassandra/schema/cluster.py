"""What is there: datacenters, keyspaces, roles, grants and guardrails of the connected cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError, PermissionDeniedError
from prefect_cassandra.schema.grants import Grant, resource_from_listing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from prefect_cassandra.driver.session import Session

DROP_GUARDRAILS = ("drop_truncate_table_enabled", "drop_keyspace_enabled")
_WHO_CHECKS = ("authenticator.class_name", "authorizer.class_name")


@dataclass(frozen=True, slots=True)
class FoundKeyspace:
    """A keyspace as `system_schema.keyspaces` has it; `strategy` without its package."""

    strategy: str
    copies: Mapping[str, str]
    durable_writes: bool
    tables: frozenset[str]


@dataclass(frozen=True, slots=True)
class FoundRole:
    """A role; `hashed_password` is a bcrypt hash and stays out of every message."""

    superuser: bool
    login: bool
    member_of: frozenset[str]
    hashed_password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the decisions of this room look at.

    Attributes:
        nodes: Datacenter to number of nodes.
        settings: The node's settings this room cares about, as text.
    """

    nodes: Mapping[str, int]
    keyspaces: Mapping[str, FoundKeyspace]
    roles: Mapping[str, FoundRole]
    grants: frozenset[Grant]
    settings: Mapping[str, str | None]

    @property
    def open_guardrails(self) -> list[str]:
        """Guardrails that should stop DROP and TRUNCATE and do not."""
        return [name for name in DROP_GUARDRAILS if self.settings.get(name) != "false"]


def read_facts(session: Session, roles: Collection[str]) -> Facts:
    """Read the cluster as a superuser.

    Args:
        session: Logged in as a superuser.
        roles: The roles whose logins and grants matter.

    Raises:
        PermissionDeniedError: The login is not a superuser's.
        ConfigurationError: The cluster does not check logins or permissions.
    """
    settings = _settings(session)
    _check_authorisation(settings)
    try:
        found_roles = _roles(session, roles)
        listed = session.execute("LIST ALL PERMISSIONS", idempotent=True).rows
    except PermissionDeniedError as error:
        raise PermissionDeniedError(
            f"reading roles and grants needs a superuser: {error.message}",
            hint="Give the superuser's login folder, e.g. --login <secrets>/superuser.",
        ) from None
    grants = {
        Grant(row["role"], resource_from_listing(row["resource"]), row["permission"])
        for row in listed
        if row["role"] in roles
    }
    return Facts(_nodes(session), _keyspaces(session), found_roles, frozenset(grants), settings)


def _settings(session: Session) -> dict[str, str | None]:
    names = (*DROP_GUARDRAILS, *_WHO_CHECKS)
    markers = ", ".join("?" * len(names))
    rows = session.execute(
        f"SELECT name, value FROM system_views.settings WHERE name IN ({markers})",  # noqa: S608  (markers only)
        names,
        idempotent=True,
    )
    return {row["name"]: row["value"] for row in rows}


def _check_authorisation(settings: Mapping[str, str | None]) -> None:
    for name in _WHO_CHECKS:
        if (settings.get(name) or "").endswith(("AllowAllAuthenticator", "AllowAllAuthorizer")):
            raise ConfigurationError(
                f"the cluster runs with {name} {settings[name]}: roles would protect nothing",
                hint="Set PasswordAuthenticator and CassandraAuthorizer in cassandra.yaml.",
            )


def _nodes(session: Session) -> dict[str, int]:
    found: dict[str, int] = {}
    for table in ("local", "peers_v2"):
        # peers_v2 knows nodes that are down as well; they count, copies are kept on them too.
        for row in session.execute(f"SELECT data_center FROM system.{table}", idempotent=True):  # noqa: S608  (two constants)
            if row["data_center"]:
                found[row["data_center"]] = found.get(row["data_center"], 0) + 1
    return found


def _keyspaces(session: Session) -> dict[str, FoundKeyspace]:
    tables: dict[str, set[str]] = {}
    for row in session.execute(
        "SELECT keyspace_name, table_name FROM system_schema.tables", idempotent=True
    ):
        tables.setdefault(row["keyspace_name"], set()).add(row["table_name"])
    found = {}
    for row in session.execute("SELECT * FROM system_schema.keyspaces", idempotent=True):
        copies = dict(row["replication"])
        name = row["keyspace_name"]
        strategy = copies.pop("class").rsplit(".", 1)[-1]
        own = frozenset(tables.get(name, ()))
        found[name] = FoundKeyspace(strategy, copies, row["durable_writes"], own)
    return found


def _roles(session: Session, names: Collection[str]) -> dict[str, FoundRole]:
    rows = session.execute(
        "SELECT role, is_superuser, can_login, member_of, salted_hash FROM system_auth.roles",
        idempotent=True,
    )
    return {
        row["role"]: FoundRole(
            bool(row["is_superuser"]),
            bool(row["can_login"]),
            frozenset(row["member_of"] or ()),
            row["salted_hash"] or "",
        )
        for row in rows
        if row["role"] in names
    }
