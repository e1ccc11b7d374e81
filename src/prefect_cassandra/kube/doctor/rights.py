"""What the person who installs has to be allowed, asked of the cluster one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.doctor.check import Check, fail, ok

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Object = dict[str, Any]

NAME = "rights"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# What Helm does with each object, and what `flows push` and `doctor` do beside.
_HELM = ("get", "create", "patch", "delete")
_OTHERS = (
    ("list", "", "pods", ""),
    ("get", "", "pods", "log"),
    ("create", "", "pods", "portforward"),
    ("list", "batch", "jobs", ""),
    # The chart asks for volumes that are there already.
    ("get", "", "persistentvolumeclaims", ""),
    # Helm keeps its own record in Secrets.
    *((verb, "", "secrets", "") for verb in (*_HELM, "list", "update")),
)
_SHOWN = 8


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One thing that may be allowed.

    Args:
        verb: Such as `create`.
        group: API group; empty for the core.
        resource: In the plural.
        subresource: Such as `log`; empty for the object itself.
    """

    verb: str
    group: str
    resource: str
    subresource: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{self.verb} {resource}{'.' if self.group else ''}{self.group}"


def wanted_rights(
    objects: Iterable[Object], resources: Mapping[tuple[str, str], str]
) -> list[Right]:
    """Return what has to be allowed to install these objects.

    Args:
        objects: What is installed.
        resources: API version and kind to the name of the resource, as the cluster tells it.
    """
    found = {Right(*one) for one in _OTHERS}
    for one in objects:
        version, kind = one["apiVersion"], one["kind"]
        group = version.rpartition("/")[0]
        if (resource := resources.get((version, kind))) is not None:
            found |= {Right(verb, group, resource) for verb in _HELM}
        if kind == "Role":
            found |= _given(one["rules"])
    return sorted(found)


def _given(rules: Iterable[Object]) -> set[Right]:
    """Return what a Role gives: nobody may give what they may not do themselves."""
    found = set()
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                name, _, sub = resource.partition("/")
                found |= {Right(verb, group, name, sub) for verb in rule["verbs"]}
    return found


def review(right: Right, namespace: str) -> Object:
    """Return the question for the cluster, a SelfSubjectAccessReview."""
    attributes = {
        "namespace": namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


def judge_rights(answers: Mapping[Right, bool], namespace: str) -> Check:
    """Say what is missing of the rights."""
    missing: Sequence[Right] = sorted(right for right, allowed in answers.items() if not allowed)
    if not missing:
        return ok(NAME, f"you may do all of {len(answers)} things in namespace {namespace}")
    shown = ", ".join(map(str, missing[:_SHOWN]))
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    hint = (
        f"Ask an administrator of namespace {namespace} for the ClusterRole `admin` there: "
        f"kubectl create rolebinding NAME --clusterrole admin --user YOU --namespace {namespace}"
    )
    return fail(NAME, f"you may not {shown}{more}", hint)
