from __future__ import annotations

from dataclasses import replace

import pytest

from prefect_cassandra.schema.cluster import Facts, FoundKeyspace, FoundRole
from prefect_cassandra.schema.grants import (
    Grant,
    resource_from_listing,
    wanted_grants,
    wanted_roles,
)
from prefect_cassandra.schema.roles import role_steps

APPS = ["flights"]
FORBIDDEN = {"DROP", "ALTER", "CREATE", "AUTHORIZE", "EXECUTE", "DESCRIBE"}


def facts() -> Facts:
    """A cluster that is exactly as it should be."""
    keyspace = FoundKeyspace("NetworkTopologyStrategy", {"dc1": "1"}, True, frozenset())  # noqa: FBT003  (a row)
    return Facts(
        nodes={"dc1": 1},
        keyspaces=dict.fromkeys(("prefect_state", "prefect_ledger", "flights"), keyspace),
        roles={name: FoundRole(False, True, frozenset(), "") for name in wanted_roles(APPS)},  # noqa: FBT003  (a row)
        grants=frozenset(wanted_grants(APPS)),
        settings={},
    )


def cql(found: Facts) -> list[str]:
    return [step.cql for step in role_steps(found, APPS)]


def test_nothing_is_done_when_everything_is_as_it_should_be() -> None:
    assert cql(facts()) == []


STAMPS = (
    "stamp_clocks",
    "stamp_blocks",
    "load_blocks",
    "load_chunks",
    "run_blocks",
    "person_blocks",
    "undoings",
    "unfinished",
    "before_images",
)


def test_flow_roles_read_and_write_their_own_keyspace_and_what_stamps_need_only() -> None:
    own = {grant for grant in wanted_grants(["flights", "weather"]) if grant.role == "flights_flow"}
    assert own == {
        Grant("flights_flow", "KEYSPACE flights", "SELECT"),
        Grant("flights_flow", "KEYSPACE flights", "MODIFY"),
        Grant("flights_flow", "TABLE system_views.settings", "SELECT"),
    } | {
        Grant("flights_flow", f"TABLE prefect_ledger.{table}", word)
        for table in STAMPS
        for word in ("SELECT", "MODIFY")
    }


def test_nobody_but_the_owner_may_change_the_schema_and_nobody_may_drop() -> None:
    wanted = wanted_grants(["flights", "weather"])
    assert {grant.role for grant in wanted if grant.permission in FORBIDDEN} == {"prefect_owner"}
    assert {grant.permission for grant in wanted} == {"SELECT", "MODIFY", "CREATE", "ALTER"}


def test_a_missing_role_is_made_with_a_hash_and_without_superuser() -> None:
    found = facts()
    roles = {name: role for name, role in found.roles.items() if name != "flights_flow"}
    (step,) = role_steps(replace(found, roles=roles), APPS)
    assert step.cql.startswith("CREATE ROLE IF NOT EXISTS flights_flow WITH HASHED PASSWORD")
    assert "SUPERUSER = false" in step.cql
    assert step.password_of == "flights_flow"


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (
            FoundRole(True, True, frozenset(), ""),  # noqa: FBT003  (a row)
            "ALTER ROLE flights_flow WITH SUPERUSER = false AND LOGIN = true",
        ),
        (
            FoundRole(False, False, frozenset(), ""),  # noqa: FBT003  (a row)
            "ALTER ROLE flights_flow WITH SUPERUSER = false AND LOGIN = true",
        ),
        (FoundRole(False, True, frozenset({"dba"}), ""), "REVOKE dba FROM flights_flow"),  # noqa: FBT003  (a row)
    ],
)
def test_a_role_that_was_changed_by_hand_is_put_back(role: FoundRole, expected: str) -> None:
    found = facts()
    assert cql(replace(found, roles={**found.roles, "flights_flow": role})) == [expected]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (
            Grant("flights_flow", "KEYSPACE flights", "DROP"),
            "REVOKE DROP ON KEYSPACE flights FROM flights_flow",
        ),
        (
            Grant("flights_reader", "KEYSPACE flights", "MODIFY"),
            "REVOKE MODIFY ON KEYSPACE flights FROM flights_reader",
        ),
        (
            Grant("flights_flow", "ALL KEYSPACES", "SELECT"),
            "REVOKE SELECT ON ALL KEYSPACES FROM flights_flow",
        ),
        (
            Grant("prefect_owner", "KEYSPACE flights", "DROP"),
            "REVOKE DROP ON KEYSPACE flights FROM prefect_owner",
        ),
    ],
)
def test_a_grant_too_many_is_revoked(extra: Grant, expected: str) -> None:
    found = facts()
    assert cql(replace(found, grants=found.grants | {extra})) == [expected]


@pytest.mark.parametrize(
    "spared",
    [
        Grant("prefect_owner", "TABLE flights.planes", "DROP"),
        Grant("somebody", "ALL KEYSPACES", "DROP"),
    ],
)
def test_what_the_maker_of_a_table_has_and_what_strangers_have_is_left_alone(spared: Grant) -> None:
    found = facts()
    assert cql(replace(found, grants=found.grants | {spared})) == []


def test_missing_grants_are_given_together() -> None:
    found = facts()
    left = frozenset(g for g in found.grants if g.resource != "KEYSPACE flights")
    assert cql(replace(found, grants=left)) == [
        "GRANT MODIFY, SELECT ON KEYSPACE flights TO flights_flow",
        "GRANT SELECT ON KEYSPACE flights TO flights_reader",
        "GRANT ALTER, CREATE ON KEYSPACE flights TO prefect_owner",
    ]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("<keyspace flights>", "KEYSPACE flights"),
        ("<table flights.planes>", "TABLE flights.planes"),
        ("<table flights.Odd>", 'TABLE flights."Odd"'),
        ("<all keyspaces>", "ALL KEYSPACES"),
        ("<all tables in flights>", "ALL TABLES IN KEYSPACE flights"),
        ("<all functions in flights>", "ALL FUNCTIONS IN KEYSPACE flights"),
        ("<all roles>", "ALL ROLES"),
        ("<role dba>", "ROLE dba"),
        ("<all mbeans>", "ALL MBEANS"),
    ],
)
def test_resources_are_read_as_the_server_lists_them(listed: str, expected: str) -> None:
    assert resource_from_listing(listed) == expected
