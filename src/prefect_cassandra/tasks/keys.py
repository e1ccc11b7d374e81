"""Names of work that are the same when the task, or its flow run, is run again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from prefect.context import FlowRunContext, TaskRunContext

from prefect_cassandra.tasks.provenance import default_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_cassandra.reads.unload import UnloadOptions

# These change how an unload is done, not what it makes; the last one holds secrets.
_HOW = frozenset({"in_flight", "overwrite", "run_key", "storage_options"})
_DIGITS = 16  # of a digest: 64 bits


def content_digest(*asked: Any) -> str:
    """Return a short name of what was asked for: the same for the same values in any process."""
    text = json.dumps(asked, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def part_key(whole: str, number: int, deployment: str, parameters: Mapping[str, Any]) -> str:
    """Return the name of one part of a piece of work that is spread over flow runs.

    A flow may spread several pieces of work, or the same one over other parts than before: only a
    run that was asked to do exactly this has done it.

    Args:
        whole: Names the piece of work: the parent run.
        number: Place of the part.
        deployment: What is run.
        parameters: The parameters of its run.
    """
    return f"{whole}-{number}-{content_digest(deployment, parameters)}"


def unload_key(table: str, url: str, options: UnloadOptions) -> str:
    """Return the name of an unload in each attempt of its task and each restart of its flow run.

    Unloads of one run that differ in table, folder or content have different names, and so do two
    that do not differ, by their order. Empty outside of any run, where Prefect repeats nothing.

    Args:
        table: As the caller names it.
        url: The folder.
        options: What is unloaded and how.
    """
    what = {one.name: getattr(options, one.name) for one in fields(options) if one.name not in _HOW}
    name = f"unload/{content_digest(table, url, what)}"
    if TaskRunContext.get() is not None:
        return default_key(name) or ""
    flow = FlowRunContext.get()
    if flow is None or flow.flow_run is None:
        return ""
    # Prefect's own counters live exactly as long as one attempt of the flow.
    counters = flow.task_run_dynamic_keys
    counted = f"prefect-cassandra/{name}"
    counters[counted] = place = int(counters.get(counted, -1)) + 1
    return f"flow-run/{flow.flow_run.id}/{name}/{place}"
