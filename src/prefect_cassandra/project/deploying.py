"""Saves `CassandraCluster` blocks and makes the deployments, in a process of its own.

Another process, because Prefect reads the stack's settings when it is imported; one for both,
because importing it is most of the work. Run in the folder that entry points are relative to; the
arguments are HOSTS PORT CA_FILE PREFECT_YAML NAME=LOGIN_FOLDER..., an empty CA_FILE means no TLS.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from prefect_cassandra.blocks import CassandraCluster, CassandraCredentials, CassandraTls


def save_blocks(hosts: str, port: str, ca_file: str, *logins: str) -> None:
    """Save one block for each `NAME=LOGIN_FOLDER`, over what has that name already."""
    tls = CassandraTls(ca_file=Path(ca_file)) if ca_file else None
    for login in logins:
        name, folder = login.split("=", 1)
        CassandraCluster(
            contact_points=hosts.split(","),
            port=int(port),
            credentials=CassandraCredentials(folder=Path(folder)),
            tls=tls,
        ).save(name, overwrite=True)


def make_deployments(file: str) -> None:
    """Run `prefect deploy`, whose functions are private and whose command line is not."""
    sys.argv = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file]
    runpy.run_module("prefect", run_name="__main__")


def main(hosts: str, port: str, ca_file: str, file: str, *logins: str) -> None:
    """Do both; ends the process with the exit code of `prefect deploy`."""
    save_blocks(hosts, port, ca_file, *logins)
    make_deployments(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
