"""Registers the deployments of a `prefect.yaml` for a cluster: its pool, its image, its logins.

The file stays the one source. What a cluster changes in it is decided by `for_cluster`, a function
of the file's content, and Prefect's own `prefect deploy` reads the result, so schedules, triggers
and limits mean what they mean everywhere.
"""

from __future__ import annotations

import os
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.kube.jobs import LOGIN_FOLDER
from prefect_cassandra.project.deployment import Target, deploy
from prefect_cassandra.project.environment import prefect_environment
from prefect_cassandra.project.folder import DEPLOYMENTS_FILE, KEYSPACES_FILE, require_flows
from prefect_cassandra.schema import load_keyspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prefect_cassandra.kube.images import Image
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.kube.server import Server

POOL = "cassandra"
# Where the image has the folder of flows.
FLOWS_ROOT = "/opt/flows-root"
# The local stack's names of queues, where the cluster has others.
_QUEUES = {"loads": "heavy"}
# What a queue's runs get unless a deployment says otherwise; the pool's own defaults are small.
_RESOURCES = {
    "heavy": {"cpu_request": "250m", "memory_request": "512Mi", "memory_limit": "1536Mi"},
}
_CQL_PORT = 9042


def for_cluster(declared: Mapping[str, Any], image: Image) -> dict[str, Any]:
    """Return the content of a `prefect.yaml` as it is for the cluster.

    Args:
        declared: Content of the file.
        image: Which flow image the runs use.

    Raises:
        ConfigurationError: It declares nothing.
    """
    deployments = declared.get("deployments") or []
    if not deployments:
        raise ConfigurationError(f"{DEPLOYMENTS_FILE} declares no deployments.")
    # Building is done already, and the code is in the image: no step but going there.
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": FLOWS_ROOT}}]
    kept = {key: declared[key] for key in ("name", "prefect-version") if key in declared}
    return kept | {
        "pull": pull,
        "deployments": [_deployment(one, image) for one in deployments],
    }


def _deployment(declared: Mapping[str, Any], image: Image) -> dict[str, Any]:
    mapped = {
        key: deepcopy(value)
        for key, value in declared.items()
        if key not in {"build", "push", "pull"}
    }
    local = declared.get("work_pool") or {}
    queue = local.get("work_queue_name") or "default"
    queue = _QUEUES.get(queue, queue)
    variables = _RESOURCES.get(queue, {}) | dict(local.get("job_variables") or {})
    mapped["work_pool"] = {
        "name": POOL,
        "work_queue_name": queue,
        "job_variables": variables | {"image": image.reference},
    }
    # The tag says more than a number kept by hand: commit and content.
    mapped["version"] = image.tag
    return mapped


def read_declared(flows: Path) -> dict[str, Any]:
    """Read the `prefect.yaml` of a folder of flows.

    Raises:
        ConfigurationError: It is missing or no YAML.
    """
    require_flows(flows)
    try:
        found = yaml.safe_load((flows / DEPLOYMENTS_FILE).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{flows / DEPLOYMENTS_FILE} is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{flows / DEPLOYMENTS_FILE} holds no deployments.")
    return found


def names_of(mapped: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the deployments."""
    return tuple(str(one["name"]) for one in mapped["deployments"])


def register(
    server: Server, release: Release, flows: Path, image: Image, tell: Callable[[str], None]
) -> tuple[str, ...]:
    """Save the blocks of the keyspaces and make the deployments; safe to repeat.

    Args:
        server: Where to.
        release: Whose Cassandra the flows use.
        flows: Folder with `prefect.yaml` and `keyspaces.yaml`.
        image: The flow image.
        tell: Called with a line for each thing that is about to be done.

    Returns:
        The names of the deployments.

    Raises:
        DeploymentError: Prefect refused; quotes its output.
    """
    mapped = for_cluster(read_declared(flows), image)
    keyspaces = list(load_keyspaces(flows / KEYSPACES_FILE).keyspaces)
    with tempfile.TemporaryDirectory(prefix="prefect-cassandra-") as home:
        tell(f"deploying {', '.join(names_of(mapped))} with image {image.reference}")
        file = Path(home) / DEPLOYMENTS_FILE
        file.write_text(yaml.safe_dump(mapped, sort_keys=False), encoding="utf-8")
        environment = prefect_environment(Path(home), server.api_url, os.environ)
        deploy(
            target_of(release, keyspaces),
            file,
            # Entry points are relative to the folder that holds the folder of flows.
            folder=flows.resolve().parent,
            environment=environment | {"PREFECT_API_AUTH_STRING": server.auth},
        )
    return names_of(mapped)


def target_of(release: Release, keyspaces: Sequence[str]) -> Target:
    """Return what the blocks of a release name.

    All name the same folder: which login is mounted there is a matter of the run's Job.
    """
    logins = dict.fromkeys(keyspaces, LOGIN_FOLDER)
    return Target((release.object("cassandra"),), _CQL_PORT, logins)
