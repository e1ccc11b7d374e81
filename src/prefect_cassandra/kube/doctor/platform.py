"""What the cluster is: its version, its API groups, storage, Pod Security, network policies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.doctor.check import Check, fail, ok, skipped, warn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Object = dict[str, Any]

_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_ENFORCE = "pod-security.kubernetes.io/enforce"
_CREATE = "kubectl apply --filename k8s/namespaces/prefect.yaml makes it, with its labels."
# Programs of the cluster's network that enforce policies, by a part of their DaemonSet's name.
_ENFORCING = ("calico", "cilium", "antrea", "canal", "kube-router", "weave", "romana", "ovnkube")
# Only in newer versions or when switched on.
_PERHAPS = ("kindnet", "aws-node", "azure-cni", "azure-npm", "gke-metadata", "netd")
_NOT = ("flannel",)


def judge_version(found: str, wanted: str) -> Check:
    """Compare the cluster's version with the chart's `kubeVersion`.

    Args:
        found: Such as `v1.34.0`.
        wanted: Such as `>=1.30.0-0`.
    """
    there, least = _VERSION.search(found), _VERSION.search(wanted)
    if there is None or least is None:
        return skipped("kubernetes", f"its version {found!r} cannot be compared with {wanted!r}")
    if (int(there[1]), int(there[2])) < (int(least[1]), int(least[2])):
        hint = "Upgrade the cluster; older versions lack fields that the chart's objects have."
        return fail("kubernetes", f"version {found}, the chart wants {wanted}", hint)
    return ok("kubernetes", f"version {found}, the chart wants {wanted}")


def judge_apis(objects: Iterable[Object], served: Collection[tuple[str, str]]) -> Check:
    """Say whether the cluster knows every kind of object of the installation.

    Args:
        objects: What would be installed.
        served: API version and kind of everything it knows.
    """
    wanted = {(str(one["apiVersion"]), str(one["kind"])) for one in objects}
    missing = sorted(wanted - set(served))
    if not missing:
        return ok("apis", f"all {len(wanted)} kinds of objects are known")
    names = ", ".join(f"{kind} ({version})" for version, kind in missing)
    hint = "The cluster is too old for the chart."
    if any(version.startswith("cert-manager.io/") for version, _ in missing):
        hint = "Install cert-manager, or leave cassandra.tls.issuer.name empty."
    return fail("apis", f"the cluster does not know {names}", hint)


def judge_storage(
    wanted: Mapping[str, Sequence[str]], classes: Sequence[Object] | None
) -> list[Check]:
    """Say whether each storage class that claims name is there.

    Args:
        wanted: Class to the objects whose claims name it; an empty name is the default class.
        classes: The cluster's; None when they may not be seen.
    """
    if not wanted:
        return [skipped("storage", "the values need no volume")]
    if classes is None:
        return [skipped("storage", "the storage classes may not be seen")]
    names = {one["metadata"]["name"]: one for one in classes}
    defaults = [name for name, one in names.items() if _is_default(one)]
    there = ", ".join(sorted(names)) or "none"
    return [_storage(name, users, names, defaults, there) for name, users in wanted.items()]


def _storage(
    name: str,
    users: Sequence[str],
    names: Collection[str],
    defaults: Sequence[str],
    there: str,
) -> Check:
    who = ", ".join(users)
    hint = f"Name one of the cluster's ({there}) in cassandra.storage.storageClass and "
    hint += "postgres.storage.storageClass, or make it."
    if name and name not in names:
        return fail("storage", f"there is no storage class {name}, which {who} wants", hint)
    if not name and not defaults:
        return fail("storage", f"no storage class is the default, which {who} wants", hint)
    if not name and len(defaults) > 1:
        evidence = f"several storage classes are the default: {', '.join(sorted(defaults))}"
        return warn("storage", evidence, "The newest is used; name the one you mean.")
    return ok("storage", f"{who}: storage class {name or f'{defaults[0]}, the default'}")


def _is_default(one: Object) -> bool:
    return (one["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"


def judge_namespace(found: Object | None, name: str) -> Check:
    """Say whether the namespace is there and what Pod Security it enforces."""
    if found is None:
        return warn("namespace", f"there is no namespace {name} yet", _CREATE)
    level = (found["metadata"].get("labels") or {}).get(_ENFORCE)
    if level == "restricted":
        return ok("namespace", f"{name} enforces Pod Security restricted, which every pod meets")
    hint = (
        f"Every pod of the chart meets restricted; let the cluster hold others to it as well: "
        f"kubectl label namespace {name} {_ENFORCE}=restricted"
    )
    said = f"enforces Pod Security {level}" if level else "enforces no Pod Security by a label"
    return warn("namespace", f"{name} {said}", hint)


def judge_network(daemon_sets: Sequence[Object] | None, *, has_policies: bool) -> Check:
    """Say whether network policies are enforced, as far as the network's programs show it.

    Args:
        daemon_sets: Of kube-system and the like; None when they may not be seen.
        has_policies: Whether the values make any.
    """
    if not has_policies:
        hint = "Set networkPolicy.enabled=true, unless something else keeps pods apart."
        return warn("network", "the values make no network policies", hint)
    if daemon_sets is None:
        return skipped("network", "what makes the cluster's network may not be seen")
    names = [one["metadata"]["name"] for one in daemon_sets]
    if found := _among(names, _ENFORCING):
        return ok("network", f"{found} enforces network policies")
    if found := _among(names, _PERHAPS):
        hint = "`make e2e` tries connections that must be refused; so can you with any two pods."
        return ok("network", f"{found} enforces network policies in its newer versions. {hint}")
    hint = "Use a network that enforces them; else every pod reaches Cassandra and the server."
    if found := _among(names, _NOT):
        return warn("network", f"{found} does not enforce network policies", hint)
    listed = ", ".join(sorted(names)) or "no DaemonSets"
    return warn("network", f"nothing known enforces network policies (found: {listed})", hint)


def _among(names: Iterable[str], known: Iterable[str]) -> str | None:
    listed = list(names)
    return next((name for part in known for name in listed if part in name), None)
