"""Saves blocks and makes the deployments, in a process of its own.

Another process, because Prefect reads the stack's settings when it is imported; one for both,
because importing it is most of the work. Run in the folder that entry points are relative to; the
arguments are CONNECTION PREFECT_YAML NAME=LOGIN_FOLDER..., where CONNECTION is what all blocks have
in common, as JSON. With a login for the shared state among them, results can be kept there.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from prefect.client.orchestration import get_client

from prefect_cassandra.blocks import (
    CassandraCluster,
    CassandraCredentials,
    CassandraResultStorage,
)
from prefect_cassandra.project.folder import block_name
from prefect_cassandra.schema.model import STATE

if TYPE_CHECKING:
    from uuid import UUID


def save_blocks(connection: str, *logins: str) -> None:
    """Save one block for each `NAME=LOGIN_FOLDER`, over what has that name already.

    With a login for the shared state among them, a storage for results is saved as well.
    """
    common = json.loads(connection)
    for login in logins:
        name, folder = login.split("=", 1)
        credentials = CassandraCredentials(folder=Path(folder))
        cluster = CassandraCluster(**common, credentials=credentials)
        cluster.save(name, overwrite=True)
        if name == block_name(STATE):
            keep_results(cluster, name)


def keep_results(cluster: CassandraCluster, name: str) -> None:
    """Save a result storage, and the first time make it the server's default if there is none.

    A server with a default storage keeps the results of flows and of their tasks unless they say
    otherwise. Whoever chose another one or none since, or another retention, keeps that.
    """
    try:
        before = CassandraResultStorage.load(name, _sync=True)
    except ValueError:
        before = None
    kept = {} if before is None else {"retention_days": before.retention_days}
    storage = CassandraResultStorage(cluster=cluster, **kept)
    # Prefect's types leave open whether it must be awaited; without an event loop it must not.
    block = cast("UUID", storage.save(name, overwrite=True))
    with get_client(sync_client=True) as client:
        chosen = client.read_server_default_result_storage().default_result_storage_block_id
        if before is None and chosen is None:
            client.update_server_default_result_storage(block)


def make_deployments(file: str) -> None:
    """Run `prefect deploy`, whose functions are private and whose command line is not."""
    sys.argv = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file]
    runpy.run_module("prefect", run_name="__main__")


def main(connection: str, file: str, *logins: str) -> None:
    """Do both; ends the process with the exit code of `prefect deploy`."""
    save_blocks(connection, *logins)
    if file:
        make_deployments(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
