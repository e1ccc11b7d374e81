"""Whether the nodes have room for the pods of an installation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.doctor.check import Check, fail, ok, skipped, warn
from prefect_cassandra.kube.doctor.quantity import Amount, amount
from prefect_cassandra.kube.doctor.rendered import Need, requested

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Object = dict[str, Any]

NAME = "capacity"
_ENDED = {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class Room:
    """One node and what is left on it.

    Args:
        name: Of the node.
        free: What no pod has asked for.
        labels: Of the node.
        taints: That keep pods away, each with `key`, `value` and `effect`.
    """

    name: str
    free: Amount
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]] = ()


def rooms(nodes: Iterable[Object], pods: Iterable[Object], release: str) -> list[Room]:
    """Return the nodes that take pods, with what is left on each.

    Args:
        nodes: As the API gives them.
        pods: Of all namespaces, as far as they may be seen.
        release: Whose own pods are not counted: an upgrade replaces them.
    """
    taken: dict[str, Amount] = {}
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        ended = (pod.get("status") or {}).get("phase") in _ENDED
        node = pod["spec"].get("nodeName")
        if node and not ended and labels.get("app.kubernetes.io/instance") != release:
            taken[node] = taken.get(node, Amount()) + requested(pod["spec"])
    return [
        Room(
            node["metadata"]["name"],
            amount(node["status"]["allocatable"]) - taken.get(node["metadata"]["name"], Amount()),
            node["metadata"].get("labels") or {},
            _keeping_away(node["spec"]),
        )
        for node in nodes
        if not node["spec"].get("unschedulable")
    ]


def _keeping_away(spec: Object) -> list[Object]:
    taints = spec.get("taints") or ()
    return [taint for taint in taints if taint["effect"] in {"NoSchedule", "NoExecute"}]


def admits(room: Room, spec: Object) -> bool:
    """Tell whether a node's labels and taints let a pod in."""
    selector = spec.get("nodeSelector") or {}
    return selector.items() <= room.labels.items() and all(
        any(_tolerates(one, taint) for one in spec.get("tolerations") or ())
        for taint in room.taints
    )


def _tolerates(toleration: Mapping[str, str], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect", taint["effect"]) != taint["effect"]:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key", taint["key"]) == taint["key"]
    same = toleration.get("value", "") == taint.get("value", "")
    return toleration.get("key") == taint["key"] and same


def place(needs: Iterable[Need], there: Sequence[Room]) -> tuple[list[Need], list[Room]]:
    """Put the largest pods first, each where most is left.

    Returns:
        The pods that find no place, and the nodes with what is left after.
    """
    left = {room.name: room for room in there}
    without = []
    for need in sorted(needs, key=lambda one: (one.wants.memory, one.wants.cpu), reverse=True):
        fitting = [
            room
            for room in left.values()
            if room.free.holds(need.wants) and admits(room, need.spec)
        ]
        if not fitting:
            without.append(need)
            continue
        best = max(fitting, key=lambda room: room.free.memory)
        rest = best.free - need.wants
        left[best.name] = Room(best.name, rest, best.labels, best.taints)
    return without, list(left.values())


def judge_capacity(needs: Sequence[Need], flow: Need | None, there: Sequence[Room]) -> Check:
    """Say whether all pods find a node, and whether a flow finds one beside them.

    Args:
        needs: The pods that are there for good.
        flow: One flow's pod; None when the release runs none.
        there: The nodes.
    """
    if not there:
        return skipped(NAME, "the nodes may not be seen", "Ask for `list` on nodes.")
    total = sum((one.wants for one in needs), Amount())
    free = sum((room.free for room in there), Amount())
    nodes = "1 node has" if len(there) == 1 else f"{len(there)} nodes have"
    wanted = f"{len(needs)} pods want {total}; {nodes} {free} left"
    without, after = place(needs, there)
    if without:
        names = ", ".join(f"{one.name} ({one.wants})" for one in without)
        hint = "Add nodes, lower resources.requests or the replicas in the values, or check "
        return fail(
            NAME,
            f"{wanted}, but no node has room for {names}",
            f"{hint}podDefaults.nodeSelector and podDefaults.tolerations.",
        )
    if flow is not None and place([flow], after)[0]:
        hint = "Runs would wait for ever: add a node, or lower workPool.jobDefaults."
        return warn(NAME, f"{wanted}, which leaves no room for a flow ({flow.wants})", hint)
    return ok(NAME, wanted)
