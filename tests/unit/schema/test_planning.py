from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.schema.cluster import Facts, FoundKeyspace, FoundRole
from prefect_cassandra.schema.grants import wanted_grants, wanted_roles
from prefect_cassandra.schema.model import Application, Environment, Installation, Keyspaces
from prefect_cassandra.schema.planning import Found, decide
from prefect_cassandra.schema.report import compare
from prefect_cassandra.schema.tables import LEDGER_TABLES

GUARDED = {"drop_truncate_table_enabled": "false", "drop_keyspace_enabled": "false"}


def installation() -> Installation:
    keyspaces = Keyspaces(
        environments={"local": Environment(replication={"dc1": 1})},
        keyspaces={"flights": Application(migrations=Path("flights"))},
    )
    return Installation(keyspaces, "local", Path("secrets"))


def keyspace(tables: frozenset[str] = frozenset(), copies: str = "1") -> FoundKeyspace:
    return FoundKeyspace(
        "NetworkTopologyStrategy", {"dc1": copies}, durable_writes=True, tables=tables
    )


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {
        "nodes": {"dc1": 1},
        "keyspaces": {
            "prefect_state": keyspace(),
            "prefect_ledger": keyspace(frozenset(LEDGER_TABLES)),
            "flights": keyspace(),
            "system_auth": keyspace(),
        },
        "roles": {
            name: FoundRole(
                superuser=False, login=True, member_of=frozenset(), hashed_password="hash"
            )
            for name in wanted_roles(["flights"])
        },
        "grants": frozenset(wanted_grants(["flights"])),
        "settings": GUARDED,
    }
    return Facts(**(values | changes))


def found(here: Facts, **changes: Any) -> Found:
    complete = Found(here, {"flights": []}, {"flights": {}}, frozenset(here.roles), ())
    return replace(complete, **changes)


def test_a_cluster_as_wanted_needs_nothing_and_is_ok() -> None:
    plan = decide(installation(), found(facts()))
    assert plan.is_empty
    assert plan.notes == ()
    assert compare(installation(), found(facts()), None).ok


def test_an_empty_cluster_gets_bookkeeping_then_keyspaces_then_roles_then_grants() -> None:
    empty = facts(keyspaces={}, roles={}, grants=frozenset())
    plan = decide(installation(), found(empty))
    words = [" ".join(step.cql.split()[:2]) for step in plan.statements]
    assert [word for at, word in enumerate(words) if word not in words[:at]] == [
        "CREATE KEYSPACE",
        "CREATE TABLE",
        "CREATE ROLE",
        "GRANT MODIFY,",
        "GRANT SELECT",
        "GRANT ALTER,",
    ]
    assert [step.subject for step in plan.bookkeeping] == [
        "keyspace prefect_ledger",
        "table prefect_ledger.schema_migrations",
        "table prefect_ledger.schema_locks",
        "table prefect_ledger.canary",
        "table prefect_ledger.stamp_clocks",
        "table prefect_ledger.stamp_blocks",
        "table prefect_ledger.load_blocks",
        "table prefect_ledger.load_chunks",
        "table prefect_ledger.run_blocks",
        "table prefect_ledger.person_blocks",
        "table prefect_ledger.undoings",
        "table prefect_ledger.unfinished",
        "table prefect_ledger.before_images",
        "table prefect_ledger.flow_versions",
    ]
    assert {step.login for step in plan.statements} == {"superuser"}


def test_a_role_whose_file_does_not_log_in_is_named_and_no_statement_changes_it() -> None:
    plan = decide(installation(), found(facts(), good_logins=frozenset({"prefect_owner"})))
    assert set(plan.lost_logins) == set(wanted_roles(["flights"])) - {"prefect_owner"}
    assert plan.statements == []
    assert not plan.is_empty


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("drop_truncate_table_enabled", "TRUNCATE by flows"),
        ("drop_keyspace_enabled", "DROP KEYSPACE by"),
    ],
)
def test_a_guardrail_that_is_off_is_said_and_is_not_ok(name: str, said: str) -> None:
    open_node = found(facts(settings=GUARDED | {name: "true"}))
    (note,) = decide(installation(), open_node).notes
    assert said in note
    status = compare(installation(), open_node, None)
    assert not status.ok
    assert [key for key, holds in status.guardrails.items() if not holds] == [name]


def test_logins_that_are_kept_less_often_than_data_are_noted() -> None:
    spread = Installation(
        Keyspaces(environments={"three": Environment(replication={"dc1": 3})}),
        "three",
        Path("secrets"),
    )
    auth = FoundKeyspace(
        "SimpleStrategy", {"replication_factor": "1"}, durable_writes=True, tables=frozenset()
    )
    here = facts(nodes={"dc1": 3}, keyspaces={"system_auth": auth})
    (note,) = decide(spread, found(here, migrations={}, records={})).notes
    assert "system_auth is kept as SimpleStrategy replication_factor: 1" in note


def test_an_environment_that_is_not_this_cluster_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no datacenter 'dc1'"):
        decide(installation(), found(facts(nodes={"east": 3})))
