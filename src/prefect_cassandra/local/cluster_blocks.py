"""Saves `CassandraCluster` blocks, in a process of its own that reads the stack's settings.

Run as `python -m prefect_cassandra.local.cluster_blocks HOSTS PORT CA_FILE NAME=LOGIN_FOLDER...`;
an empty CA_FILE means plain text.
"""

from __future__ import annotations

import sys
from pathlib import Path

from prefect_cassandra.blocks import CassandraCluster, CassandraCredentials, CassandraTls


def main(hosts: str, port: str, ca_file: str, *logins: str) -> None:
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


if __name__ == "__main__":
    main(*sys.argv[1:])
