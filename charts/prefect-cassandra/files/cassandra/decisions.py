"""What a Cassandra pod decides before Java starts: pure functions of what it can see.

A node in its own list of seeds joins without asking anyone for data. That is right exactly
twice: for the very first node of a cluster, and for a node that has joined before. Anywhere else it
makes a replica that is empty and tells nobody. No object in Kubernetes remembers which case
it is; the disks do, so the pods are asked about their disks:

- the readiness of a node to answer CQL proves that it has joined, as the CQL port opens after that;
  the startup probe then leaves a mark on the volume;
- a pod that waits here tells whoever asks whether its disk is empty (`wire.Beacon`).

Runs on the Python of the Cassandra image: standard library only, 3.9 and later; and only its light
parts, because every probe starts Python anew.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEBIBYTE = 1024 * 1024

# As many seeds as Cassandra's own advice asks for; more only make gossip chattier.
_SEEDS = 3

# Below it the collector's own bookkeeping is the larger part of G1.
_SMALL_HEAP = 1024 * MEBIBYTE

_LEAST_HEAP = 512 * MEBIBYTE
# Above it object references double in size.
_MOST_HEAP = 31 * 1024 * MEBIBYTE


class Disk(enum.Enum):
    """What is on this pod's volume."""

    EMPTY = "empty"
    # Written to, but not known to have joined: a first start that was cut short, or a volume that
    # came from elsewhere.
    UNPROVEN = "unproven"
    JOINED = "joined"


class Peer(enum.Enum):
    """What another pod of the StatefulSet is known to be."""

    # It answers CQL, so it has joined and others can join through it.
    MEMBER = "member"
    # It waits, and its disk is empty.
    EMPTY = "empty"
    # It waits, and there is something on its disk.
    UNPROVEN = "unproven"
    # Not scheduled, not resolvable, or Java is starting: nothing is known.
    SILENT = "silent"


class Role(enum.Enum):
    """As what a node starts, which is a matter of who its seeds are."""

    # Itself alone: it would wait half a minute for seeds that do not run yet.
    FIRST = "first node"
    # Others alone, so that it asks them for its share of the data.
    JOINER = "joining"
    # Others and itself. It has its data and needs nobody's permission, and a node that finds no
    # seed at all does not start.
    MEMBER = "member"


class Decision(NamedTuple):
    """Whether to start now, and as what.

    Args:
        role: As what to start Java; None means to look again in a moment.
        reason: For the log.
    """

    role: Role | None
    reason: str


def decide(ordinal: int, disk: Disk, peers: Mapping[int, Peer]) -> Decision:
    """Decide about the start of one pod.

    Args:
        ordinal: The number at the end of the pod's name.
        disk: What is on its volume.
        peers: Every other ordinal of the StatefulSet, and what is known of it.
    """
    if disk is Disk.JOINED:
        # All nodes with data start at once: after a power cut nobody could answer anybody.
        return Decision(Role.MEMBER, "this disk holds a node that has joined before")
    if ordinal > 0:
        return _join_after_lower(ordinal, disk, peers)
    members = _with(peers, Peer.MEMBER)
    if members:
        reason = f"{disk.value}; the cluster exists: node {members[0]} answers"
        return Decision(Role.JOINER, reason)
    unproven = _with(peers, Peer.UNPROVEN)
    if unproven and disk is Disk.EMPTY:
        return Decision(
            None,
            f"node {_listed(unproven)} has data but no mark that it had joined; if these are "
            "volumes of an older cluster, put an empty file `joined` next to their `data` folder",
        )
    silent = _with(peers, Peer.SILENT)
    if silent:
        return Decision(
            None,
            f"node {_listed(silent)} has not said whether its disk is empty; until then this one "
            "cannot tell a new cluster from its own lost disk",
        )
    # With data of its own it is a first start that was cut short, or the first of volumes that came
    # from elsewhere: those have joined, and being its own seed changes nothing for such a node.
    return Decision(Role.FIRST, f"{disk.value}; first node, no other has joined")


def _join_after_lower(ordinal: int, disk: Disk, peers: Mapping[int, Peer]) -> Decision:
    """Let nodes join one after another, which is what a consistent bootstrap needs."""
    missing = [lower for lower in range(ordinal) if peers.get(lower) is not Peer.MEMBER]
    if missing:
        return Decision(None, f"{disk.value}; joins after node {_listed(missing)} answers CQL")
    return Decision(Role.JOINER, f"{disk.value}; every lower node answers, joining")


def seed_ordinals(ordinal: int, replicas: int, role: Role) -> list[int]:
    """List the ordinals whose names are this node's seeds."""
    if role is Role.FIRST:
        return [ordinal]
    others = [one for one in range(min(_SEEDS, replicas)) if one != ordinal]
    return [*others, ordinal] if role is Role.MEMBER else others


def rack(ordinal: int, racks: Sequence[str]) -> str:
    """Return the rack: tied to the ordinal as the volume is, for a node must never change it."""
    return racks[ordinal % len(racks)]


def ordinal_of(pod: str) -> int:
    """Return 2 for `pc-cassandra-2`."""
    number = pod.rpartition("-")[2]
    if not number.isdigit():
        raise ValueError(f"{pod!r} is not the name of a pod of a StatefulSet")
    return int(number)


def heap_bytes(limit: int) -> int:
    """Return the heap for a memory limit: half, as Cassandra works outside of it just as much."""
    return min(max(limit // 2, _LEAST_HEAP), _MOST_HEAP)


def parse_size(text: str) -> int:
    """Return the bytes of `512M`, `4G` or `4096`, as Java writes sizes."""
    units = {"K": 1024, "M": MEBIBYTE, "G": 1024 * MEBIBYTE}
    unit = units.get(text[-1:].upper(), 1)
    return int(text[:-1] if unit > 1 else text) * unit


def memory_options(heap: int, limit: int) -> list[str]:
    """Size the memory so that heap and direct buffers leave a quarter of the limit to the rest."""
    megabytes = heap // MEBIBYTE
    direct = max((limit - heap) // 2 // MEBIBYTE, 256)
    options = [f"-Xms{megabytes}M", f"-Xmx{megabytes}M", f"-XX:MaxDirectMemorySize={direct}M"]
    if heap < _SMALL_HEAP:
        # Touching all of it at the start would make an idle node as big as a busy one.
        return [*options, "-XX:+UseSerialGC"]
    return [*options, "-XX:+AlwaysPreTouch", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=300"]


def first_start_options(replicas: int) -> list[str]:
    """Choose what matters before anyone can log in.

    With copies of the logins on several nodes the default login can only be written once those are
    up, so it is tried often; a lone node need not wait for gossip about others.
    """
    copies = min(_SEEDS, replicas)
    options = [f"-Dcassandra.system_auth.default_rf={copies}"]
    if replicas == 1:
        return [
            *options,
            "-Dcassandra.superuser_setup_delay_ms=0",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        ]
    return [*options, "-Dcassandra.superuser_setup_delay_ms=500"]


def version_options(text: str) -> str:
    """Keep of the image's `jvm17-server.options` what belongs to its version.

    The opened modules and the properties must match the jars; collector and memory are ours, and
    Java refuses two collectors.
    """
    kept = [line for line in text.splitlines() if line.startswith(("--add-", "-D"))]
    return "\n".join(kept) + "\n"


def node_config(
    base: Mapping[str, object], address: str, seeds: Sequence[str], *, corretto: bool
) -> dict[str, object]:
    """Add to the chart's cassandra.yaml what only this pod knows."""
    # On loopback as well, for `kubectl port-forward` and for cqlsh in the pod.
    everywhere = "::" if ":" in address else "0.0.0.0"  # noqa: S104 - NetworkPolicies guard it
    config: dict[str, object] = {
        **base,
        "listen_address": address,
        "rpc_address": everywhere,
        "broadcast_rpc_address": address,
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": ",".join(seeds)}],
            }
        ],
    }
    if not corretto:
        # Cassandra's default needs Amazon Corretto's provider, which an image may lack.
        config.setdefault(
            "crypto_provider", [{"class_name": "org.apache.cassandra.security.JREProvider"}]
        )
    return config


def _with(peers: Mapping[int, Peer], kind: Peer) -> list[int]:
    return sorted(ordinal for ordinal, peer in peers.items() if peer is kind)


def _listed(ordinals: Sequence[int]) -> str:
    return ", ".join(str(ordinal) for ordinal in ordinals)
