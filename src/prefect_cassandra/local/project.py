"""Puts a folder of flows on a running stack: keyspaces and roles, blocks, deployments.

The folder holds `keyspaces.yaml` and `prefect.yaml`. Each application keyspace gets a
`CassandraCluster` block of its name (underscores become dashes, as Prefect wants) that logs in as
that keyspace's flow role with the files the schema room wrote: no password leaves its file. One
more block, `prefect-state`, is where the results of flows are kept.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.driver.config import Tls
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.local.guard import MARK, mark_of
from prefect_cassandra.local.plan import StackConfig
from prefect_cassandra.local.stack import Stack
from prefect_cassandra.local.supervisor import require_running
from prefect_cassandra.project import deployment
from prefect_cassandra.project.folder import (
    DEPLOYMENTS_FILE,
    KEYSPACES_FILE,
    block_name,
    require_flows,
)
from prefect_cassandra.schema import Applied, Installation, apply, flow_role, load_keyspaces
from prefect_cassandra.schema.model import STATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Deployed:
    """What `deploy` did.

    Attributes:
        schema: Statements sent and migrations carried out.
        blocks: Names of the saved `CassandraCluster` blocks.
    """

    schema: Applied
    blocks: tuple[str, ...]


def environment_of(nodes: int) -> str:
    """Return the environment of `keyspaces.yaml` that a stack with so many nodes is."""
    return "local" if nodes == 1 else f"local-{nodes}"


def attached(folder: Path) -> Stack:
    """Return the stack that runs on a data folder, to be asked but not to be stopped.

    Raises:
        DataFolderError: Nothing runs there.
        ConfigurationError: It runs without Prefect.
    """
    state = require_running(folder)
    if not state.prefect:
        raise ConfigurationError(
            f"The stack on {folder} runs without Prefect.",
            hint="Start it without --no-prefect.",
        )
    ports = {f"{purpose}_port": port for purpose, port in state.ports.items()}
    return Stack(StackConfig.from_settings(data=folder, nodes=state.nodes, tls=state.tls, **ports))


def deploy(stack: Stack, flows: Path, tell: Callable[[str], None]) -> Deployed:
    """Apply the schema, save the blocks and make the deployments. Safe to repeat.

    Args:
        stack: A running stack with Prefect.
        flows: Folder with `keyspaces.yaml` and `prefect.yaml`.
        tell: Called with one line for each thing that is about to be done.

    Raises:
        ConfigurationError: A file is missing or wrong.
        SchemaError: A migration cannot be applied.
        DeploymentError: Prefect refused the blocks or the deployments; quotes its output.
    """
    require_flows(flows)
    installation = Installation(
        load_keyspaces(flows / KEYSPACES_FILE),
        environment_of(stack.config.nodes),
        stack.config.data / "secrets",
    )
    keyspaces = installation.applications
    # Deploying needs the server only, so it goes on while Cassandra agrees on the schema.
    with ThreadPoolExecutor(1, thread_name_prefix="deploy") as pool:
        tell(f"deploying {flows / DEPLOYMENTS_FILE}")
        deploying = pool.submit(_deploy, stack, flows, keyspaces)
        applied = apply(stack.cluster_config(), installation, progress=tell)
        deploying.result()
    return Deployed(applied, tuple(block_name(name) for name in keyspaces))


def _deploy(stack: Stack, flows: Path, keyspaces: list[str]) -> None:
    secrets = stack.config.data / "secrets"
    logins = {name: secrets / flow_role(name) for name in keyspaces} | {STATE: secrets / STATE}
    file = flows.resolve() / DEPLOYMENTS_FILE
    tls = Tls(ca_file=stack.ca_file) if stack.ca_file else None
    deployment.deploy(
        deployment.Target(stack.contact_points, stack.cql_port, logins, tls),
        file,
        # Entry points are relative to the folder that holds the folder of flows.
        folder=file.parent.parent,
        # With the stack's mark, so that its guard ends the process when we are killed.
        environment=stack.environment() | {MARK: mark_of(stack.config.data)},
    )
