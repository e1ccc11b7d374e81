"""`prefect-cassandra unload`: a table into files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.connecting import Database
from prefect_cassandra.cli.load import pairs
from prefect_cassandra.errors import INTERRUPTED

app = App(
    name="unload",
    help="Unload a table into a folder of files: Parquet, CSV or Arrow.",
    help_epilogue="""
Exit codes: 0 all files and the manifest are there, 2 wrong input, 3 something
is unreachable, 5 not permitted, 130 interrupted. The same command, without
--overwrite, goes on where an unload that did not end stopped.
""",
)


@app.default
def unload_table(  # noqa: PLR0913 -- one parameter an option
    table: Annotated[str, Parameter(help="keyspace.table")],
    url: Annotated[str, Parameter(help="Folder to write to; a path or a URL.")],
    *,
    database: Database | None = None,
    format: Annotated[  # noqa: A002 -- the option's name
        Literal["parquet", "csv", "arrow"], Parameter(help="Of the files.")
    ] = "parquet",
    columns: Annotated[
        str | None, Parameter(help="Columns, with commas between them [default: all].")
    ] = None,
    where: Annotated[
        str | None, Parameter(help="Condition on clustering and indexed columns, in CQL.")
    ] = None,
    writetime: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="Column whose write time comes along; repeat it."),
    ] = (),
    ttl: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="Column whose remaining seconds come along; repeat it."),
    ] = (),
    per_partition_limit: Annotated[
        int | None, Parameter(help="Most rows of each partition.")
    ] = None,
    splits: Annotated[
        int | None, Parameter(help="Number of files [default: from the table's size].")
    ] = None,
    compression: Annotated[
        str | None, Parameter(help="Codec of the files [default: the format's usual one].")
    ] = None,
    numbers: Annotated[
        Literal["decimal", "text"],
        Parameter(help="What decimal and varint become; text takes more than 38 digits."),
    ] = "decimal",
    overwrite: Annotated[
        bool, Parameter(negative=(), help="Throw away what an earlier unload left in the folder.")
    ] = False,
    storage_option: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="NAME=VALUE for fsspec, to open the URL; repeat it."),
    ] = (),
    consistency: Annotated[
        str | None, Parameter(help="Consistency level of the reads [default: LOCAL_QUORUM].")
    ] = None,
    in_flight: Annotated[int, Parameter(help="Files read and written side by side.")] = 4,
    output: Annotated[
        Literal["text", "json"], Parameter(help="For people, or for programs.")
    ] = "text",
) -> int:
    """Unload a table into files, each of which is whole or not there; the manifest comes last."""
    from rich.text import Text

    from prefect_cassandra.cli.output import data, messages
    from prefect_cassandra.cli.progress import run_followed
    from prefect_cassandra.reads.unload import UnloadOptions, unload

    session, keyspace = (database or Database()).session(table, writes=False)
    options = UnloadOptions(
        format=format,
        columns=columns.split(",") if columns else None,
        where=where,
        writetime=writetime,
        ttl=ttl,
        per_partition_limit=per_partition_limit,
        consistency=consistency,
        in_flight=in_flight,
        splits=splits,
        compression=compression,
        numbers=numbers,
        overwrite=overwrite,
        storage_options=pairs(storage_option, "--storage-option"),
    )
    report = run_followed(
        lambda progress, cancelled: unload(
            session,
            table,
            url,
            options,
            keyspace=keyspace,
            progress=progress,
            cancelled=cancelled,
        )
    )
    if output == "json":
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
    else:
        data().print(Text(str(report)))
    if report.cancelled:
        again = "the same command without --overwrite" if overwrite else "the same command"
        messages().print(Text(f"Interrupted; {again} goes on where it stopped."))
        return INTERRUPTED
    return 0
