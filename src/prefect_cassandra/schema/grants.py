"""Which roles there are, what each may do, and the statements between that and what is found.

| role | may |
|---|---|
| `prefect_owner` | CREATE, ALTER on every keyspace; SELECT, MODIFY on the bookkeeping tables |
| `prefect_state` | SELECT and MODIFY on `prefect_state` |
| `prefect_ledger` | SELECT and MODIFY on `prefect_ledger`; SELECT on the nodes' gossip |
| `<keyspace>_flow` | SELECT and MODIFY on its keyspace and on the ledger's tables of write stamps |
| `<keyspace>_reader` | SELECT on its keyspace |

Nobody is granted DROP. Cassandra gives the maker of a table every permission on that table, so the
owner, who made them, is stopped by the guardrail `drop_truncate_table_enabled: false` instead. It
also stops TRUNCATE, which is part of MODIFY. Guardrails do not hold superusers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.schema.cql import quote_name
from prefect_cassandra.schema.model import LEDGER, STATE
from prefect_cassandra.schema.records import BOOKKEEPING
from prefect_cassandra.schema.tables import STAMP_TABLES, TRAIL_TABLES, UNDO_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

OWNER = "prefect_owner"
# Loads adapt to the node's batch limits and timeouts, which this virtual table tells.
_NODE_SETTINGS = "TABLE system_views.settings"
# The doctor sees in it which nodes are up.
_GOSSIP = "TABLE system_views.gossip_info"


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One permission of one role; `resource` is written as CQL writes it."""

    role: str
    resource: str
    permission: str


def flow_role(keyspace: str) -> str:
    """Return the role that a keyspace's flows log in with."""
    return f"{keyspace}_flow"


def reader_role(keyspace: str) -> str:
    """Return the role that may only read a keyspace."""
    return f"{keyspace}_reader"


def wanted_roles(applications: Iterable[str]) -> list[str]:
    """Return every role of an installation, the owner first."""
    found = [OWNER, STATE, LEDGER]
    for keyspace in applications:
        found += [flow_role(keyspace), reader_role(keyspace)]
    return found


def wanted_grants(applications: Iterable[str]) -> set[Grant]:
    """Return exactly what the roles may do."""
    applications = list(applications)
    found = {
        Grant(OWNER, on_keyspace(keyspace), permission)
        for keyspace in (STATE, LEDGER, *applications)
        for permission in ("CREATE", "ALTER")
    }
    found |= {
        Grant(OWNER, on_table(LEDGER, table), permission)
        for table in BOOKKEEPING
        for permission in ("SELECT", "MODIFY")
    }
    writers = {STATE: STATE, LEDGER: LEDGER} | {flow_role(name): name for name in applications}
    for role, keyspace in writers.items():
        found |= {Grant(role, on_keyspace(keyspace), word) for word in ("SELECT", "MODIFY")}
        found.add(Grant(role, _NODE_SETTINGS, "SELECT"))
    found.add(Grant(LEDGER, _GOSSIP, "SELECT"))
    # A load takes its stamps itself, and says in the ledger what it wrote with them.
    found |= {
        Grant(flow_role(keyspace), on_table(LEDGER, table), word)
        for keyspace in applications
        for table in STAMP_TABLES | TRAIL_TABLES | UNDO_TABLES
        for word in ("SELECT", "MODIFY")
    }
    return found | {Grant(reader_role(name), on_keyspace(name), "SELECT") for name in applications}


def extra_grants(
    found: Iterable[Grant], wanted: set[Grant], keyspaces: Iterable[str]
) -> set[Grant]:
    """Return what managed roles may do and should not, leaving the maker of a table what it has."""
    roles = {grant.role for grant in wanted}
    made = tuple(f"TABLE {quote_name(keyspace)}." for keyspace in keyspaces)
    return {
        grant
        for grant in found
        if grant.role in roles
        and grant not in wanted
        and not (grant.role == OWNER and grant.resource.startswith(made))
    }


def statements(grants: Iterable[Grant], verb: str) -> list[str]:
    """Write grants as `GRANT ... TO` or `REVOKE ... FROM` statements, one per role and resource."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for grant in sorted(grants):
        grouped.setdefault((grant.role, grant.resource), []).append(grant.permission)
    to = {"GRANT": "TO", "REVOKE": "FROM"}[verb]
    return [
        f"{verb} {', '.join(permissions)} ON {resource} {to} {quote_name(role)}"
        for (role, resource), permissions in grouped.items()
    ]


def on_keyspace(keyspace: str) -> str:
    """Name a keyspace as a resource."""
    return f"KEYSPACE {quote_name(keyspace)}"


def on_table(keyspace: str, table: str) -> str:
    """Name a table as a resource."""
    return f"TABLE {quote_name(keyspace)}.{quote_name(table)}"


def resource_from_listing(text: str) -> str:
    """Turn a resource as `LIST ALL PERMISSIONS` shows it into CQL.

    `<table flights.planes>` becomes `TABLE flights.planes`. The forms are those of `toString` in
    `org.apache.cassandra.auth.*Resource`.
    """
    inner = text.strip("<>")
    if match := re.fullmatch(r"all (tables|functions) in (.+)", inner):
        return f"ALL {match[1].upper()} IN KEYSPACE {quote_name(match[2])}"
    if inner.startswith("all "):
        return inner.upper()
    kind, _, name = inner.partition(" ")
    if kind in ("keyspace", "role"):
        return f"{kind.upper()} {quote_name(name)}"
    if kind == "table":
        return on_table(*name.split(".", 1))
    return f"{kind.upper()} {name}"
