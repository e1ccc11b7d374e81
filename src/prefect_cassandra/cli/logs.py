"""`prefect-cassandra logs`: what runs wrote into their logs."""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003 -- read by the parser
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.client.schemas.objects import Log

app = App(
    name="logs",
    help="What flow runs wrote into their logs.",
    help_epilogue="""
Exit codes: 0 there are lines, 1 there are none, 2 wrong input, 3 the server
does not answer.
""",
)

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_COLOURS = {10: "dim", 30: "yellow", 40: "red", 50: "bold red"}


@app.default
def show_logs(  # noqa: PLR0913 -- one parameter an option
    run: Annotated[str | None, Parameter(help="Name or id of a flow run.")] = None,
    *,
    flow: Annotated[str | None, Parameter(help="Name of a flow, for all of its runs.")] = None,
    since: Annotated[
        str | None, Parameter(help="How far to look back: 90s, 15m, 1h, 7d [default: all].")
    ] = None,
    grep: Annotated[
        str | None, Parameter(help="Regular expression that a message has to contain.")
    ] = None,
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], Parameter(help="Lowest level.")
    ] = "debug",
    url: Annotated[
        str | None,
        Parameter(help="Prefect's API [default: PREFECT_API_URL, else the local stack's]."),
    ] = None,
    data: Annotated[
        Path | None, Parameter(help="Data folder of the local stack, when it is not the usual one.")
    ] = None,
    output: Annotated[
        Literal["text", "json"], Parameter(help="For people, or a JSON object a line.")
    ] = "text",
) -> int:
    """Show the log of a run, of the runs of a flow, or of every run since a time."""
    if run is None and flow is None and since is None:
        raise ConfigurationError(
            "Nothing says whose log is meant.", hint="Name a run, --flow or --since, e.g. 1h."
        )
    from prefect_cassandra.server import log_reader

    try:
        pattern = None if grep is None else re.compile(grep)
    except re.error as error:
        raise ConfigurationError(f"--grep {grep!r} is no regular expression: {error}") from error
    wanted = log_reader.Wanted(
        run=run,
        flow=flow,
        since=None if since is None else log_reader.since(since),
        level=_LEVELS[level],
        grep=pattern,
    )
    return 0 if _show(log_reader.read_logs(url or _stack(data), wanted), output) else 1


def _stack(data: Path | None) -> str | None:
    """Return the API of the local stack when Prefect's settings name none, or its folder is."""
    from prefect.settings import PREFECT_API_URL

    from prefect_cassandra.errors import DataFolderError
    from prefect_cassandra.local.plan import data_folder
    from prefect_cassandra.local.prefect_services import api_url
    from prefect_cassandra.local.supervisor import require_running

    if data is None and PREFECT_API_URL.value():
        return None
    try:
        state = require_running(data_folder(data))
    except DataFolderError:
        if data is not None:
            raise
        return None
    port = state.ports.get("server")
    return None if port is None else api_url(port)


def _show(lines: Iterable[Log], output: str) -> int:
    """Show lines as they come and return how many there were."""
    import sys

    from rich.text import Text

    from prefect_cassandra.cli.output import data

    console = data()
    count = 0
    for line in lines:
        count += 1
        if output == "json":
            sys.stdout.write(line.model_dump_json() + "\n")
        else:
            console.print(Text(text_of(line), style=_COLOURS.get(line.level // 10 * 10, "")))
    return count


def text_of(line: Log) -> str:
    """Return a line for people: when (UTC), level, the run's first digits, logger, message."""
    name = next((word for word, number in _LEVELS.items() if number == line.level), "")
    run = str(line.flow_run_id)[:8] if line.flow_run_id else "-"
    word = name.upper() or str(line.level)
    return f"{line.timestamp:%Y-%m-%d %H:%M:%S.%f} {word:<8} {run} {line.name} | {line.message}"
