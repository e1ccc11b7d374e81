"""The forked half of a flow's pod: fetches the code, waits for leave, runs the flow."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio

# `main` is what every flow imports, so that the child finds it.
from prefect import flow_engine, main  # noqa: F401
from prefect.logging.handlers import APILogHandler
from prefect.runner import _workspace_resolver as resolver
from prefect.runner import _workspace_supervisor as supervisor
from prefect.runner._workspace_runtime import WorkspaceSupervisorConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MANIFEST = "workspace.json"
_ENGINE = ["-m", "prefect.engine"]
_PATH = "PYTHONPATH"
# Steps after which this interpreter is as good as a new one: they only bring files.
_HARMLESS = {"set_working_directory", "git_clone"}
# What Prefect itself sets for the engine.
_PREFECTS_OWN = "PREFECT__"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What Prefect would start as the engine, and what was done before.

    Args:
        command: Program and arguments.
        folder: To start it in.
        environment: Its whole environment.
        steps: Names of the deployment's pull steps.
    """

    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    steps: Sequence[str]


def needs_new_interpreter(prepared: Prepared, before: Mapping[str, str]) -> bool:
    """Tell whether the engine has to be started as Prefect would.

    It does when the deployment wants another interpreter, or when a step may have changed what was
    read when this one started: packages, or the environment.

    Args:
        prepared: What Prefect would start.
        before: The environment before the steps.
    """
    if list(prepared.command[1:]) != _ENGINE or not set(prepared.steps) <= _HARMLESS:
        return True
    after = prepared.environment
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    return any(name != _PATH and not name.startswith(_PREFECTS_OWN) for name in changed)


def step_names(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the short names of pull steps, such as `git_clone`."""
    return [name.rpartition(".")[2] for step in steps for name in step]


def prepare(run_id: str, folder: Path) -> Prepared:
    """Fetch the code of a run as its deployment says, and go to its folder.

    Args:
        run_id: The flow run.
        folder: Where Prefect's start keeps its files.
    """
    launches: list[tuple[list[str], Path, dict[str, str]]] = []
    names: list[str] = []
    run_steps = resolver.run_steps  # type: ignore[attr-defined]

    async def launch(command: list[str], *, cwd: Path, environment: dict[str, str]) -> int:
        launches.append((command, cwd, environment))
        return 0

    async def noted(steps: list[dict[str, Any]], *args: Any, **options: Any) -> dict[str, Any]:
        names.extend(step_names(steps))
        return await run_steps(steps, *args, **options)

    async def supervise() -> None:
        try:
            await supervisor.supervise(config)
        finally:
            await APILogHandler.aflush()

    config = WorkspaceSupervisorConfig(
        flow_run_id=UUID(run_id),
        workspace_root=folder / "workspace",
        manifest_path=folder / MANIFEST,
    )
    supervisor._launch_engine = launch  # noqa: SLF001 -- instead of a third interpreter
    resolver.run_steps = noted  # type: ignore[attr-defined]
    anyio.run(supervise)
    (command, cwd, environment) = launches[0]
    return Prepared(command, cwd, environment, names)


def run(run_id: str, folder: Path, gate: int) -> int:
    """Run the flow, and return the exit code of the process.

    Args:
        run_id: The flow run.
        folder: Where Prefect's start keeps its files.
        gate: File descriptor; the parent writes variables for the environment to it, or closes it
            when the run is not to be started.
    """
    before = dict(os.environ)
    prepared = prepare(run_id, folder)
    with os.fdopen(gate, "rb") as opened:
        leave = opened.read()
    if not leave:
        return 0
    environment = {**prepared.environment, **json.loads(leave)}
    os.chdir(prepared.folder)
    if needs_new_interpreter(prepared, before):
        os.execvpe(prepared.command[0], list(prepared.command), environment)  # noqa: S606
    os.environ.clear()
    os.environ.update(environment)
    # As for `python -m`: the working folder first, then the path.
    paths = [str(prepared.folder), *environment.get(_PATH, "").split(os.pathsep)]
    sys.path[:0] = [path for path in dict.fromkeys(paths) if path and path not in sys.path]
    return flow_engine._main([environment["PREFECT__FLOW_ENTRYPOINT"]])  # noqa: SLF001
