"""`prefect-cassandra load`: files into a table."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.connecting import Database
from prefect_cassandra.errors import INTERRUPTED, ConfigurationError

if TYPE_CHECKING:
    from prefect_cassandra.writes.files import Files
    from prefect_cassandra.writes.report import LoadReport

REJECTED = 1
_REJECTS_SHOWN = 10

app = App(
    name="load",
    help="Load files into a table: CSV, JSON lines, Parquet, Arrow.",
    help_epilogue="""
Exit codes: 0 every row was written, 1 some rows were rejected, 2 wrong input
or more rejected than allowed, 3 something is unreachable, 4 an outcome is
unknown, 5 not permitted, 130 interrupted. A load can be run again as it is.
""",
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the files are like."""

    format: Annotated[
        Literal["csv", "json", "parquet", "arrow"] | None,
        Parameter(help="Of the files [default: told from their names]."),
    ] = None
    delimiter: Annotated[
        str | None, Parameter(help="Between the cells of CSV [default: a comma; a tab for .tsv].")
    ] = None
    quote: Annotated[str, Parameter(help="Around cells of CSV.")] = '"'
    null: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(), help="What stands for a missing value in CSV; repeat it for several."
        ),
    ] = ("",)
    columns: Annotated[
        str | None, Parameter(help="Columns of CSV without a header, with commas between them.")
    ] = None
    rename: Annotated[
        tuple[str, ...],
        Parameter(
            name="--map",
            negative=(),
            help="FILE_COLUMN=TABLE_COLUMN, where they differ; repeat it.",
        ),
    ] = ()
    skip: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="Column of the file that is not wanted; repeat it."),
    ] = ()
    storage_option: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="NAME=VALUE for fsspec, to open the URL; repeat it."),
    ] = ()

    def files(self, url: str) -> Files:
        """Return the input."""
        from prefect_cassandra.writes.files import Files

        return Files(
            url,
            format=self.format,
            delimiter=self.delimiter,
            quote=self.quote,
            null_marks=self.null,
            names=self.columns.split(",") if self.columns else None,
            rename=pairs(self.rename, "--map"),
            skip=self.skip,
            storage_options=pairs(self.storage_option, "--storage-option"),
        )


@app.default
def load_files(  # noqa: PLR0913 -- one parameter an option
    file: Annotated[str, Parameter(help="A file, a folder or a quoted glob; a path or a URL.")],
    table: Annotated[str, Parameter(help="keyspace.table")],
    *,
    database: Database | None = None,
    reading: Reading | None = None,
    mode: Annotated[
        Literal["unset", "null"],
        Parameter(help="What a missing value does: leave the stored cell, or delete it."),
    ] = "unset",
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Read, check and encode everything and write nothing.")
    ] = False,
    on_error: Annotated[
        Literal["fail", "reject"] | None,
        Parameter(help="What a bad row does [default: fail; with a reject file: reject]."),
    ] = None,
    reject_file: Annotated[
        str | None, Parameter(help="New file for rejected rows, with reasons: .csv or .jsonl.")
    ] = None,
    reject_limit: Annotated[
        int, Parameter(help="Most rows that may be rejected; -1 for any number.")
    ] = 10_000,
    consistency: Annotated[
        str | None, Parameter(help="Consistency level of the writes [default: LOCAL_QUORUM].")
    ] = None,
    in_flight: Annotated[int, Parameter(help="Most requests unanswered at one time.")] = 32,
    output: Annotated[
        Literal["text", "json"], Parameter(help="For people, or for programs.")
    ] = "text",
) -> int:
    """Load files into a table. Columns are matched by name, text gets the types of the table."""
    from prefect_cassandra.cli.progress import run_followed
    from prefect_cassandra.writes.loader import LoadOptions, load
    from prefect_cassandra.writes.rejects import RejectFile

    if reject_file is not None and on_error == "fail":
        raise ConfigurationError(
            "--reject-file is of no use with --on-error fail.", hint="Leave one of them out."
        )
    files = (reading or Reading()).files(file)
    rejects = RejectFile(reject_file, files) if reject_file is not None else None
    session, keyspace = (database or Database()).session(table, writes=True)
    options = LoadOptions(
        mode=mode,
        consistency=consistency,
        in_flight=in_flight,
        on_error=on_error or ("reject" if reject_file else "fail"),
        reject_limit=None if reject_limit < 0 else reject_limit,
        reject_sink=rejects,
        dry_run=dry_run,
    )
    with rejects or nullcontext():
        report = run_followed(
            lambda progress, cancelled: load(
                session,
                table,
                files,
                options,
                keyspace=keyspace,
                progress=progress,
                progress_every=0.2,
                cancelled=cancelled,
            )
        )
    show(report, output, dry_run=dry_run, reject_file=reject_file)
    if report.cancelled:
        return INTERRUPTED
    return REJECTED if report.rejected else 0


def show(report: LoadReport, output: str, *, dry_run: bool, reject_file: str | None) -> None:
    """Say what was done: the report on stdout, rejected rows on stderr."""
    from rich.text import Text

    from prefect_cassandra.cli.output import data, messages
    from prefect_cassandra.reads.urls import without_login

    if output == "json":
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
    else:
        data().print(Text(f"{report}{', dry run: nothing was written' if dry_run else ''}"))
    console = messages()
    for reject in report.rejects[:_REJECTS_SHOWN]:
        console.print(Text(f"Rejected {reject}"))
    if report.rejected > _REJECTS_SHOWN:
        console.print(Text(f"and {report.rejected - _REJECTS_SHOWN:,} more rows"))
    if report.rejected and reject_file:
        told = without_login(reject_file)
        console.print(Text(f"All of them are in {told}.", style="yellow"))
    if report.cancelled:
        console.print(Text("Interrupted; what was written stays, and a repeat writes it again."))


def pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    """Return NAME=VALUE options by name.

    Raises:
        ConfigurationError: One has no equals sign.
    """
    for one in given:
        if "=" not in one:
            raise ConfigurationError(f"{option} {one} has no '='.", hint=f"{option} NAME=VALUE")
    return dict(one.split("=", 1) for one in given)
