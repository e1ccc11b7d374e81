"""The wheel and the source distribution, and whether the wheel works where nothing else is."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube.tools import run

_PACKAGE = "prefect_cassandra"
_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Packages:
    """What goes to PyPI.

    Args:
        wheel: The wheel.
        source: The source distribution, from which the wheel was built.
    """

    wheel: Path
    source: Path

    @property
    def files(self) -> tuple[Path, Path]:
        """Return both files."""
        return self.wheel, self.source


def build(root: Path, out: Path, version: str) -> Packages:
    """Build both into a folder.

    Args:
        root: Folder of the project.
        out: Folder for the files.
        version: What they have to be called.

    Raises:
        ToolError: uv failed; quotes its last lines.
        PlatformError: The wheel lacks something that it must have.
    """
    run(["uv", "build", "--quiet", "--out-dir", str(out)], folder=root, timeout=_TIMEOUT)
    wheel = out / f"{_PACKAGE}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        lacking = missing(root, set(archive.namelist()), version)
    if lacking:
        raise PlatformError(f"{wheel.name} lacks {', '.join(lacking)}.")
    return Packages(wheel, out / f"{_PACKAGE}-{version}.tar.gz")


def missing(root: Path, names: set[str], version: str) -> list[str]:
    """Return what a wheel lacks of the sources, the mark of typed packages and the licence.

    Args:
        root: Folder of the project.
        names: The files in the wheel.
        version: Its version.
    """
    source = root / "src"
    wanted = {
        path.relative_to(source).as_posix()
        for path in (source / _PACKAGE).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    about = f"{_PACKAGE}-{version}.dist-info"
    wanted |= {f"{_PACKAGE}/py.typed", f"{about}/METADATA", f"{about}/licenses/LICENSE"}
    return sorted(wanted - names)


def check_installed(root: Path, made: Packages, version: str) -> None:
    """Install the wheel with the locked packages into an environment of its own, and start it.

    Raises:
        ToolError: It cannot be installed or started.
        PlatformError: It says that it is another version.
    """
    locked = ["uv", "export", "--quiet", "--locked", "--no-dev", "--no-default-groups"]
    listed = run([*locked, "--no-hashes", "--no-emit-project"], folder=root)
    with tempfile.TemporaryDirectory(prefix="prefect-cassandra-") as folder:
        packages = Path(folder) / "packages.txt"
        packages.write_text(listed, encoding="utf-8")
        only = ["--isolated", "--no-project", "--with-requirements", str(packages)]
        # A PYTHONPATH to the sources would be found before the wheel.
        command = ["env", "-u", "PYTHONPATH", "uv", "run", "--quiet", *only]
        command += ["--with", str(made.wheel)]
        said = run(
            [*command, "prefect-cassandra", "--version"], timeout=_TIMEOUT, folder=Path(folder)
        )
    if said.strip() != version:
        raise PlatformError(f"{made.wheel.name} says that it is {said.strip()}, not {version}.")
