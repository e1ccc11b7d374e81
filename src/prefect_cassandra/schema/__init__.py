"""Keyspaces, CQL migrations, roles and their passwords."""

from __future__ import annotations

from prefect_cassandra.schema.applying import Applied, apply, rotate
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
    "load_keyspaces",
    "plan",
    "rotate",
    "status",
]
