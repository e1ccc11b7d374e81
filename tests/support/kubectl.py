"""A kubectl that answers from files, for tests whose servers are real and not in a cluster."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from prefect_cassandra.kube.installation import InstalledRelease

if TYPE_CHECKING:
    from pathlib import Path

# Objects come from files KIND.NAMESPACE.NAME, and the person is always the same.
PROGRAM = """#!{python} -u
import pathlib, sys
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
if "whoami" in words:
    print('{{"status": {{"userInfo": {{"username": "tester"}}}}}}')
    sys.exit()
namespace = words[words.index("--namespace") + 1]
kind, name = words[words.index("get") + 1:][:2]
file = here / f"{{kind}}.{{namespace}}.{{name}}"
if not file.exists():
    sys.exit(f"Error from server (NotFound): {{kind}} {{name}} not found")
print(file.read_text())
"""


class Kubectl:
    """A folder with the program, to be put on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "kubectl"
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(0o755)

    def add_release(self, installed: InstalledRelease) -> None:
        """Hold what the chart says of a release."""
        text = TypeAdapter(InstalledRelease).dump_json(installed, by_alias=True).decode()
        name = f"configmap.{installed.namespace}.{installed.release}-installation"
        (self.folder / name).write_text(json.dumps({"data": {"installation.json": text}}))

    def add_secret(self, namespace: str, name: str, **data: str) -> None:
        """Hold a Secret."""
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        (self.folder / f"secret.{namespace}.{name}").write_text(json.dumps({"data": coded}))
