"""Who may connect to whom, by the NetworkPolicies alone: a small evaluator without a cluster.

As in Kubernetes: a pod that no policy selects for a direction is open in it; otherwise one rule of
any policy that selects it must allow the connection, and both ends must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chart.rendering import Object


@dataclass(frozen=True, slots=True)
class Peer:
    """One end: a pod by its labels, or a host outside of the cluster by its address.

    `home` is false for a pod of another namespace, which has `namespace` as its labels.
    """

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    address: str = ""
    home: bool = True
    namespace: dict[str, str] = field(default_factory=dict)


def allowed(
    policies: list[Object], source: Peer, target: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Say whether a connection comes about."""
    wanted = (port, protocol)
    return _lets(policies, "Egress", source, target, wanted) and _lets(
        policies, "Ingress", target, source, wanted
    )


def selects(policy: Object, peer: Peer) -> bool:
    """Say whether a policy of the release's namespace is about this pod."""
    inside = peer.home and not peer.address
    return inside and matches(policy["spec"]["podSelector"], peer.labels)


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Say whether labels fit a selector; an empty one fits all."""
    unknown = set(selector) - {"matchLabels", "matchExpressions"}
    if unknown:
        raise ValueError(f"a selector with {unknown}")
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(_fits(rule, labels) for rule in selector.get("matchExpressions", []))


def _fits(rule: Object, labels: dict[str, str]) -> bool:
    value = labels.get(rule["key"])
    answers = {
        "In": value in rule.get("values", []),
        "NotIn": value not in rule.get("values", []),
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return answers[rule["operator"]]


def _lets(
    policies: list[Object], way: str, own: Peer, other: Peer, wanted: tuple[int, str]
) -> bool:
    mine = [item for item in policies if selects(item, own) and way in item["spec"]["policyTypes"]]
    if not mine:
        return True
    side = "from" if way == "Ingress" else "to"
    return any(
        _ports(rule, *wanted) and _peers(rule.get(side, []), other)
        for policy in mine
        for rule in policy["spec"].get(way.lower()) or []
    )


def _ports(rule: Object, port: int, protocol: str) -> bool:
    """Say whether a rule names the port; one without ports means all."""
    ports: list[dict[str, Any]] = rule.get("ports", [])
    return not ports or any(
        item.get("protocol", "TCP") == protocol
        and ("port" not in item or item["port"] <= port <= item.get("endPort", item["port"]))
        for item in ports
    )


def _peers(peers: list[Object], other: Peer) -> bool:
    """Say whether a rule names the other end; one without peers means anyone."""
    return not peers or any(_peer(item, other) for item in peers)


def _peer(peer: Object, other: Peer) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return (
            bool(other.address)
            and ip_address(other.address) in ip_network(block["cidr"])
            and not any(
                ip_address(other.address) in ip_network(out) for out in block.get("except", [])
            )
        )
    if other.address:
        return False
    if "namespaceSelector" in peer:
        inside = matches(peer["namespaceSelector"], other.namespace)
        return inside and matches(peer.get("podSelector", {}), other.labels)
    return other.home and matches(peer["podSelector"], other.labels)
