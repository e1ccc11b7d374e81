"""Exactly which objects a release has: one that comes or goes is seen here."""

from __future__ import annotations

import re

import pytest

from chart.rendering import CHART, REGISTRY, helm, parsed, render

ROLES = ("prefect-owner", "prefect-state", "prefect-ledger")
COMMON = {
    "ConfigMap": {"cassandra", "installation", "keyspaces", "work-pool"},
    "Deployment": {"server", "worker"},
    "Job": {"bootstrap", "migrate", "uninstall", "work-pool"},
    "NetworkPolicy": {
        "bootstrap",
        "cassandra",
        "flow",
        "migrate",
        "postgres",
        "server",
        "test",
        "uninstall",
        "worker",
        "workpool",
    },
    "Pod": {"test"},
    "PodDisruptionBudget": {"cassandra"},
    "Role": {"doctor", "uninstall", "worker"},
    "RoleBinding": {"doctor", "uninstall", "worker"},
    "Secret": {
        "cassandra-superuser",
        "postgres",
        "server-auth",
        *(f"login-{role}" for role in ROLES),
    },
    "Service": {"cassandra", "cassandra-nodes", "postgres", "server"},
    "ServiceAccount": {
        "cassandra",
        "doctor",
        "flow",
        "hooks",
        "postgres",
        "server",
        "uninstall",
        "worker",
    },
    "StatefulSet": {"cassandra", "postgres"},
}
KEYSPACES = ("flights", "sensors", "values-demo", "weather-api")
MORE: dict[str, dict[str, set[str]]] = {
    "kind": {"Secret": {f"login-{name}-{who}" for name in KEYSPACES for who in ("flow", "reader")}},
    "production": {"PodDisruptionBudget": {"worker"}},
    "reconciler": {
        kind: {"reconciler"}
        for kind in (
            "Deployment",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "Role",
            "RoleBinding",
            "ServiceAccount",
        )
    },
}


def inventory(profile: str) -> list[tuple[str, str]]:
    """Return kind and name of each object, without the release and the hash of the migration."""
    return sorted(
        (
            found["kind"],
            re.sub("^pc-|(?<=^pc-migrate)-[0-9a-f]{8}$", "", found["metadata"]["name"]),
        )
        for found in render(profile)
    )


@pytest.mark.parametrize("profile", ["kind", "production", "reconciler"])
def test_objects_are_these(profile: str) -> None:
    wanted = [
        (kind, name)
        for kind, names in COMMON.items()
        for name in names | MORE[profile].get(kind, set())
    ]
    assert inventory(profile) == sorted(wanted)


def test_every_object_is_the_releases_and_in_no_namespace_of_its_own(profile: str) -> None:
    found = render(profile)
    assert len(found) > 15
    for item in found:
        place = f"{item['kind']}/{item['metadata']['name']}"
        assert item["metadata"]["name"].startswith("pc-"), place
        assert item["metadata"].get("namespace", "prefect") == "prefect", place
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "pc", place
        assert labels["app.kubernetes.io/name"] == "prefect-cassandra", place
        assert labels["helm.sh/chart"].startswith("prefect-cassandra-"), place


@pytest.mark.parametrize(
    ("profile", "absent"),
    [
        ("server-only", {"cassandra", "cassandra-nodes", "cassandra-superuser"}),
        ("cassandra-only", {"server", "server-auth", "postgres", "migrate"}),
        ("external-postgres", {"postgres"}),
    ],
)
def test_what_is_off_leaves_nothing_behind(profile: str, absent: set[str]) -> None:
    kept = {(kind, name) for kind, name in inventory(profile) if kind != "NetworkPolicy"}
    assert {name for _, name in kept} & absent == set()
    assert "worker" in {name for _, name in kept}


def test_images_and_settings_move_the_migration_job() -> None:
    """A Job cannot be changed: another image must be another Job, and the same values the same."""

    def name(values: dict[str, object]) -> str:
        (found,) = (
            item["metadata"]["name"]
            for item in render(values)
            if item["kind"] == "Job" and "migrate" in item["metadata"]["name"]
        )
        return str(found)

    assert name({}) == name({"worker": {"replicas": 2}})
    assert name({}) != name({"images": {"platform": {"tag": "other"}}})


def test_names_of_a_long_release_fit_and_differ() -> None:
    """Pods of a StatefulSet carry its name and a hash in a label of 63 characters."""
    registry = f"images.registry={REGISTRY}"
    done = helm("template", "a" * 53, CHART, "--kube-version", "1.34.0", "--set", registry)
    assert done.returncode == 0, done.stderr
    found = [(item["kind"], item["metadata"]["name"]) for item in parsed(done.stdout)]
    assert len(set(found)) == len(found)
    assert max(len(name) for kind, name in found if kind != "Secret") <= 52
