"""What pods point at: Secrets and ConfigMaps with their keys, and ServiceAccounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chart.rendering import Object, Pod

# Secrets that the profiles of tests/chart/values name as being there already.
EXISTING = {
    "server-only": {
        "their-authority": {"ca.crt"},
        "their-superuser": {"username", "password"},
    },
    "cassandra-only": {"their-server": {"login"}},
    "existing-secrets": {
        "registry": {".dockerconfigjson"},
        "their-certificate": {"ca.crt", "tls.crt", "tls.key"},
        "their-server": {"login"},
        "their-ingress": {"tls.crt", "tls.key"},
        "their-postgres": {"password", "connection-url"},
        "their-superuser": {"username", "password"},
        **{
            f"their-login-{role}": {"username", "password"}
            for role in (
                "prefect-owner",
                "prefect-state",
                "prefect-ledger",
                "flights-flow",
                "flights-reader",
            )
        },
    },
    "external-postgres": {"their-database": {"url"}},
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One place in a pod that names an object, and the keys it wants; none is the whole of it."""

    pod: str
    kind: str
    name: str
    keys: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.pod} -> {self.kind}/{self.name}{sorted(self.keys)}"


def references(pod: Pod) -> Iterator[Reference]:
    """Return every reference of a pod that must lead somewhere."""
    yield Reference(pod.owner, "ServiceAccount", pod.spec["serviceAccountName"])
    for secret in pod.spec.get("imagePullSecrets", []):
        yield Reference(pod.owner, "Secret", secret["name"], frozenset({".dockerconfigjson"}))
    for volume in pod.spec.get("volumes", []):
        yield from _of_source(pod.owner, volume, "secretName")
        for source in volume.get("projected", {}).get("sources", []):
            yield from _of_source(pod.owner, source, "name")
    for container in pod.containers:
        yield from _of_environment(pod.owner, container)


def _of_source(owner: str, source: Object, secret_name: str) -> Iterator[Reference]:
    for kind, key, name in (("Secret", "secret", secret_name), ("ConfigMap", "configMap", "name")):
        found = source.get(key)
        if found and not found.get("optional"):
            keys = frozenset(item["key"] for item in found.get("items", []))
            yield Reference(owner, kind, found[name], keys)


def _of_environment(owner: str, container: Object) -> Iterator[Reference]:
    kinds = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}
    for variable in container.get("env", []):
        for key, found in variable.get("valueFrom", {}).items():
            if key in kinds:
                yield Reference(owner, kinds[key], found["name"], frozenset({found["key"]}))
    for source in container.get("envFrom", []):
        for key, found in source.items():
            if key in {"secretRef", "configMapRef"}:
                kind = {"secretRef": "Secret", "configMapRef": "ConfigMap"}[key]
                yield Reference(owner, kind, found["name"])
    # The worker names its Secret in settings, and passes it on to flow pods by that name.
    plain = {item["name"]: item["value"] for item in container.get("env", []) if "value" in item}
    for name, value in plain.items():
        if name.endswith("_SECRET_NAME"):
            key = plain[name.removesuffix("NAME") + "KEY"]
            yield Reference(owner, "Secret", value, frozenset({key}))


def available(profile: str, objects: list[Object]) -> dict[tuple[str, str], set[str]]:
    """Return what there is to point at, with its keys."""
    found: dict[tuple[str, str], set[str]] = {
        ("Secret", name): keys for name, keys in EXISTING.get(profile, {}).items()
    }
    for item in objects:
        keys = {*item.get("data", {}), *item.get("stringData", {})}
        found[item["kind"], item["metadata"]["name"]] = keys
    return found


def dangling(profile: str, objects: list[Object], all_pods: list[Pod]) -> list[str]:
    """Return the references that lead nowhere, in words."""
    there = available(profile, objects)
    return [
        str(found)
        for pod in all_pods
        for found in references(pod)
        if (found.kind, found.name) not in there or not found.keys <= there[found.kind, found.name]
    ]
