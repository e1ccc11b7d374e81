"""Brings a folder of flows to a Prefect server: the blocks of its keyspaces, its deployments.

The work is done by `deploying.py` in a process of its own; this side imports nothing of Prefect.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import DeploymentError
from prefect_cassandra.project.folder import block_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from prefect_cassandra.driver.config import Tls

_PROGRAM = "prefect_cassandra.project.deploying"
_TIMEOUT = 300.0
_OUTPUT_LINES = 20


@dataclass(frozen=True, slots=True)
class Target:
    """The Cassandra that the blocks name.

    Args:
        hosts: Contact points.
        port: CQL port.
        logins: Keyspace to the folder with its flows' login, as the flows see it.
        tls: How the port is encrypted, its files as the flows see them; None for plain text.
        local_datacenter: The datacenter to talk to; found out when None.
    """

    hosts: Sequence[str]
    port: int
    logins: Mapping[str, Path | str]
    tls: Tls | None = None
    local_datacenter: str | None = None

    def connection(self) -> dict[str, Any]:
        """Return the fields that all blocks have in common; there is no secret among them."""
        return {
            "contact_points": list(self.hosts),
            "port": self.port,
            "local_datacenter": self.local_datacenter,
            "tls": None if self.tls is None else asdict(self.tls),
        }

    def arguments(self, file: Path | None) -> list[str]:
        """Return Python's arguments that save the blocks and deploy a `prefect.yaml`, if any."""
        pairs = [f"{block_name(name)}={folder}" for name, folder in self.logins.items()]
        connection = json.dumps(self.connection(), default=str)
        return ["-m", _PROGRAM, connection, str(file or ""), *pairs]


def deploy(
    target: Target, file: Path | None, *, folder: Path, environment: Mapping[str, str]
) -> None:
    """Save the blocks and make the deployments; safe to repeat.

    Args:
        target: What the blocks name.
        file: A `prefect.yaml`; None saves the blocks only.
        folder: What its entry points are relative to.
        environment: The whole environment, in which Prefect means the right server.

    Raises:
        DeploymentError: Prefect refused, or did not end in time; quotes its output.
    """
    what = f"Deploying {file}" if file else "Saving the blocks"
    try:
        done = subprocess.run(
            [sys.executable, *target.arguments(file)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeploymentError(f"{what} did not end within {_TIMEOUT:.0f} s.") from error
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-_OUTPUT_LINES:])
        raise DeploymentError(f"{what} failed with exit code {done.returncode}:\n{tail}")
