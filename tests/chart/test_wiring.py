"""What points at something points at what is there: Services, references, budgets, roles."""

from __future__ import annotations

import json
import re
from itertools import product

import pytest

from chart.references import EXISTING, dangling, references
from chart.rendering import Object, Pod, kinds, named, pods, render
from prefect_cassandra.kube.jobs import LOGIN_FOLDER

# By role: API group, resource and the one object's name, if it is about one, to the verbs.
TABLES = {
    "pc-worker": {
        ("batch", "jobs", ""): {"create", "delete", "get", "list", "watch"},
        ("", "pods", ""): {"get", "list", "watch"},
        ("", "pods/log", ""): {"get"},
        ("", "events", ""): {"list", "watch"},
    },
    "pc-doctor": {
        ("batch", "jobs", ""): {"list"},
        ("apps", "deployments", ""): {"list"},
        ("apps", "statefulsets", ""): {"list"},
        ("", "events", ""): {"list"},
        ("", "persistentvolumeclaims", ""): {"list"},
        ("", "pods", ""): {"list"},
        ("", "pods/log", ""): {"get"},
        ("", "configmaps", "pc-installation"): {"get"},
        ("", "configmaps", "pc-work-pool"): {"get"},
    },
    "pc-reconciler": {
        ("batch", "jobs", ""): {"delete", "list"},
        ("", "pods", ""): {"list"},
        ("", "configmaps", "pc-installation"): {"get"},
        ("coordination.k8s.io", "leases", ""): {"create"},
        ("coordination.k8s.io", "leases", "pc-reconciler"): {"get", "update"},
    },
    # There during `helm uninstall` alone.
    "pc-uninstall": {
        ("batch", "jobs", ""): {"deletecollection"},
        ("", "pods", ""): {"deletecollection"},
    },
}


def selected(selector: Object, all_pods: list[Pod]) -> list[Pod]:
    """Return the pods that carry these labels."""
    return [pod for pod in all_pods if selector.items() <= pod.labels.items()]


def test_service_leads_to_one_workload(objects: list[Object], templates: list[Pod]) -> None:
    services = kinds(objects, "Service")
    for service in services:
        (pod,) = selected(service["spec"]["selector"], templates)
        assert pod.served
        ports = {port["name"] for box in pod.spec["containers"] for port in box["ports"]}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports, service["metadata"]["name"]


def test_service_ports_are_those_of_the_containers(
    objects: list[Object], templates: list[Pod]
) -> None:
    """The NetworkPolicies name the numbers of the pods, clients those of the Services."""
    for service in kinds(objects, "Service"):
        (pod,) = selected(service["spec"]["selector"], templates)
        numbers = {
            port["name"]: port["containerPort"]
            for box in pod.spec["containers"]
            for port in box["ports"]
        }
        for port in service["spec"]["ports"]:
            assert port["port"] == numbers[port["targetPort"]]


def test_workload_selects_its_own_pods_alone(objects: list[Object], templates: list[Pod]) -> None:
    for workload in kinds(objects, "Deployment", "StatefulSet"):
        found = selected(workload["spec"]["selector"]["matchLabels"], templates)
        assert [pod.owner for pod in found] == [
            f"{workload['kind']}/{workload['metadata']['name']}"
        ]
        if workload["kind"] == "StatefulSet":
            service = named(objects, "Service", workload["spec"]["serviceName"])
            assert service["spec"]["selector"] == workload["spec"]["selector"]["matchLabels"]


def test_references_lead_somewhere(
    profile: str, objects: list[Object], templates: list[Pod]
) -> None:
    assert dangling(profile, objects, templates) == []
    assert sum(1 for pod in templates for _ in references(pod)) >= 10


def test_every_existing_secret_is_used(
    profile: str, objects: list[Object], templates: list[Pod]
) -> None:
    """A name that was given and is used nowhere means that something was generated instead."""
    used = {found.name for pod in templates for found in references(pod) if found.kind == "Secret"}
    used |= {tls["secretName"] for item in objects for tls in item.get("spec", {}).get("tls", [])}
    optional = {name for name in EXISTING.get(profile, {}) if name.startswith("their-login-")}
    assert set(EXISTING.get(profile, {})) - optional <= used


@pytest.mark.parametrize(
    "spoil", ["Secret/pc-server-auth", "ConfigMap/pc-work-pool", "Secret/pc-login-prefect-owner"]
)
def test_check_sees_what_is_missing(spoil: str) -> None:
    objects = render("default")
    left = [item for item in objects if f"{item['kind']}/{item['metadata']['name']}" != spoil]
    assert any(spoil in found for found in dangling("default", left, pods(objects)))
    for item in objects:
        item.pop("data", None)
        item.pop("stringData", None)
    assert len(dangling("default", objects, pods(render("default")))) > 5


def test_login_of_every_role_can_be_mounted_by_a_flow() -> None:
    objects = render("kind")
    (flow,) = (pod for pod in pods(objects) if pod.component == "flow")
    (volume,) = (item for item in flow.spec["volumes"] if item["name"] == "login")
    prefix = volume["secret"]["secretName"].removesuffix("none")
    for role in ("flights_flow", "values_demo_reader", "prefect_state"):
        secret = named(objects, "Secret", prefix + role.replace("_", "-"))
        assert secret["stringData"]["username"] == role


def test_programs_are_given_files_that_are_mounted(templates: list[Pod]) -> None:
    checked = 0
    for pod in templates:
        for container in pod.containers:
            words = [*container.get("command", []), *container.get("args", [])]
            places = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            for path in (word for word in words if word.startswith("/etc/")):
                checked += 1
                assert any(f"{path}/".startswith(f"{place}/") for place in places), path
    assert checked >= 6


def test_start_program_is_in_the_config_map() -> None:
    data = named(render("default"), "ConfigMap", "pc-cassandra")["data"]
    (pod,) = (item for item in pods(render("default")) if item.component == "cassandra")
    path = pod.spec["containers"][0]["command"][1]
    assert path.rpartition("/")[2] in data
    modules = set(re.findall(r"^(?:from|import) (\w+)", data["node.py"], re.MULTILINE))
    assert {"decisions", "wire", "pem"} <= modules
    for name in ("decisions.py", "wire.py", "pem.py", "cassandra.json", "cluster.json"):
        assert data[name].strip()
    assert json.loads(data["cluster.json"])["service"] == "pc-cassandra-nodes"


def rights(role: Object) -> dict[tuple[str, str, str], set[str]]:
    """Return what a Role allows, as a table."""
    allowed: dict[tuple[str, str, str], set[str]] = {}
    for rule in role["rules"]:
        assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
        for group, resource, name in product(
            rule["apiGroups"], rule["resources"], rule.get("resourceNames", [""])
        ):
            allowed.setdefault((group, resource, name), set()).update(rule["verbs"])
    return allowed


def test_roles_allow_what_the_tables_say_and_nothing_else(
    profile: str, objects: list[Object]
) -> None:
    assert kinds(objects, "ClusterRole", "ClusterRoleBinding") == []
    wanted = set(TABLES) - (set() if profile == "reconciler" else {"pc-reconciler"})
    found = {role["metadata"]["name"]: rights(role) for role in kinds(objects, "Role")}
    assert found == {name: table for name, table in TABLES.items() if name in wanted}
    bindings = kinds(objects, "RoleBinding")
    assert len(bindings) == len(found)
    for binding in bindings:
        name = binding["roleRef"]["name"]
        assert binding["metadata"]["name"] == name
        assert [subject["name"] for subject in binding["subjects"]] == [name]
        assert {subject["namespace"] for subject in binding["subjects"]} == {"prefect"}


def test_no_role_reads_a_secret() -> None:
    assert not any("secrets" in key[1] for table in TABLES.values() for key in table)


@pytest.mark.parametrize(
    ("account", "component"), [("worker", "worker"), ("doctor", "test"), ("uninstall", "uninstall")]
)
def test_an_account_with_rights_is_of_one_component(
    templates: list[Pod], account: str, component: str
) -> None:
    found = {
        pod.component for pod in templates if pod.spec["serviceAccountName"] == f"pc-{account}"
    }
    assert found == {component}


def test_reconciler_has_an_account_of_its_own() -> None:
    found = {pod.component: pod.spec["serviceAccountName"] for pod in pods(render("reconciler"))}
    assert [name for name, account in found.items() if account == "pc-reconciler"] == ["reconciler"]
    assert found["reconciler"] == "pc-reconciler"


def test_cleaning_up_finds_all_pods_but_its_own() -> None:
    """Its selector names the release; the flows' own labels replace others (prefect-kubernetes)."""
    found = pods(render("default"))
    (own,) = (pod for pod in found if pod.component == "uninstall")
    environment = {item["name"]: item["value"] for item in own.containers[0]["env"]}
    instance, there, but = environment["SELECTOR"].split(",")
    key, _, release = instance.partition("=")
    name, _, mine = but.partition("!=")
    assert there == name
    assert all(pod.labels[key] == release for pod in found)
    assert [pod.owner for pod in found if pod.labels[name] == mine] == [own.owner]


def test_service_accounts_hold_no_token(objects: list[Object]) -> None:
    accounts = kinds(objects, "ServiceAccount")
    assert len(accounts) >= 4
    assert all(account["automountServiceAccountToken"] is False for account in accounts)


def test_budget_covers_one_workload(objects: list[Object], templates: list[Pod]) -> None:
    covered = set()
    for budget in kinds(objects, "PodDisruptionBudget"):
        (pod,) = selected(budget["spec"]["selector"]["matchLabels"], templates)
        assert budget["spec"]["maxUnavailable"] == 1
        covered.add(pod.owner)
    several = {
        f"{item['kind']}/{item['metadata']['name']}"
        for item in kinds(objects, "Deployment", "StatefulSet")
        if item["spec"]["replicas"] > 1
    }
    assert several <= covered


def test_the_charts_own_test_is_the_doctor(templates: list[Pod]) -> None:
    """It knows the release by its name, and has the login of the role that writes the canary."""
    (pod,) = (one for one in templates if one.component == "test")
    (container,) = pod.containers
    assert container["command"] == ["prefect-cassandra", "doctor", "--inside"]
    assert container["args"] == ["--release", "pc", "--namespace", "prefect"]
    (login,) = (one["secret"] for one in pod.spec["volumes"] if one["name"] == "login")
    assert login["secretName"].endswith("login-prefect-ledger")
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert mounts["login"] == LOGIN_FOLDER
