"""Tables on the pages of a run: shown where they can be, never a reason to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.artifacts import acreate_table_artifact, create_table_artifact
from prefect.context import TaskRunContext

from prefect_cassandra.tasks.following import run_logger

if TYPE_CHECKING:
    from collections.abc import Iterable


def artifact_key(kind: str, table: str) -> str:
    """Return an artifact's key; Prefect takes lower-case letters, digits and dashes only."""
    return f"{kind}-" + "".join(c if c.isalnum() and c.isascii() else "-" for c in table.lower())


def show(artifacts: Iterable[dict[str, Any]]) -> None:
    """Make table artifacts of the task that runs; outside of a run there is nowhere to show them.

    Args:
        artifacts: Arguments of `create_table_artifact` for each.
    """
    if TaskRunContext.get() is None:
        return
    try:
        for one in artifacts:
            create_table_artifact(**one)
    except Exception as error:  # noqa: BLE001 -- the work is done; a page in the UI is extra
        _warn(error)


async def ashow(artifacts: Iterable[dict[str, Any]]) -> None:
    """Do what `show` does, without blocking the event loop."""
    if TaskRunContext.get() is None:
        return
    try:
        for one in artifacts:
            await acreate_table_artifact(**one)
    except Exception as error:  # noqa: BLE001 -- the work is done; a page in the UI is extra
        _warn(error)


def _warn(error: Exception) -> None:
    run_logger().warning("What was done could not be shown as an artifact: %s", error)
