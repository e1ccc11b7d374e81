"""Says how the cluster compares with the file, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.schema import grants, planning
from prefect_cassandra.schema.cluster import DROP_GUARDRAILS
from prefect_cassandra.schema.keyspaces import describe, keyspace_step
from prefect_cassandra.schema.lock import read_holder
from prefect_cassandra.schema.migrations import changed
from prefect_cassandra.schema.model import LEDGER, ORCHESTRATION
from prefect_cassandra.schema.records import LOCKS
from prefect_cassandra.schema.roles import grant_drift, role_faults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.schema.migrations import Migration, Record
    from prefect_cassandra.schema.model import Installation
    from prefect_cassandra.schema.planning import Found

MigrationState = Literal["applied", "pending", "running", "changed", "unknown"]


@dataclass(frozen=True, slots=True)
class KeyspaceStatus:
    """One keyspace; `found` is None when it is missing."""

    name: str
    purpose: Literal["orchestration", "application"]
    wanted: str
    found: str | None
    drifted: bool


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration. `unknown`: applied, and not in the folder."""

    keyspace: str
    number: int
    name: str
    state: MigrationState
    statements: int
    done: int
    applied_at: datetime | None
    applied_by: str | None


@dataclass(frozen=True, slots=True)
class RoleStatus:
    """One role and what is wrong with it; nothing when it is as it should be."""

    name: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """The whole comparison.

    Attributes:
        guardrails: Name to whether it stops DROP and TRUNCATE as it should.
        lock: Who changes the schema at this moment, as text.
        notes: What else a person should know; does not make the status bad.
    """

    environment: str
    keyspaces: tuple[KeyspaceStatus, ...]
    migrations: tuple[MigrationStatus, ...]
    roles: tuple[RoleStatus, ...]
    guardrails: Mapping[str, bool]
    lock: str | None
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is pending, changed or drifted and the guardrails hold."""
        return (
            not any(keyspace.drifted for keyspace in self.keyspaces)
            and all(migration.state == "applied" for migration in self.migrations)
            and not any(role.faults for role in self.roles)
            and all(self.guardrails.values())
        )


def status(config: ClusterConfig, installation: Installation) -> Status:
    """Compare the cluster with the file; changes nothing.

    Args:
        config: Connection of a superuser.
        installation: The file, the environment and the password files.

    Raises:
        ConfigurationError: The environment is not in the file, or the cluster checks no logins.
        SchemaError: A migration file cannot be read.
        PermissionDeniedError: The connection is not a superuser's.
    """
    found = planning.look(config, installation)
    ledger = found.facts.keyspaces.get(LEDGER)
    lock = None
    if ledger is not None and LOCKS in ledger.tables:
        holder = read_holder(shared_session(config))
        lock = str(holder) if holder is not None and holder.owner is not None else None
    return compare(installation, found, lock)


def compare(installation: Installation, found: Found, lock: str | None) -> Status:
    """Turn what was found into a status. Pure."""
    replication = installation.replication
    return Status(
        environment=installation.environment,
        keyspaces=tuple(_keyspace(name, copies, found) for name, copies in replication.items()),
        migrations=tuple(
            row
            for name, migrations in found.migrations.items()
            for row in migration_rows(name, migrations, found.records[name])
        ),
        roles=tuple(_roles(installation.applications, found)),
        guardrails={name: name not in found.facts.open_guardrails for name in DROP_GUARDRAILS},
        lock=lock,
        notes=tuple(planning.warnings(found.facts, replication)),
    )


def migration_rows(
    keyspace: str, migrations: Sequence[Migration], records: Mapping[int, Record]
) -> list[MigrationStatus]:
    """Pair files and records by number."""
    files = {migration.number: migration for migration in migrations}
    return [
        _migration(keyspace, files.get(number), records.get(number))
        for number in sorted({*files, *records})
    ]


def _migration(keyspace: str, file: Migration | None, record: Record | None) -> MigrationStatus:
    state: MigrationState = "pending"
    if file is None:
        state = "unknown"
    elif record is not None and changed(file, record):
        state = "changed"
    elif record is not None:
        state = "applied" if record.state == "APPLIED" else "running"
    known = file or record
    assert known is not None  # noqa: S101  (a number comes from one of the two)
    statements = len(file.statements) if file else (record.statements if record else 0)
    return MigrationStatus(
        keyspace,
        known.number,
        known.name,
        state,
        statements,
        record.done if record else 0,
        record.applied_at if record else None,
        record.applied_by if record else None,
    )


def _keyspace(name: str, copies: Mapping[str, int], found: Found) -> KeyspaceStatus:
    there = found.facts.keyspaces.get(name)
    return KeyspaceStatus(
        name,
        "orchestration" if name in ORCHESTRATION else "application",
        ", ".join(f"{datacenter}: {count}" for datacenter, count in sorted(copies.items())),
        describe(there) if there else None,
        keyspace_step(name, copies, there) is not None,
    )


def _roles(applications: list[str], found: Found) -> list[RoleStatus]:
    missing, extra = grant_drift(found.facts, applications)
    rows = []
    for name in grants.wanted_roles(applications):
        role = found.facts.roles.get(name)
        faults = role_faults(role, good_login=name in found.good_logins)
        if role is not None:
            lacking = sorted(grant for grant in missing if grant.role == name)
            faults += [f"lacks {grant.permission} on {grant.resource}" for grant in lacking]
        surplus = sorted(grant for grant in extra if grant.role == name)
        faults += [f"has {grant.permission} on {grant.resource}" for grant in surplus]
        rows.append(RoleStatus(name, tuple(faults)))
    return rows
