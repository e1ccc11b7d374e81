"""The first process of a flow's pod: does what `prefect flow-run execute` does, and is quicker.

Prefect starts three interpreters one after the other: one that watches over the run, one that
fetches the code, one that runs it. Each imports Prefect, which is most of the time between a pod
and its flow. Here Prefect is imported once and the process forks: the child fetches the code and
runs it, the parent watches. What both do is Prefect's own code.

That code has no promise to stay as it is. With any other version than the one this was written
against, and wherever forking would not be safe, Prefect's own command takes over.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

TESTED = "3.8.8"
COMMAND = ("prefect", "flow-run", "execute")
RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"


def reason_against(found: str, run_id: str | None, threads: int) -> str:
    """Say why Prefect's own command has to do it; empty when nothing is in the way.

    Args:
        found: Version of Prefect.
        run_id: The flow run, None when nobody said which.
        threads: How many threads there are; those that a fork leaves behind may hold locks.
    """
    if found != TESTED:
        return f"Prefect is {found}, not {TESTED}"
    if not run_id:
        return f"{RUN_VARIABLE} names no run"
    if threads > 1:
        return f"{threads} threads are running"
    return ""


def hand_over(reason: str) -> NoReturn:
    """Become Prefect's own command."""
    print(f"starting as Prefect does: {reason}", file=sys.stderr, flush=True)  # noqa: T201 -- a log
    os.execvp(COMMAND[0], COMMAND)  # noqa: S606 -- no shell is the point


def main() -> None:
    """Run the flow run that the environment names; ends as `prefect flow-run execute` would."""
    run_id = os.environ.get(RUN_VARIABLE)
    if reason := reason_against(version("prefect"), run_id, threading.active_count()):
        hand_over(reason)
    # The collector would walk again and again through modules that stay anyway.
    gc.disable()
    from prefect_cassandra.kube import flow_child, flow_watch  # noqa: PLC0415 -- imports Prefect

    # Importing may start threads: an integration's, for example.
    if reason := reason_against(TESTED, run_id, threading.active_count()):
        hand_over(reason)
    gc.freeze()
    folder = Path(tempfile.mkdtemp(prefix="prefect-flow-run-"))
    gate, opener = os.pipe()
    pid = os.fork()
    gc.enable()
    if pid == 0:
        os.close(opener)
        # So that a signal to the group reaches the flow and what it started, and not the parent.
        os.setsid()
        sys.exit(flow_child.run(str(run_id), folder, gate))
    os.close(gate)
    try:
        flow_watch.watch(flow_watch.Child(pid, opener), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
