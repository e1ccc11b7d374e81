"""Saves `CassandraCluster` blocks and makes the deployments, in a process of its own.

Another process, because Prefect reads the stack's settings when it is imported; one for both,
because importing it is most of the work. Run in the folder that entry points are relative to; the
arguments are CONNECTION PREFECT_YAML NAME=LOGIN_FOLDER..., where CONNECTION is what all blocks have
in common, as JSON.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from prefect_cassandra.blocks import CassandraCluster, CassandraCredentials


def save_blocks(connection: str, *logins: str) -> None:
    """Save one block for each `NAME=LOGIN_FOLDER`, over what has that name already."""
    common = json.loads(connection)
    for login in logins:
        name, folder = login.split("=", 1)
        credentials = CassandraCredentials(folder=Path(folder))
        CassandraCluster(**common, credentials=credentials).save(name, overwrite=True)


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
