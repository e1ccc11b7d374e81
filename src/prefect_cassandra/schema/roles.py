"""Decides which role and grant statements are needed. Pure; `credentials.py` judges passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_cassandra.schema import grants
from prefect_cassandra.schema.cql import quote_name
from prefect_cassandra.schema.steps import PASSWORD_MARK, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.schema.cluster import Facts, FoundRole
    from prefect_cassandra.schema.grants import Grant


def role_steps(facts: Facts, applications: Sequence[str]) -> list[Step]:
    """Return the statements that bring roles and grants to what `grants.py` says.

    A password is set when its role is made and never again: another machine may hold the only file
    that has it. `rotate` and `apply(reset_passwords=True)` change passwords on purpose.
    """
    steps: list[Step] = []
    for role in grants.wanted_roles(applications):
        steps += _role(role, facts.roles.get(role))
    missing, extra = grant_drift(facts, applications)
    steps += [
        Step(_subject(cql), cql, note="more than the role should have")
        for cql in grants.statements(extra, "REVOKE")
    ]
    return steps + [Step(_subject(cql), cql) for cql in grants.statements(missing, "GRANT")]


def grant_drift(facts: Facts, applications: Sequence[str]) -> tuple[set[Grant], set[Grant]]:
    """Return the grants that are missing and those that are too many."""
    wanted = grants.wanted_grants(applications)
    extra = grants.extra_grants(facts.grants, wanted, facts.keyspaces)
    return wanted - facts.grants, extra


def role_faults(found: FoundRole | None, *, good_login: bool) -> list[str]:
    """Say what is wrong with one role itself, leaving its grants aside."""
    if found is None:
        return ["missing"]
    faults = ["is a superuser"] if found.superuser else []
    if not found.login:
        faults.append("cannot log in")
    if not good_login:
        faults.append("password file is missing or does not log in")
    return faults + [f"inherits from {parent}" for parent in sorted(found.member_of)]


def password_step(role: str) -> Step:
    """Return the statement that gives a role the password in its file."""
    cql = f"ALTER ROLE {quote_name(role)} WITH HASHED PASSWORD = '{PASSWORD_MARK}'"
    return Step(f"role {role}", cql, password_of=role)


def _role(role: str, found: FoundRole | None) -> list[Step]:
    name, subject = quote_name(role), f"role {role}"
    if found is None:
        cql = (
            f"CREATE ROLE IF NOT EXISTS {name} WITH HASHED PASSWORD = '{PASSWORD_MARK}' "
            "AND LOGIN = true AND SUPERUSER = false"
        )
        return [Step(subject, cql, password_of=role)]
    steps = []
    if found.superuser or not found.login:
        cql = f"ALTER ROLE {name} WITH SUPERUSER = false AND LOGIN = true"
        steps.append(Step(subject, cql, note="was changed by hand"))
    for parent in sorted(found.member_of):
        # A role inherits everything its parents may do, which no list of its own grants would show.
        cql = f"REVOKE {quote_name(parent)} FROM {name}"
        steps.append(Step(subject, cql, note=f"inherited from {parent}"))
    return steps


def _subject(cql: str) -> str:
    return f"grants of {cql.rsplit(' ', 1)[-1]}"
