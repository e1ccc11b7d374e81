"""The nodes of Cassandra as they see each other, through their system tables."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PermissionDeniedError, StatementError
from prefect_cassandra.kube.doctor.check import Check, fail, ok, skipped, warn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prefect_cassandra.driver.session import Session

RING, SCHEMA, RELEASE = "cassandra.ring", "cassandra.schema", "cassandra.version"
# A live node raises its heartbeat every second, and gossip carries it everywhere in about two.
_LISTEN = 10.0
_PAUSE = 1.0
_COLUMNS = "schema_version, release_version, data_center"
_LOCAL = f"SELECT broadcast_address AS address, {_COLUMNS} FROM system.local"  # noqa: S608 -- constants
_PEERS = f"SELECT peer AS address, {_COLUMNS} FROM system.peers_v2"  # noqa: S608 -- constants
_GOSSIP = (
    "SELECT address, generation, heartbeat, status_with_port, status FROM system_views.gossip_info"
)


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the ring.

    Args:
        address: By which the other nodes know it.
        datacenter: Where it is.
        schema: Version of the schema that it has; empty when it did not say.
        release: Version of Cassandra.
        state: Its own word, such as `NORMAL` or `LEAVING`; empty when it is not known.
        is_alive: Whether its heartbeat moves; None when that may not be looked at.
    """

    address: str
    datacenter: str = ""
    schema: str = ""
    release: str = ""
    state: str = ""
    is_alive: bool | None = None


def read_ring(session: Session) -> list[Node]:
    """Return the nodes as the connected one sees them; takes some seconds if one is down.

    Raises:
        UnreachableError: No node answers.
        AuthenticationError: The login is refused.
    """
    rows = [
        *session.execute(_LOCAL, idempotent=True).rows,
        *session.execute(_PEERS, idempotent=True).rows,
    ]
    nodes = [_node(row) for row in rows]
    try:
        return _listen(session, nodes)
    except (PermissionDeniedError, StatementError):
        # A role of an older installation, or a database without this table.
        return nodes


def _node(row: Mapping[str, Any]) -> Node:
    return Node(
        str(row["address"]),
        str(row["data_center"] or ""),
        str(row["schema_version"] or ""),
        str(row["release_version"] or ""),
    )


def _listen(session: Session, nodes: Sequence[Node]) -> list[Node]:
    """Look at the heartbeats until all have moved, or for so long that a live one would have."""
    first = _beats(session)
    deadline = time.monotonic() + _LISTEN
    while True:
        time.sleep(_PAUSE)
        now = _beats(session)
        alive = {
            address for address, beat in now.items() if beat[:2] > first.get(address, beat)[:2]
        }
        if alive >= {node.address for node in nodes} or time.monotonic() > deadline:
            return [
                replace(
                    node,
                    state=now[node.address][2] if node.address in now else "",
                    is_alive=node.address in alive,
                )
                for node in nodes
            ]


def _beats(session: Session) -> dict[str, tuple[int, int, str]]:
    return {
        str(row["address"]): (
            int(row["generation"] or 0),
            int(row["heartbeat"] or 0),
            _word(row["status_with_port"] or row["status"]),
        )
        for row in session.execute(_GOSSIP, idempotent=True).rows
    }


def _word(status: str | None) -> str:
    """Return the first word of a status such as `NORMAL,-123456`."""
    return (status or "").partition(",")[0]


def judge_ring(nodes: Sequence[Node], wanted: int) -> Check:
    """Say whether all nodes are there, up and normal.

    Args:
        nodes: As one of them sees the ring.
        wanted: How many there should be; 0 for a cluster that somebody else keeps.
    """
    down = [node.address for node in nodes if node.is_alive is False]
    odd = [f"{node.address} {node.state}" for node in nodes if node.state not in {"", "NORMAL"}]
    listed = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    if down:
        hint = "Their pods are among `pods`; `nodetool status` in another one shows the ring."
        return fail(RING, f"{listed}, down: {', '.join(down)}", hint)
    if wanted and len(nodes) < wanted:
        hint = "Nodes join one after the other; the log of the newest pod says how far it is."
        return fail(RING, f"{listed} of {wanted} have joined", hint)
    if wanted and len(nodes) > wanted:
        hint = "Nodes that were taken away must leave: `nodetool decommission` or `removenode`."
        return warn(RING, f"{listed}, but {wanted} are wanted", hint)
    if odd:
        hint = "It passes when the node is done; `nodetool netstats` shows how far it is."
        return warn(RING, f"{listed}, not normal: {', '.join(odd)}", hint)
    if any(node.is_alive is None for node in nodes):
        hint = "`helm upgrade` grants prefect_ledger the table system_views.gossip_info."
        return skipped(RING, f"{listed}; which are up may not be read", hint)
    return ok(RING, f"{listed}, up and normal")


def judge_agreement(nodes: Sequence[Node]) -> Check:
    """Say whether all nodes that are up have the same schema."""
    versions: dict[str, list[str]] = {}
    for node in nodes:
        if node.is_alive is not False:
            versions.setdefault(node.schema or "none", []).append(node.address)
    if len(versions) == 1:
        return ok(SCHEMA, f"all nodes have schema {next(iter(versions))[:8]}")
    shown = "; ".join(f"{key[:8]}: {', '.join(who)}" for key, who in sorted(versions.items()))
    hint = (
        "It passes within seconds of a change. If not: `nodetool describecluster`, then restart "
        "the nodes that are alone with theirs, one after the other. Change no schema meanwhile."
    )
    return fail(SCHEMA, f"the nodes disagree about the schema: {shown}", hint)


def judge_release(nodes: Sequence[Node]) -> Check:
    """Say whether all nodes run the same Cassandra."""
    versions = sorted({node.release for node in nodes})
    if len(versions) == 1:
        return ok(RELEASE, f"Cassandra {versions[0]} on all nodes")
    hint = "Finish the upgrade before the schema is changed or nodes are added."
    return warn(RELEASE, f"several versions of Cassandra: {', '.join(versions)}", hint)
