"""`python -m release`: make a version, for real or to see whether it could be made."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from prefect_cassandra.cli.output import data, show_error, tell
from prefect_cassandra.errors import ConfigurationError, PrefectCassandraError
from release import steps
from release.chart import Depot
from release.project import changelog_section, obstacles_of, version_of
from release.registry import throwaway

if TYPE_CHECKING:
    from release.steps import Released

app = App(name="release", help="Make a version: wheel, images, chart, bills of material.")

Root = Annotated[Path, Parameter(help="Folder of the project.")]
PythonImage = Annotated[
    str,
    Parameter(
        help="Base image by digest [default: the one the Dockerfiles name].", env_var="PYTHON_IMAGE"
    ),
]


@app.command
def dry_run(*, root: Root = Path(), python_image: PythonImage = "") -> None:
    """Do everything against a registry of this machine, and remove that registry."""
    root = root.resolve()
    for line in obstacles_of(root, version_of(root)):
        tell(f"a real release would stop here: {line}")
    with throwaway(tell) as host:
        depot = Depot(f"{host}/dry-run", is_plain=True)
        order = steps.Order(root, depot, "urn:prefect-cassandra:dry-run", python_image=python_image)
        _show(steps.perform(order, tell), root)


@app.command
def publish(
    *,
    root: Root = Path(),
    registry: Annotated[str, Parameter(help="Registry and path for images and chart.")],
    python_image: PythonImage = "",
) -> None:
    """Do everything for real: push images and chart, and leave the files for PyPI in dist."""
    root = root.resolve()
    version = version_of(root)
    found = obstacles_of(root, version)
    if found:
        raise ConfigurationError(
            f"This commit cannot be released as {version}: {'; '.join(found)}.",
            hint="docs/how-to/release.md has the steps.",
        )
    builder, invocation = builder_of(dict(os.environ))
    order = steps.Order(root, Depot(registry), builder, invocation, python_image)
    _show(steps.perform(order, tell), root)


@app.command
def version(*, root: Root = Path()) -> None:
    """Print the version, once every file agrees on it."""
    data().print(version_of(root))


@app.command
def notes(*, root: Root = Path()) -> None:
    """Print what the changelog says about this version."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    data().print(changelog_section(text, version_of(root)), markup=False)


def builder_of(environment: dict[str, str]) -> tuple[str, str]:
    """Return who builds and which run it is, as URIs.

    Args:
        environment: The variables of the process; GitHub's runners tell there.
    """
    server, repository = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_REPOSITORY")
    if not server or not repository:
        return "urn:prefect-cassandra:by-hand", ""
    home = f"{server}/{repository}"
    run, attempt = environment.get("GITHUB_RUN_ID"), environment.get("GITHUB_RUN_ATTEMPT")
    workflow = environment.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]
    return f"{server}/{workflow}", f"{home}/actions/runs/{run}/attempts/{attempt}"


def _show(released: Released, root: Path) -> None:
    console = data()
    for image in released.images.values():
        console.print(f"{image.repository}:{released.version}@{image.digest}")
    console.print(f"{released.chart}:{released.version}@{released.chart_digest}")
    for path in released.files:
        console.print(f"{path.relative_to(root)}  {path.stat().st_size:,} bytes")


def main() -> int:
    """Run the program and return its exit code."""
    try:
        app(sys.argv[1:], result_action="return_value")
    except PrefectCassandraError as error:
        show_error(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
