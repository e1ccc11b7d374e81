"""Registers the deployments of a `prefect.yaml` for a cluster: its pool, its image, its logins.

The file stays the one source. What a cluster changes in it is decided by `for_cluster`, a function
of the file's content, and Prefect's own `prefect deploy` reads the result, so schedules, triggers
and limits mean what they mean everywhere.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.kube.cassandra import tls_of
from prefect_cassandra.kube.definitions import described
from prefect_cassandra.kube.jobs import LOGIN_FOLDER
from prefect_cassandra.project.deployment import Target, deploy
from prefect_cassandra.project.environment import prefect_environment
from prefect_cassandra.project.folder import DEPLOYMENTS_FILE, KEYSPACES_FILE, require_flows
from prefect_cassandra.project.naming import deployment_names
from prefect_cassandra.schema import flow_role, load_keyspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prefect_cassandra.kube.images import Image
    from prefect_cassandra.kube.installation import (
        InstalledCassandra,
        InstalledPool,
        InstalledRelease,
    )
    from prefect_cassandra.kube.server import Server

# Where the image has the folder of flows.
FLOWS_ROOT = "/opt/flows-root"
# The local stack's names of queues, where the cluster has others.
_QUEUES = {"loads": "heavy"}
_DEFAULT = "default"
# Does what `prefect flow-run execute` does with one interpreter instead of three. It is said by the
# deployment and not by the pool, because it goes with the image: an older one may not have it.
# -P: nothing in the folder it starts in can take the place of a package.
FLOW_COMMAND = "python -P -m prefect_cassandra.kube.flow_start"
# The template's word for a run that logs in nowhere.
NO_LOGIN = "none"
# What a queue's runs get unless a deployment says otherwise; the pool's own defaults are small.
_RESOURCES = {
    "heavy": {"cpu_request": "250m", "memory_request": "512Mi", "memory_limit": "1536Mi"},
}


def for_cluster(
    declared: Mapping[str, Any],
    image: Image,
    pool: InstalledPool,
    labels: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the content of a `prefect.yaml` as it is for the cluster.

    Args:
        declared: Content of the file.
        image: Which flow image the runs use.
        pool: Where they wait.
        labels: The version of each deployment, in the order of the file; the image's tag when
            there are none.

    Raises:
        ConfigurationError: It declares nothing, or names a queue that the pool does not have.
    """
    deployments = declared.get("deployments") or []
    if not deployments:
        raise ConfigurationError(f"{DEPLOYMENTS_FILE} declares no deployments.")
    # Building is done already, and the code is in the image: no step but going there.
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": FLOWS_ROOT}}]
    kept = {key: declared[key] for key in ("name", "prefect-version") if key in declared}
    versions = labels or [image.tag] * len(deployments)
    return kept | {
        "pull": pull,
        "deployments": [
            _deployment(one, image, pool) | {"version": version}
            for one, version in zip(deployments, versions, strict=True)
        ],
    }


def _deployment(declared: Mapping[str, Any], image: Image, pool: InstalledPool) -> dict[str, Any]:
    mapped = {
        key: deepcopy(value)
        for key, value in declared.items()
        if key not in {"build", "push", "pull"}
    }
    local = declared.get("work_pool") or {}
    queue = queue_of(str(declared["name"]), local.get("work_queue_name") or _DEFAULT, pool)
    own = dict(local.get("job_variables") or {})
    variables = {"command": FLOW_COMMAND} | _RESOURCES.get(queue, {}) | own
    mapped["work_pool"] = {
        "name": pool.name,
        "work_queue_name": queue,
        "job_variables": variables | {"image": image.reference},
    }
    for trigger in mapped.get("triggers") or ():
        said = str(trigger.get("description") or "")
        trigger["description"] = described(said, str(declared["name"]))
    return mapped


def queue_of(deployment: str, declared: str, pool: InstalledPool) -> str:
    """Return the pool's queue for what a deployment says.

    Raises:
        ConfigurationError: The pool has none of that name; Prefect would make one, without limits.
    """
    queue = _QUEUES.get(declared, declared)
    if queue in pool.queues:
        return queue
    if declared in _QUEUES:
        return _DEFAULT
    raise ConfigurationError(
        f"Deployment {deployment} names the queue {declared}, which work pool {pool.name} does not "
        f"have; it has {', '.join(pool.queues)}.",
        hint="Name one of those in prefect.yaml, or add it to workPool.queues in the release's "
        "values and upgrade.",
    )


def require_logins(
    declared: Mapping[str, Any], keyspaces: Sequence[str], installed: InstalledRelease
) -> None:
    """Check that the release has a login for everything that a folder of flows asks for.

    Args:
        declared: Content of its `prefect.yaml`.
        keyspaces: Names of its keyspaces.
        installed: The release.

    Raises:
        PlatformError: A keyspace is none of the release's, or a deployment's login is not there.
    """
    for keyspace in keyspaces:
        installed.login_secret(flow_role(keyspace))
    for one in declared.get("deployments") or []:
        variables = (one.get("work_pool") or {}).get("job_variables") or {}
        login = str(variables.get("login") or NO_LOGIN)
        if login != NO_LOGIN:
            installed.login_secret(login.replace("-", "_"))


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
    server: Server,
    installed: InstalledRelease,
    flows: Path,
    mapped: Mapping[str, Any],
    tell: Callable[[str], None],
) -> None:
    """Save the blocks of the keyspaces and make the deployments; safe to repeat.

    Args:
        server: Where to.
        installed: Whose Cassandra and work pool the flows use.
        flows: Folder with `prefect.yaml` and `keyspaces.yaml`.
        mapped: What `for_cluster` made of the former.
        tell: Called with a line for each thing that is about to be done.

    Raises:
        DeploymentError: Prefect refused; quotes its output.
    """
    keyspaces = list(load_keyspaces(flows / KEYSPACES_FILE).keyspaces)
    tell(f"deploying {', '.join(names_of(mapped))}")
    with _environment(server) as (home, environment):
        file = home / DEPLOYMENTS_FILE
        file.write_text(yaml.safe_dump(mapped, sort_keys=False), encoding="utf-8")
        deploy(
            target_of(installed.cassandra, keyspaces),
            file,
            # Entry points are relative to the folder that holds the folder of flows.
            folder=flows.resolve().parent,
            environment=environment,
        )


def save_blocks(server: Server, installed: InstalledRelease, tell: Callable[[str], None]) -> None:
    """Save the blocks of all keyspaces that a release has flows for; safe to repeat.

    Raises:
        DeploymentError: Prefect refused; quotes its output.
    """
    end = flow_role("")
    keyspaces = [role.removesuffix(end) for role in installed.logins if role.endswith(end)]
    tell(f"saving the blocks of {', '.join(keyspaces)}")
    with _environment(server) as (home, environment):
        target = target_of(installed.cassandra, keyspaces)
        deploy(target, None, folder=home, environment=environment)


def full_names(server: Server, flows: Path) -> tuple[str, ...]:
    """Return `flow/deployment` for each deployment that a folder of flows declares.

    Raises:
        DeploymentError: A flow cannot be imported.
    """
    with _environment(server) as (_, environment):
        file = flows / DEPLOYMENTS_FILE
        return deployment_names(file, folder=flows.resolve().parent, environment=environment)


@contextmanager
def _environment(server: Server) -> Iterator[tuple[Path, dict[str, str]]]:
    """Give a process of Prefect's a home of its own, and this server."""
    with tempfile.TemporaryDirectory(prefix="prefect-cassandra-") as folder:
        home = Path(folder)
        environment = prefect_environment(home, server.api_url, os.environ)
        yield home, environment | server.environment()


def target_of(cassandra: InstalledCassandra, keyspaces: Sequence[str]) -> Target:
    """Return what the blocks of a release name.

    All name the same folder: which login is mounted there is a matter of the run's Job.
    """
    return Target(
        cassandra.contact_points,
        cassandra.port,
        dict.fromkeys(keyspaces, LOGIN_FOLDER),
        tls_of(cassandra),
        cassandra.local_datacenter or None,
    )
