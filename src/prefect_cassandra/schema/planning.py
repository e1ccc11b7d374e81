"""Puts the decisions together: what `apply` would do, without doing any of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.schema import grants
from prefect_cassandra.schema.cluster import read_facts
from prefect_cassandra.schema.credentials import PasswordFolder
from prefect_cassandra.schema.keyspaces import check_replication, describe, keyspace_step
from prefect_cassandra.schema.migrations import pending, read_folders
from prefect_cassandra.schema.model import LEDGER, STATE
from prefect_cassandra.schema.records import MIGRATIONS, once_known, read_records
from prefect_cassandra.schema.roles import role_steps
from prefect_cassandra.schema.steps import Step
from prefect_cassandra.schema.tables import LEDGER_TABLES, STATE_TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.schema.cluster import Facts
    from prefect_cassandra.schema.migrations import Migration, Pending, Record
    from prefect_cassandra.schema.model import Installation


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order.

    Attributes:
        bookkeeping: Statements that make the ledger: lock, records, versions of deployments.
        steps: Keyspaces, roles and grants.
        migrations: Migrations to carry out.
        folders: Keyspace to all its migrations, carried out or not.
        rotations: Roles whose password rotation was interrupted and will be finished.
        lost_logins: Roles that exist and whose password file is missing or does not log in.
        notes: What a person should know, e.g. a guardrail that is off.
    """

    environment: str
    bookkeeping: tuple[Step, ...]
    steps: tuple[Step, ...]
    migrations: tuple[Pending, ...]
    folders: Mapping[str, Sequence[Migration]]
    rotations: tuple[str, ...]
    lost_logins: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the cluster already is as the file says."""
        changes = (self.bookkeeping, self.steps, self.migrations, self.rotations, self.lost_logins)
        return not any(changes)

    @property
    def statements(self) -> list[Step]:
        """Every statement that would be sent, migrations cut into theirs."""
        cut = [
            Step(item.migration.label, statement.text, login="owner")
            for item in self.migrations
            for statement in item.migration.statements[item.done :]
        ]
        return [*self.bookkeeping, *self.steps, *cut]


@dataclass(frozen=True, slots=True)
class Found:
    """Everything read before deciding: the cluster, the folders and the records."""

    facts: Facts
    migrations: Mapping[str, Sequence[Migration]]
    records: Mapping[str, Mapping[int, Record]]
    good_logins: frozenset[str]
    rotations: tuple[str, ...]


def plan(config: ClusterConfig, installation: Installation) -> Plan:
    """Say what `apply` would do; changes nothing.

    Args:
        config: Connection of a superuser.
        installation: The file, the environment and the password files.

    Raises:
        ConfigurationError: The environment is not in the file, or does not fit the cluster.
        SchemaError: A migration cannot be applied as it stands.
        PermissionDeniedError: The connection is not a superuser's.
    """
    return decide(installation, look(config, installation))


def look(config: ClusterConfig, installation: Installation) -> Found:
    """Read everything a decision needs; files first, so that a wrong one costs no connection."""
    installation.keyspaces.environment(installation.environment)
    migrations = read_folders(installation.keyspaces)
    session = shared_session(config)
    folder = PasswordFolder(installation.secrets)
    roles = grants.wanted_roles(installation.applications)
    facts = read_facts(session, roles)
    ledger = facts.keyspaces.get(LEDGER)
    recorded = ledger is not None and MIGRATIONS in ledger.tables
    return Found(
        facts=facts,
        migrations=migrations,
        records={
            name: once_known(partial(read_records, session, name)) if recorded else {}
            for name in migrations
        },
        good_logins=frozenset(
            name for name, role in facts.roles.items() if folder.agrees(name, role.hashed_password)
        ),
        rotations=tuple(role for role in roles if folder.is_rotating(role)),
    )


def decide(installation: Installation, found: Found) -> Plan:
    """Turn what was found into a plan. Pure."""
    replication = installation.replication
    for name, copies in replication.items():
        check_replication(name, copies, found.facts.nodes, installation.environment)
    first = _bookkeeping(replication, found.facts)
    steps = [
        step
        for name, copies in replication.items()
        if (step := keyspace_step(name, copies, found.facts.keyspaces.get(name)))
        if step not in first
    ]
    steps += _missing_tables(STATE, STATE_TABLES, found.facts)
    waiting = [
        item
        for name, migrations in found.migrations.items()
        for item in pending(name, migrations, found.records[name])
    ]
    roles = role_steps(found.facts, installation.applications)
    lost = tuple(role for role in found.facts.roles if role not in found.good_logins)
    return Plan(
        environment=installation.environment,
        bookkeeping=tuple(first),
        steps=(*steps, *roles),
        migrations=tuple(waiting),
        folders=found.migrations,
        rotations=found.rotations,
        lost_logins=lost,
        notes=tuple(warnings(found.facts, replication)),
    )


def warnings(facts: Facts, replication: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say what `apply` cannot mend: guardrails and the replication of the logins themselves."""
    notes = [
        f"the guardrail {name} does not stop anybody: set it to false in cassandra.yaml, else "
        f"{what} is possible without a superuser"
        for name, what in (
            ("drop_truncate_table_enabled", "TRUNCATE by flows and DROP TABLE by the owner"),
            ("drop_keyspace_enabled", "DROP KEYSPACE by whoever made one"),
        )
        if name in facts.open_guardrails
    ]
    auth = facts.keyspaces.get("system_auth")
    for datacenter, copies in replication[LEDGER].items():
        kept = 0
        if auth is not None:
            kept = int(auth.copies.get(datacenter, auth.copies.get("replication_factor", 0)))
        if auth is not None and kept < copies:
            notes.append(
                f"system_auth is kept as {describe(auth)}: with {copies} copies wanted in "
                f"{datacenter}, losing a node would lose logins that the data survives"
            )
    return notes


def _bookkeeping(replication: Mapping[str, Mapping[str, int]], facts: Facts) -> list[Step]:
    ledger = facts.keyspaces.get(LEDGER)
    steps = []
    if ledger is None and (step := keyspace_step(LEDGER, replication[LEDGER], None)):
        steps.append(step)
    return steps + _missing_tables(LEDGER, LEDGER_TABLES, facts)


def _missing_tables(keyspace: str, tables: Mapping[str, str], facts: Facts) -> list[Step]:
    """Make the tables that a keyspace of the orchestration does not have yet."""
    found = facts.keyspaces.get(keyspace)
    there = found.tables if found else frozenset()
    return [
        Step(f"table {keyspace}.{table}", cql)
        for table, cql in tables.items()
        if table not in there
    ]
