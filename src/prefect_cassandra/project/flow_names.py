"""Prints what the deployments of a `prefect.yaml` are called: `flow/deployment`, as a JSON list.

A process of its own, because Prefect and the flows are imported for it: a flow's name is known to
its code alone. Run in the folder that entry points are relative to; the argument is PREFECT_YAML.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml
from prefect.flows import load_flow_from_entrypoint


def names(file: Path) -> list[str]:
    """Return the names in the order of the file; fails where `prefect deploy` would."""
    declared = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [
        f"{load_flow_from_entrypoint(one['entrypoint']).name}/{one['name']}"
        for one in declared["deployments"]
    ]


if __name__ == "__main__":
    # On a line of its own, after whatever the flows print when they are imported.
    sys.stdout.write("\n" + json.dumps(names(Path(sys.argv[1]))) + "\n")
