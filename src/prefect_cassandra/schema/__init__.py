"""Keyspaces, CQL migrations, roles and their passwords."""

from __future__ import annotations

from prefect_cassandra.schema.applying import Applied, apply, migrate, rotate
from prefect_cassandra.schema.bootstrap import bootstrap
from prefect_cassandra.schema.grants import flow_role, reader_role
from prefect_cassandra.schema.lock import LeaseRules
from prefect_cassandra.schema.model import Installation, Keyspaces, load_keyspaces
from prefect_cassandra.schema.planning import Plan, plan
from prefect_cassandra.schema.report import Status, status

__all__ = [
    "Applied",
    "Installation",
    "Keyspaces",
    "LeaseRules",
    "Plan",
    "Status",
    "apply",
    "bootstrap",
    "flow_role",
    "load_keyspaces",
    "migrate",
    "plan",
    "reader_role",
    "rotate",
    "status",
]
