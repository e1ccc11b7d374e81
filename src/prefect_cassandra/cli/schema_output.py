"""How `prefect-cassandra schema` shows plans, results and comparisons."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from prefect_cassandra.cli.output import data, messages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect_cassandra.schema import Applied, Plan, Status

_WIDE = 250
_COLOURS = {
    "applied": "green",
    "ok": "green",
    "pending": "yellow",
    "running": "yellow",
    "changed": "red",
    "unknown": "red",
    "missing": "yellow",
    "drifted": "yellow",
}


def show_plan(plan: Plan, output: str) -> None:
    """Show every statement that would be sent, as a CQL file or as JSON."""
    if output == "json":
        steps = [asdict(step) for step in plan.statements]
        _json({"environment": plan.environment, "statements": steps, "notes": plan.notes})
        return
    for step in plan.statements:
        sys.stdout.write(f"-- {step.subject}, as {step.login}\n{step.cql};\n")
    if plan.rotations:
        _notes([f"finishes the interrupted password rotation of {', '.join(plan.rotations)}"])
    _notes([f"{step.subject}: {step.note}" for step in plan.statements if step.note])
    _notes(plan.notes)
    if plan.lost_logins:
        roles = ", ".join(plan.lost_logins)
        _notes([f"apply will refuse: the password files of {roles} are missing or do not log in"])
    if plan.is_empty:
        messages().print(
            f"Nothing to do: the cluster agrees with the environment {plan.environment}."
        )


def show_applied(applied: Applied, output: str) -> None:
    """Show what was done."""
    if output == "json":
        _json(asdict(applied))
        return
    _notes(applied.notes)
    done = f"{len(applied.steps)} statements, {len(applied.migrations)} migrations"
    if not applied.steps and not applied.migrations:
        done = "nothing to do"
    data().print(Text(f"Schema of {applied.environment}: {done}, {applied.seconds:.1f} s."))


def show_status(status: Status, output: str) -> None:
    """Show the comparison of the cluster with the file."""
    if output == "json":
        _json({"ok": status.ok, **asdict(status)})
        return
    console = data()
    if not console.is_terminal:
        # A file or a pipe has no width; folding names there would hide them from grep.
        console.width = _WIDE
    for table in (_keyspaces(status), _migrations(status), _roles(status)):
        console.print(table)
        console.print()
    for name, holds in status.guardrails.items():
        verdict = Text("on", style="green") if holds else Text("OFF", style="red")
        console.print(Text.assemble(f"guardrail {name}: ", verdict))
    if status.lock:
        console.print(Text(f"the schema is being changed by {status.lock}"))
    _notes(status.notes)
    if not status.ok:
        messages().print(Text("Something differs: see `prefect-cassandra schema apply --dry-run`."))


def _keyspaces(status: Status) -> Table:
    table = _table("keyspace", "purpose", "wanted", "found", "state")
    for row in status.keyspaces:
        state = "missing" if row.found is None else "drifted" if row.drifted else "ok"
        table.add_row(row.name, row.purpose, row.wanted, row.found or "-", _state(state))
    return table


def _migrations(status: Status) -> Table:
    table = _table("migration", "state", "statements", "applied at (UTC)", "by")
    for row in status.migrations:
        when = f"{row.applied_at:%Y-%m-%d %H:%M:%S}" if row.applied_at else "-"
        label = f"{row.keyspace}/{row.number:04d}_{row.name}"
        done = f"{row.done}/{row.statements}"
        table.add_row(label, _state(row.state), done, when, row.applied_by or "-")
    return table


def _roles(status: Status) -> Table:
    table = _table("role", "state", "what differs")
    for row in status.roles:
        state = "missing" if row.faults == ("missing",) else "drifted" if row.faults else "ok"
        table.add_row(row.name, _state(state), "; ".join(row.faults) or "-")
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _state(state: str) -> Text:
    return Text(state, style=_COLOURS[state])


def _notes(notes: Iterable[str]) -> None:
    console = messages()
    for note in notes:
        console.print(Text(f"note: {note}", style="yellow"))


def _json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
