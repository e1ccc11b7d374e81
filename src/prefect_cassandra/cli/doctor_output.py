"""How `prefect-cassandra doctor` and `preflight` show their findings."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from prefect_cassandra.cli.output import data

if TYPE_CHECKING:
    from prefect_cassandra.kube.doctor.check import Check, Report

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}


def show_report(report: Report, output: str) -> None:
    """Show the findings, for people or as JSON."""
    if output == "json":
        sys.stdout.write(json.dumps(report_json(report), indent=2) + "\n")
        return
    console = data()
    width = max((len(check.name) for check in report.checks), default=0)
    for check in report.checks:
        console.print(_line(check, width))
        if check.hint and check.status != "ok":
            # Below the evidence, not in a column of its own: in a log a column has no width.
            console.print(Text(f"{'':8}{'':{width}}  -> {check.hint}", style="yellow"))
    console.print(Text(summary(report), style="green" if report.ok else "bold red"))


def _line(check: Check, width: int) -> Text:
    subject = f"{check.subject}: " if check.subject else ""
    status = Text(f"{check.status:<8}", style=_COLOURS[check.status])
    return Text.assemble(status, f"{check.name:<{width}}  {subject}{check.evidence}")


def summary(report: Report) -> str:
    """Return how many checks had which status, the worst first."""
    counts = {
        status: sum(1 for check in report.checks if check.status == status)
        for status in ("fail", "warn", "ok", "skipped")
    }
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def report_json(report: Report) -> dict[str, Any]:
    """Return the findings as plain values."""
    return {"ok": report.ok, "checks": [asdict(check) for check in report.checks]}
