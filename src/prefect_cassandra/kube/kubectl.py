"""The few questions and orders the command line has for a cluster, through the user's kubectl."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.tools import attempt, run

if TYPE_CHECKING:
    from collections.abc import Sequence

# Leaves room for what controllers append to the names of pods and Jobs.
_LONGEST = 52
_NOT_FOUND = "(NotFound)"


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the chart: where it is and what its objects are called.

    Args:
        name: Name of the Helm release.
        namespace: Its namespace.
        context: Context of the kubeconfig; the current one when empty.
    """

    name: str
    namespace: str
    context: str = ""

    def object(self, thing: str) -> str:
        """Return the name of one of its objects, such as `pc-server`."""
        # As the chart's own helper does it: the end tells what it is, so the beginning is cut.
        return f"{self.name[: _LONGEST - 1 - len(thing)].rstrip('-')}-{thing}"

    def kubectl(self, *arguments: str) -> list[str]:
        """Return a kubectl command that means this namespace and cluster."""
        context = ["--context", self.context] if self.context else []
        return ["kubectl", *context, "--namespace", self.namespace, *arguments]

    def command(self, text: str) -> str:
        """Return a kubectl command for people to copy."""
        return " ".join([*self.kubectl(), text])


def read(release: Release, kind: str, name: str) -> dict[str, Any] | None:
    """Return one object, None when there is none of that name.

    Raises:
        ToolError: The cluster does not answer or refuses.
    """
    done = attempt(release.kubectl("get", kind, name, "--output", "json"), timeout=60)
    if done.code and _NOT_FOUND in done.errors:
        return None
    if done.code:
        raise ToolError(
            f"kubectl cannot read {kind} {name} in namespace {release.namespace}:\n{done.tail()}"
        )
    found: dict[str, Any] = json.loads(done.output)
    return found


def read_all(release: Release, kind: str, selector: str) -> list[dict[str, Any]]:
    """Return the objects of a kind that carry some labels."""
    command = release.kubectl("get", kind, "--selector", selector, "--output", "json")
    found: list[dict[str, Any]] = json.loads(run(command, timeout=60))["items"]
    return found


def secret_data(release: Release, name: str) -> dict[str, str]:
    """Return what a Secret in the release's namespace holds; the values stay in this process.

    Raises:
        ToolError: There is no such Secret.
    """
    found = read(release, "secret", name)
    if found is None:
        raise ToolError(
            f"There is no Secret {name} in namespace {release.namespace}.",
            hint=f"Is the release {release.name!r} installed there? `helm list -A` tells.",
        )
    return {
        key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()
    }


def apply(release: Release, manifests: Sequence[dict[str, Any]]) -> None:
    """Make the cluster hold these objects."""
    bundle = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    # The namespace itself may be among them, so the objects name theirs.
    run(release.kubectl("apply", "--filename", "-"), stdin=json.dumps(bundle))


def delete(release: Release, kind: str, name: str) -> None:
    """Delete an object and wait until it is gone; one that is not there is gone already."""
    run(release.kubectl("delete", kind, name, "--ignore-not-found", "--wait"), timeout=180)
