"""What people and programs see: data on stdout, messages on stderr."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.live import Live

    from prefect_cassandra.errors import PrefectCassandraError
    from prefect_cassandra.local.project import Deployed
    from prefect_cassandra.local.stack import Event, Stack
    from prefect_cassandra.local.status import PartStatus, StackStatus

_MIB = 1024 * 1024
_BAR_WIDTH = 30
_COLOURS = {
    "ready": "green",
    "running": "green",
    "stopped": "dim",
    "broken": "red",
    "gone": "red",
}


def messages() -> Console:
    """Return the console for messages; made anew because tests and shells redirect the stream."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def data() -> Console:
    """Return the console for data."""
    return Console(highlight=False, soft_wrap=True)


def tell(text: str) -> None:
    """Show a line about what is being done."""
    messages().print(Text(f"  {text}"))


def show_error(error: PrefectCassandraError, *, verbose: bool = False) -> None:
    """Show what failed and what to do next."""
    console = messages()
    if verbose:
        console.print(Text("".join(traceback.format_exception(error)).rstrip(), style="dim"))
    text = Text.assemble((f"Error {error.code}: ", "bold red"), error.message)
    if error.hint:
        text.append(f"\n  -> {error.hint}", style="yellow")
    console.print(text)


def show_traceback(error: Exception, *, verbose: bool) -> None:
    """Show an error nobody foresaw, which is a defect of ours."""
    console = messages()
    if verbose:
        console.print(Text("".join(traceback.format_exception(error)).rstrip(), style="dim"))
    text = Text.assemble(("Unexpected error: ", "bold red"), f"{type(error).__name__}: {error}")
    if not verbose:
        text.append("\n  -> Run it again with -v to see where, and report it.", style="yellow")
    console.print(text)


@dataclass
class _Line:
    """One part in the display."""

    began: float
    state: str = "starting"
    text: str = ""
    seconds: float | None = None
    share: float | None = None


@dataclass
class Progress:
    """Shows the events of a stack: a moving table on a terminal, else a line for each change."""

    console: Console = field(default_factory=messages)
    _lines: dict[str, _Line] = field(default_factory=dict, init=False)
    _live: Live | None = field(default=None, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def __call__(self, event: Event) -> None:
        """Take one event; may be called from any thread."""
        with self._lock:
            line = self._update(event)
            if self._live is None or event.part == "stack":
                self._print(event, line)

    def _update(self, event: Event) -> _Line:
        now = time.monotonic()
        line = self._lines.setdefault(event.part, _Line(now))
        if event.state in {"starting", "stopping"}:
            line.began, line.seconds = now, None
        elif event.state in {"ready", "stopped"}:
            line.seconds = now - line.began
        if event.state != "note":
            line.state = event.state
        line.text, line.share = event.text, event.share
        return line

    def _print(self, event: Event, line: _Line) -> None:
        if event.state == "note":
            self.console.print(Text(f"{event.part}: {event.text}"))
            return
        took = f" ({line.seconds:.1f} s)" if line.seconds is not None else ""
        detail = f"  {event.text}" if event.text else ""
        self.console.print(Text(f"{event.part} {event.state}{took}{detail}"))

    def __rich__(self) -> Table:
        """Draw the table of the parts."""
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for name, line in self._lines.items():
                if name == "stack":
                    continue
                seconds = (
                    line.seconds if line.seconds is not None else time.monotonic() - line.began
                )
                table.add_row(
                    Text(name, style="bold"),
                    Text(line.state, style=_COLOURS.get(line.state, "yellow")),
                    Text(f"{seconds:5.1f} s"),
                    Text(line.text, style="dim"),
                    "" if line.share is None else ProgressBar(1.0, line.share, width=_BAR_WIDTH),
                )
        return table

    def finish(self) -> None:
        """Leave the table as it is; later events are printed as lines."""
        with self._lock:
            if self._live is not None:
                live, self._live = self._live, None
                live.stop()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(self, console=self.console, refresh_per_second=5)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()


def show_up(stack: Stack, *, detached: bool) -> None:
    """Say where everything is and what to do next."""
    option = f" --data {stack.config.data}"
    points = ", ".join(f"{address}:{stack.cql_port}" for address in stack.contact_points)
    rows = [("CQL", points), ("Superuser's login", f"{stack.superuser}/")]
    if stack.ca_file:
        rows.append(("CA certificate", str(stack.ca_file)))
    steps = [f"prefect-cassandra local cqlsh{option}"]
    if stack.ui_url:
        rows.append(("Prefect UI", stack.ui_url))
        steps.append(f"export PREFECT_API_URL={stack.api_url}")
    rows.append(("Logs", f"{stack.config.data / 'logs'}/"))
    steps.append(f"prefect-cassandra local status{option}")
    if detached:
        steps.append(f"prefect-cassandra local down{option}")
    console = data()
    console.print(Text("The stack is up.", style="bold green"))
    for name, value in rows:
        console.print(Text(f"  {name:<18}{value}"))
    console.print(Text("Next:"))
    for step in steps:
        console.print(Text(f"  {step}"))
    if not detached:
        messages().print(Text("Ctrl-C stops it.", style="dim"))


def show_deployed(stack: Stack, deployed: Deployed) -> None:
    """Say what a folder of flows brought and how to use it."""
    console = data()
    schema = deployed.schema
    changed = f"{len(schema.steps)} statements, {len(schema.migrations)} migrations"
    console.print(Text(f"Schema: {changed} in {schema.seconds:.1f} s"))
    console.print(Text(f"Blocks: {', '.join(deployed.blocks)}"))
    for note in schema.notes:
        messages().print(Text(note, style="yellow"))
    console.print(Text("Next:"))
    for step in (
        f"export PREFECT_API_URL={stack.api_url}",
        "prefect deployment ls",
        "prefect deployment run FLOW/DEPLOYMENT",
    ):
        console.print(Text(f"  {step}"))


def show_status(status: StackStatus, output: str) -> None:
    """Show what runs, for people or as JSON."""
    if output == "json":
        sys.stdout.write(json.dumps(status_json(status), indent=2) + "\n")
        return
    console = data()
    colour = _COLOURS.get(status.verdict, "yellow")
    if status.verdict == "stopped":
        console.print(Text(f"Nothing is running on {status.folder}."))
        return
    console.print(
        Text.assemble(("The stack is ", ""), (status.verdict, colour), f": {status.folder}")
    )
    if status.supervisor is None:
        console.print(Text("Nobody looks after it. `local down` or the next `local up` ends it."))
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "state", "pid", "since", "memory", "address"):
        table.add_column(heading, overflow="fold")
    for part in status.parts:
        table.add_row(*_cells(part))
    for other in status.others:
        table.add_row(*_cells(other))
    console.print(table)


def _cells(part: PartStatus) -> list[Text]:
    state = "running" if part.alive else "gone"
    since = datetime.fromtimestamp(part.since, tz=UTC).astimezone()
    return [
        Text(part.name),
        Text(state, style=_COLOURS[state]),
        Text(str(part.pid)),
        Text(since.strftime("%Y-%m-%d %H:%M:%S")),
        Text(f"{part.memory / _MIB:.0f} MiB"),
        Text(part.address),
    ]


def status_json(status: StackStatus) -> dict[str, Any]:
    """Return a status as plain values; times in ISO 8601, UTC."""
    plain = asdict(status)
    for part in [*plain["parts"], *plain["others"]]:
        part["since"] = datetime.fromtimestamp(part["since"], tz=UTC).isoformat()
    return plain
