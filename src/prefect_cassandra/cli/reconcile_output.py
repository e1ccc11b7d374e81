"""How `prefect-cassandra reconcile` shows what there was to put right."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.text import Text

from prefect_cassandra.cli.output import data

if TYPE_CHECKING:
    from prefect_cassandra.kube.reconciling.decisions import Action
    from prefect_cassandra.kube.reconciling.loop import Findings


def show_findings(found: Findings, output: str) -> None:
    """Show what one pass came to, for people or as JSON."""
    if output == "json":
        sys.stdout.write(json.dumps(findings_json(found), indent=2) + "\n")
        return
    console = data()
    results = results_of(found)
    for action in found.actions:
        # One below the other, as the doctor does: in a log a column has no width.
        head = Text.assemble(
            Text(f"{action.kind:<8}", style="bold yellow"),
            f"run {action.run.name}, {action.run.state} since {action.run.since:%Y-%m-%d %H:%M:%S}",
        )
        console.print(head)
        console.print(Text(f"{'':8}{action.reason}"))
        jobs = ", ".join(job.name for job in action.jobs)
        if jobs:
            console.print(Text(f"{'':8}Jobs: {jobs}"))
        console.print(Text(f"{'':8}-> {results[action.key]}", style="dim"))
    done = sum(outcome.is_done for outcome in found.outcomes)
    told = f"{found.runs} runs and {found.jobs} Jobs looked at, "
    told += f"{len(found.actions)} to put right, {done} done"
    console.print(Text(told, style="yellow" if len(found.actions) > done else "green"))


def results_of(found: Findings) -> dict[tuple[str, ...], str]:
    """Return what became of each decision, by its key."""
    known = {action.key: "not done" for action in found.actions}
    for outcome in found.outcomes:
        known[outcome.action.key] = "done" if outcome.is_done else outcome.text
    return known


def findings_json(found: Findings) -> dict[str, Any]:
    """Return what one pass came to as plain values."""
    results = results_of(found)
    return {
        "runs": found.runs,
        "jobs": found.jobs,
        "actions": [_action(action) | {"result": results[action.key]} for action in found.actions],
    }


def _action(action: Action) -> dict[str, Any]:
    return {
        "action": str(action.kind),
        "run": action.run.name,
        "run_id": action.run.id,
        "state": action.run.state,
        "since": action.run.since.isoformat(),
        "reason": action.reason,
        "jobs": [job.name for job in action.jobs],
        "delay_seconds": action.delay,
    }
