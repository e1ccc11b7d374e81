"""Decides what keyspaces need: made, altered or left alone. Pure; `cluster.py` reads the facts."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.schema.cql import quote_name, quote_text
from prefect_cassandra.schema.steps import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_cassandra.schema.cluster import FoundKeyspace

_STRATEGY = "NetworkTopologyStrategy"


def check_replication(
    keyspace: str, copies: Mapping[str, int], nodes: Mapping[str, int], environment: str
) -> None:
    """Compare a wanted replication with the datacenters that are really there.

    Raises:
        ConfigurationError: A datacenter does not exist, or has fewer nodes than copies are wanted.
    """
    there = ", ".join(f"{name} ({count} nodes)" for name, count in sorted(nodes.items()))
    for datacenter, count in copies.items():
        if datacenter not in nodes:
            close = difflib.get_close_matches(datacenter, list(nodes), n=1)
            raise ConfigurationError(
                f"{keyspace} in {environment}: there is no datacenter {datacenter!r}"
                + (f" (did you mean {close[0]!r}?)" if close else ""),
                hint=f"The cluster has: {there}. Is {environment!r} the right environment?",
            )
        if count > nodes[datacenter]:
            raise ConfigurationError(
                f"{keyspace} in {environment}: {count} copies in {datacenter}, which has "
                f"{nodes[datacenter]} nodes; a QUORUM could not be reached",
                hint=f"The cluster has: {there}. Add nodes first or lower the replication.",
            )


def keyspace_step(name: str, copies: Mapping[str, int], found: FoundKeyspace | None) -> Step | None:
    """Return what brings one keyspace to its replication, None when it is there."""
    body = f"{quote_name(name)} WITH replication = {_map(copies)} AND durable_writes = true"
    if found is None:
        return Step(f"keyspace {name}", f"CREATE KEYSPACE IF NOT EXISTS {body}")
    if not _differs(copies, found):
        return None
    return Step(f"keyspace {name}", f"ALTER KEYSPACE {body}", note=_advice(name, copies, found))


def describe(found: FoundKeyspace) -> str:
    """Show a found replication, e.g. `dc1: 3`, with the strategy when it is not the usual one."""
    copies = ", ".join(f"{name}: {count}" for name, count in sorted(found.copies.items()))
    text = copies if found.strategy == _STRATEGY else f"{found.strategy} {copies}".rstrip()
    return text if found.durable_writes else f"{text}, durable_writes off"


def _differs(copies: Mapping[str, int], found: FoundKeyspace) -> bool:
    wanted = {name: str(count) for name, count in copies.items()}
    return found.strategy != _STRATEGY or found.copies != wanted or not found.durable_writes


def _advice(name: str, copies: Mapping[str, int], found: FoundKeyspace) -> str:
    note = f"replication was {describe(found)}"
    before = found.copies if found.strategy == _STRATEGY else {}
    new = [dc for dc, _ in copies.items() if dc not in before]
    grown = [dc for dc, count in copies.items() if dc in before and count > int(before[dc])]
    if new and before:
        note += f"; run `nodetool rebuild -ks {name} <old datacenter>` in {', '.join(new)}"
    if grown or not before:
        note += (
            f"; new copies are empty until `nodetool repair --full {name}` has run on every node"
        )
    return note


def _map(copies: Mapping[str, int]) -> str:
    pairs = [f"{quote_text(name)}: '{count}'" for name, count in copies.items()]
    return "{" + ", ".join([f"'class': '{_STRATEGY}'", *pairs]) + "}"
