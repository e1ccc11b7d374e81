"""Finds out what the deployments of a folder of flows are called at the server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from prefect_cassandra.errors import DeploymentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PROGRAM = "prefect_cassandra.project.flow_names"
_TIMEOUT = 120.0
_OUTPUT_LINES = 20


def deployment_names(
    file: Path, *, folder: Path, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Return `flow/deployment` for each deployment of a `prefect.yaml`, in its order.

    Args:
        file: A `prefect.yaml`.
        folder: What its entry points are relative to.
        environment: The whole environment of the process that imports the flows.

    Raises:
        DeploymentError: A flow cannot be imported, or is not where the file says; quotes Python.
    """
    command = [sys.executable, "-m", _PROGRAM, str(file.resolve())]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeploymentError(
            f"The flows of {file} were not imported within {_TIMEOUT:.0f} s."
        ) from error
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-_OUTPUT_LINES:])
        raise DeploymentError(f"The flows of {file} cannot be imported:\n{tail}")
    found: list[str] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return tuple(found)
