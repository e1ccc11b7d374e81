"""Who may speak with whom: the rendered policies, evaluated over the rendered pods."""

from __future__ import annotations

from itertools import product

import pytest

from chart.policies import Peer, allowed, matches, selects
from chart.rendering import Object, kinds, pods, render

PORTS = (4200, 5432, 7000, 7001, 7199, 8080, 9042)
# Client, server, port: nothing else connects inside of a release.
MATRIX = {
    *((client, "server", 4200) for client in ("worker", "flow", "bootstrap", "workpool", "test")),
    *((client, "postgres", 5432) for client in ("server", "migrate")),
    *((client, "cassandra", 9042) for client in ("flow", "bootstrap", "test", "cassandra")),
    ("cassandra", "cassandra", 7000),
    ("cassandra", "cassandra", 7001),
}
WORLD = Peer("world", address="93.184.216.34")
CLUSTER_API = Peer("kube-apiserver", address="172.18.0.2")
# A pod of somebody else in our namespace, one of a second release, and one of another namespace.
STRANGER = Peer("stranger", {"app": "other"})
NEIGHBOUR = Peer(
    "neighbour",
    {"app.kubernetes.io/instance": "other", "prefect-cassandra.io/component": "flow"},
)
FOREIGNER = Peer("foreigner", {"app": "ingress"}, home=False)
STRANGERS = (STRANGER, NEIGHBOUR, FOREIGNER)


def peers(objects: list[Object]) -> dict[str, Peer]:
    """Return the pods of a release by component, with the labels they have in the cluster."""
    found = {}
    for pod in pods(objects):
        labels = pod.labels
        if pod.component == "flow":
            # prefect-kubernetes puts its own in place of these.
            labels = labels | {
                "app.kubernetes.io/name": "load-flights",
                "app.kubernetes.io/managed-by": "prefect",
            }
        found[pod.component] = Peer(pod.component, labels)
    return found


def policies(wanted: str | Object) -> list[Object]:
    """Return the policies of a profile or of values."""
    return kinds(render(wanted), "NetworkPolicy")


def connections(rules: list[Object], members: dict[str, Peer]) -> set[tuple[str, str, int]]:
    """Return who connects to whom within a release."""
    return {
        (source.name, target.name, port)
        for source, target in product(members.values(), repeat=2)
        for port in PORTS
        if allowed(rules, source, target, port)
    }


@pytest.mark.parametrize("profile", ["default", "kind", "production", "tls", "existing-secrets"])
def test_allowed_connections_are_exactly_these(profile: str) -> None:
    members = peers(render(profile))
    assert len(members) == 10
    assert connections(policies(profile), members) == MATRIX


def test_a_reconciler_reaches_the_server_and_kubernetes_and_nobody_reaches_it() -> None:
    rules, members = policies("reconciler"), peers(render("reconciler"))
    assert connections(rules, members) == MATRIX | {("reconciler", "server", 4200)}
    ours = members["reconciler"]
    assert {port for port in (22, 80, 443, 6443) if allowed(rules, ours, CLUSTER_API, port)} == {
        443,
        6443,
    }
    assert not any(
        allowed(rules, other, ours, port) for other in (*STRANGERS, WORLD) for port in PORTS
    )


@pytest.mark.parametrize("way", ["Ingress", "Egress"])
def test_each_end_alone_allows_the_same(way: str) -> None:
    """Otherwise one end is wider than it need be, and the other end hides it."""
    rules = policies("default")
    for rule in rules:
        rule["spec"]["policyTypes"] = [way]
    assert connections(rules, peers(render("default"))) == MATRIX


def test_no_stranger_comes_in() -> None:
    rules, members = policies("default"), peers(render("default"))
    found = [
        (stranger.name, target.name, port)
        for stranger, target in product((*STRANGERS, WORLD), members.values())
        for port in PORTS
        if allowed(rules, stranger, target, port)
    ]
    assert found == []


def test_names_are_looked_up_by_all_but_the_database() -> None:
    rules, members = policies("default"), peers(render("default"))
    for protocol, host in product(("UDP", "TCP"), (WORLD, CLUSTER_API, FOREIGNER)):
        asking = {
            name for name, peer in members.items() if allowed(rules, peer, host, 53, protocol)
        }
        assert asking == set(members) - {"postgres"}


def test_those_that_speak_to_kubernetes_alone_reach_out() -> None:
    rules, members = policies("default"), peers(render("default"))
    found = {
        (name, port)
        for name, peer in members.items()
        for port in (22, 80, 443, 6443, 9042)
        if allowed(rules, peer, CLUSTER_API, port) or allowed(rules, peer, WORLD, port)
    }
    assert found == set(product(("test", "uninstall", "worker"), (443, 6443)))


@pytest.mark.parametrize("component", ["test", "uninstall", "worker"])
def test_they_reach_the_given_ranges_alone(component: str) -> None:
    rules = policies({"networkPolicy": {"apiServerCIDRs": ["172.18.0.0/16"]}})
    peer = peers(render("default"))[component]
    assert allowed(rules, peer, CLUSTER_API, 6443)
    assert not allowed(rules, peer, WORLD, 443)


def test_every_pod_is_closed_both_ways(profile: str) -> None:
    rules, members = policies(profile), peers(render(profile))
    for peer in members.values():
        mine = [rule for rule in rules if selects(rule, peer)]
        ways = [set(rule["spec"]["policyTypes"]) for rule in mine]
        assert ways == [{"Ingress", "Egress"}], peer.name


def test_flows_reach_what_the_values_name() -> None:
    egress = [{"to": [{"ipBlock": {"cidr": "93.184.0.0/16"}}], "ports": [{"port": 443}]}]
    rules, members = policies({"networkPolicy": {"flowEgress": egress}}), peers(render("default"))
    assert allowed(rules, members["flow"], WORLD, 443)
    assert not allowed(rules, members["flow"], WORLD, 80)
    assert not allowed(rules, members["flow"], CLUSTER_API, 443)
    assert not allowed(rules, members["server"], WORLD, 443)


def test_external_cassandra_is_reached_in_its_ranges() -> None:
    rules, members = policies("server-only"), peers(render("server-only"))
    inside, outside = Peer("node", address="10.20.3.4"), Peer("host", address="10.21.0.1")
    reaching = {name for name, peer in members.items() if allowed(rules, peer, inside, 9142)}
    assert reaching == {"flow", "bootstrap", "test"}
    assert not any(allowed(rules, peer, outside, 9142) for peer in members.values())
    assert not any(allowed(rules, peer, inside, 9042) for peer in members.values())


def test_external_server_is_reached_at_the_port_of_its_url() -> None:
    rules, members = policies("cassandra-only"), peers(render("cassandra-only"))
    reaching = {name for name, peer in members.items() if allowed(rules, peer, WORLD, 8443)}
    assert reaching == {"worker", "flow", "bootstrap", "workpool", "test"}


def test_a_cassandra_alone_opens_nothing_for_a_server_that_is_not_there() -> None:
    values = {
        "server": {"enabled": False},
        "worker": {"enabled": False},
        # Doctor and uninstall ask Kubernetes' API, which is not out in the world.
        "networkPolicy": {"apiServerCIDRs": ["172.18.0.0/16"]},
    }
    rules, members = policies(values), peers(render(values))
    found = {
        (name, port)
        for name, peer in members.items()
        for port in (80, 443, 4200)
        if allowed(rules, peer, WORLD, port)
    }
    assert set(members) == {"cassandra", "bootstrap", "test", "uninstall"}
    assert found == set()


def test_external_database_is_reached_by_the_server_and_the_migration() -> None:
    rules, members = policies("external-postgres"), peers(render("external-postgres"))
    reaching = {name for name, peer in members.items() if allowed(rules, peer, WORLD, 6432)}
    assert reaching == {"server", "migrate"}


def test_ingress_opens_the_server_alone() -> None:
    rules, members = policies("existing-secrets"), peers(render("existing-secrets"))
    opened = {
        (name, port)
        for name, peer in members.items()
        for port in PORTS
        if allowed(rules, FOREIGNER, peer, port)
    }
    assert opened == {("server", 4200)}


@pytest.mark.parametrize(
    ("value", "opened"),
    [("serverPeers", ("server", 4200)), ("cassandraPeers", ("cassandra", 9042))],
)
def test_who_is_named_comes_in_at_one_port(value: str, opened: tuple[str, int]) -> None:
    peer = {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "other"}}}
    rules = policies({"networkPolicy": {value: [peer]}})
    members = peers(render("default"))
    found = {
        (stranger.name, name, port)
        for stranger, (name, member), port in product((*STRANGERS, WORLD), members.items(), PORTS)
        if allowed(rules, stranger, member, port)
    }
    assert found == {("neighbour", *opened)}


def test_policies_can_be_left_out() -> None:
    assert policies({"networkPolicy": {"enabled": False}}) == []


def test_evaluator_knows_the_operators() -> None:
    def rule(operator: str, *values: str) -> Object:
        return {"matchExpressions": [{"key": "a", "operator": operator, "values": [*values]}]}

    assert matches({}, {})
    assert matches(rule("In", "x", "y"), {"a": "x"})
    assert not matches(rule("In", "x"), {})
    assert matches(rule("NotIn", "x"), {})
    assert matches(rule("Exists"), {"a": ""})
    assert not matches(rule("DoesNotExist"), {"a": ""})
    assert not matches({"matchLabels": {"a": "x"}}, {"a": "y"})


def test_evaluator_is_open_without_a_policy_and_heeds_exceptions() -> None:
    peer = Peer("pod", {"a": "x"})
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    only = {
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": block}], "ports": [{"port": 80, "endPort": 90}]}],
        }
    }
    assert allowed([], peer, WORLD, 1)
    assert allowed([only], STRANGER, Peer("in", address="10.2.0.1"), 85)
    assert not allowed([only], STRANGER, Peer("out", address="10.1.0.1"), 85)
    assert not allowed([only], STRANGER, Peer("in", address="10.2.0.1"), 91)
    assert allowed([only], WORLD, peer, 1)


@pytest.mark.parametrize("lost", ["pc-server", "pc-flow", "pc-postgres"])
def test_matrix_sees_a_lost_policy(lost: str) -> None:
    rules = [item for item in policies("default") if item["metadata"]["name"] != lost]
    members = peers(render("default"))
    assert connections(rules, members) != MATRIX or any(
        allowed(rules, STRANGER, peer, port) or allowed(rules, peer, WORLD, port)
        for peer in members.values()
        for port in (*PORTS, 80)
    )
