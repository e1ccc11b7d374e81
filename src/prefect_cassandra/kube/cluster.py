"""The kind cluster of the demo: a Kubernetes of one node in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.kube.tools import require, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = "k8s/kind/cluster.yaml"
_CREATE_TIMEOUT = 600.0


def cluster_name(root: Path) -> str:
    """Return the name of the cluster, from its configuration.

    Raises:
        ConfigurationError: The folder has no such configuration.
    """
    file = root / CONFIG
    if not file.is_file():
        raise ConfigurationError(
            f"{root.resolve()} holds no {CONFIG}.",
            hint="Run it in the folder of the project, or name that folder with --root.",
        )
    declared: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return str(declared["name"])


def context_of(cluster: str) -> str:
    """Return the kubeconfig's context for a kind cluster."""
    return f"kind-{cluster}"


def is_up(cluster: str) -> bool:
    """Tell whether kind has a cluster of that name."""
    return cluster in run(["kind", "get", "clusters"]).split()


def up(root: Path, tell: Callable[[str], None], node_image: str = "") -> str:
    """Make the cluster where it is not there, and return its name.

    Args:
        root: Folder of the project.
        tell: Called with a line for each thing that is about to be done.
        node_image: Image of kind's node; kind's own choice when empty.

    Raises:
        ToolError: kind failed; quotes its last lines.
    """
    require("docker", "kind", "kubectl")
    cluster = cluster_name(root)
    if is_up(cluster):
        tell(f"kind cluster {cluster} is there")
        return cluster
    tell(f"making kind cluster {cluster}")
    options = ["--config", str(root / CONFIG), "--wait", "180s"]
    image = ["--image", node_image] if node_image else []
    run(["kind", "create", "cluster", *options, *image], timeout=_CREATE_TIMEOUT)
    return cluster


def down(root: Path, tell: Callable[[str], None]) -> bool:
    """Delete the cluster with everything in it; false when there was none."""
    require("docker", "kind")
    cluster = cluster_name(root)
    if not is_up(cluster):
        return False
    tell(f"deleting kind cluster {cluster}")
    run(["kind", "delete", "cluster", "--name", cluster], timeout=_CREATE_TIMEOUT)
    return True
