"""The pages about the schema say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from prefect_cassandra.schema.cql import split
from prefect_cassandra.schema.grants import wanted_grants
from prefect_cassandra.schema.rules import check

DOCS = Path(__file__).parents[3] / "docs"


def test_the_table_of_roles_has_every_grant_and_no_other() -> None:
    page = (DOCS / "reference/roles.md").read_text()
    rows = re.findall(r"^\| (?:`(\S+)`)? ?\| (.+?) \| ([A-Z, ]+) \| .+ \|$", page, re.MULTILINE)
    role, said = "", set()
    for name, resource, permissions in rows:
        role = (name or role).replace("<keyspace>", "flights")
        for keyspace in keyspaces(resource):
            said |= {(role, keyspace, word) for word in permissions.split(", ")}
    assert said == {
        (grant.role, grant.resource.split(" ")[1], grant.permission)
        for grant in wanted_grants(["flights"])
    }


def keyspaces(resource: str) -> list[str]:
    named = re.findall(r"`(\S+)`", resource)
    return named if named and "keyspace" not in resource else [*named, "flights"]


def test_the_migration_of_the_how_to_is_allowed() -> None:
    page = (DOCS / "how-to/migrate-the-schema.md").read_text()
    (example,) = re.findall(r"```cql\n(.*?)```", page, re.DOTALL)
    changes = [check(statement, "flights") for statement in split(example)]
    assert [(change.action, change.name) for change in changes] == [
        ("CREATE", "by_gate_day"),
        ("ALTER", "airlines"),
    ]


def test_every_option_of_the_how_to_exists() -> None:
    page = (DOCS / "how-to/migrate-the-schema.md").read_text()
    cli = DOCS.parent / "src/prefect_cassandra/cli"
    source = (cli / "schema.py").read_text() + (cli / "connecting.py").read_text()
    options = set(re.findall(r"--([a-z][a-z-]+)", page)) - {"full"}
    assert len(options) >= 8
    assert {name for name in options if name.replace("-", "_") not in source} == set()
