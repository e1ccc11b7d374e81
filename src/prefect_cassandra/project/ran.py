"""Which version of a deployment a flow run ran, told by the run itself.

A run that waited while its deployment was given another version runs the new one, and Prefect goes
on showing the old. So the worker labels each run with what it really starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_cassandra.ledger.versions import IMAGE_LABEL, VERSION_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IMAGE_LABEL", "VERSION_LABEL", "image_of", "version_of"]


def version_of(run: Mapping[str, Any]) -> str:
    """Return the version that a run ran; empty when nobody gave its deployment one."""
    labels = run.get("labels") or {}
    return str(labels.get(VERSION_LABEL) or run.get("deployment_version") or "")


def image_of(run: Mapping[str, Any], deployment: Mapping[str, Any]) -> str:
    """Return the image that a run ran in; empty when that is unknown, or it ran in none.

    Args:
        run: As Prefect's API returns it.
        deployment: Its deployment as it is now, which may be another version already.
    """
    labels = run.get("labels") or {}
    if found := labels.get(IMAGE_LABEL):
        return str(found)
    variables = dict(run.get("job_variables") or {})
    if deployment.get("version") == version_of(run):
        variables = dict(deployment.get("job_variables") or {}) | variables
    return str(variables.get("image") or "")
