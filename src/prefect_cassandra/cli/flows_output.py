"""How `prefect-cassandra flows` shows versions of deployments."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from prefect_cassandra.cli.output import data, messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.kube.restoring import Restored
    from prefect_cassandra.kube.versions import Entry
    from prefect_cassandra.ledger.versions import Origin

_WIDE = 250
_SHORT_COMMIT = 10
_COLOURS = {"in use": "green", "superseded": "dim", "unfinished": "yellow", "failed": "red"}
_HEADINGS = ("deployment", "version", "state", "image tag", "commit", "made (UTC)", "by", "from")


def show_history(entries: Sequence[Entry], output: str) -> None:
    """Show versions, for people or as JSON."""
    if output == "json":
        sys.stdout.write(json.dumps([as_json(one) for one in entries], indent=2) + "\n")
        return
    if not entries:
        messages().print("No version yet: `prefect-cassandra flows push` makes the first.")
        return
    console = data()
    if not console.is_terminal:
        # A file or a pipe has no width; folding names there would hide them from grep.
        console.width = _WIDE
    table = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    for one in entries:
        table.add_row(*_cells(one))
    console.print(table)


def as_json(entry: Entry) -> dict[str, Any]:
    """Return a version as plain values; times in ISO 8601, UTC."""
    version = entry.version
    return {
        "deployment": version.deployment,
        "version": version.number,
        "label": version.label,
        "state": entry.standing,
        **asdict(version.origin),
        "digest": version.digest,
        "created_at": version.created_at.isoformat(),
        "package_version": version.package_version,
    }


def show_restored(restored: Restored) -> None:
    """Say what is in use now."""
    made, source = restored.version, restored.source
    data().print(
        Text(
            f"{made.deployment}: version {made.number}, {made.label}, "
            f"made of version {source.number}, with {made.origin.image}"
        )
    )


def _cells(entry: Entry) -> list[Text]:
    version, origin = entry.version, entry.version.origin
    commit, mark, changes = origin.git_commit.partition("+")
    who = origin.created_by
    if origin.kubernetes_user:
        who += f" ({origin.kubernetes_user})"
    return [
        Text(version.deployment),
        Text(str(version.number)),
        Text(entry.standing, style=_COLOURS[entry.standing]),
        Text(origin.image_tag),
        Text(f"{commit[:_SHORT_COMMIT]}{mark}{changes}" or "-"),
        Text(f"{version.created_at:%Y-%m-%d %H:%M:%S}"),
        Text(who),
        Text(_source(origin)),
    ]


def _source(origin: Origin) -> str:
    if origin.restored_from is not None:
        return f"version {origin.restored_from}"
    return origin.promoted_from or "-"
