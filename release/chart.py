"""The chart as an OCI artifact: packaged for a registry, pushed there, pulled back, rendered."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.release import CHART, images_in
from prefect_cassandra.kube.tools import attempt, run

NAME = "prefect-cassandra"
_DIGEST = re.compile(r"^Digest: (sha256:[0-9a-f]{64})$", re.MULTILINE)
_UNSET = '\n  registry: ""\n'


@dataclass(frozen=True, slots=True)
class Depot:
    """Where charts are pushed to.

    Args:
        registry: Registry and path, as for the images.
        is_plain: Whether it speaks HTTP, as one on this machine does.
    """

    registry: str
    is_plain: bool = False

    @property
    def folder(self) -> str:
        """Return the address that `helm push` takes."""
        return f"oci://{self.registry}/charts"

    @property
    def chart(self) -> str:
        """Return the name of the chart in it, without a scheme or a tag."""
        return f"{self.registry}/charts/{NAME}"

    def options(self) -> list[str]:
        """Return how helm has to speak to it."""
        return ["--plain-http"] if self.is_plain else []


def stamped(values: str, registry: str) -> str:
    """Return values.yaml with the registry that the images were released to.

    Raises:
        ToolError: The file is not the one that charts/generate.py writes.
    """
    if values.count(_UNSET) != 1:
        raise ToolError("values.yaml has no single empty images.registry to fill in.")
    return values.replace(_UNSET, f'\n  registry: "{registry}"\n')


def package(root: Path, registry: str, out: Path) -> Path:
    """Package the chart, knowing where its images are, and return the archive.

    Args:
        root: Folder of the project.
        registry: Where the images of this version are.
        out: Folder for the archive.

    Raises:
        ToolError: helm failed; quotes its last lines.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="prefect-cassandra-") as folder:
        copy = Path(folder) / NAME
        shutil.copytree(root / CHART, copy, ignore=shutil.ignore_patterns("__pycache__"))
        values = copy / "values.yaml"
        values.write_text(stamped(values.read_text("utf-8"), registry), "utf-8")
        run(["helm", "lint", "--strict", str(copy)])
        run(["helm", "package", str(copy), "--destination", str(out)])
    (archive,) = out.glob(f"{NAME}-*.tgz")
    return archive


def push(archive: Path, depot: Depot) -> str:
    """Push a packaged chart and return its digest.

    Raises:
        ToolError: helm failed, or named no digest.
    """
    done = attempt(["helm", "push", str(archive), depot.folder, *depot.options()])
    match = _DIGEST.search(f"{done.output}\n{done.errors}")
    if done.code or match is None:
        raise ToolError(f"{archive.name} was not pushed to {depot.folder}:\n{done.tail()}")
    return match[1]


def images_as_installed(depot: Depot, version: str) -> set[str]:
    """Pull a released chart and return the images it names without being told any.

    Raises:
        ToolError: It is not there, or cannot be rendered.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-cassandra-") as folder:
        where = ["--version", version, "--destination", folder]
        run(["helm", "pull", f"oci://{depot.chart}", *where, *depot.options()])
        (archive,) = Path(folder).glob("*.tgz")
        return images_of(archive)


def images_of(archive: Path) -> set[str]:
    """Render a packaged chart with no values at all and return every image it names.

    Raises:
        ToolError: It cannot be rendered.
    """
    text = run(["helm", "template", "pc", str(archive), "--kube-version", "1.34.0"])
    documents = [one for one in yaml.safe_load_all(text) if one]
    found = {name for document in documents for name in images_in(document)}
    # The flows' image is in no pod of the release, but in the template of their Jobs.
    return found | set(re.findall(r'"default": "([^"]+/prefect-cassandra-flows[:@][^"]+)"', text))
