"""The folder of flows: which files it has and how the blocks of its keyspaces are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

KEYSPACES_FILE = "keyspaces.yaml"
DEPLOYMENTS_FILE = "prefect.yaml"


def block_name(keyspace: str) -> str:
    """Return the name of the block for a keyspace; Prefect allows no underscores in it."""
    return keyspace.replace("_", "-")


def require_flows(folder: Path) -> None:
    """Check that a folder is one of flows.

    Raises:
        ConfigurationError: A file is missing.
    """
    for name in (KEYSPACES_FILE, DEPLOYMENTS_FILE):
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"{folder} holds no {name}", hint="Name the folder of your flows, e.g. `flows`."
            )
