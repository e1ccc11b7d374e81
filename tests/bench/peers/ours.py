"""This package: as commands for files, as a library for rows in memory."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from bench.peers.memory import read_job
from bench.plane.contest import pieces
from bench.plane.data import KEYSPACE
from bench.plane.meter import measured
from bench.plane.node import CONSISTENCY
from prefect_cassandra.driver.session import Session
from prefect_cassandra.writes.loader import load as load_rows

if TYPE_CHECKING:
    from bench.plane.contest import Job
    from bench.plane.meter import Usage


def load_memory(job: Job) -> Usage:
    """Load a table of Arrow that is in memory."""
    return job.module("bench.peers.ours")


def load_parquet(job: Job) -> Usage:
    """Load the Parquet file."""
    return _command(job, "load", str(job.dataset.file(job.data, "parquet")), _table(job))


def load_csv(job: Job) -> Usage:
    """Load the CSV file."""
    return _command(job, "load", str(job.dataset.file(job.data, "csv")), _table(job))


def unload_parquet(job: Job) -> Usage:
    """Unload into Parquet files."""
    return _command(job, "unload", _table(job), str(job.out))


def unload_csv(job: Job) -> Usage:
    """Unload into CSV files."""
    return _command(job, "unload", _table(job), str(job.out), "--format", "csv")


def _table(job: Job) -> str:
    return f"{KEYSPACE}.{job.dataset.table}"


def _command(job: Job, *arguments: str) -> Usage:
    access = job.access
    return job.command(
        [
            str(Path(sys.executable).with_name("prefect-cassandra")),
            *arguments,
            *("--contact-points", access.host, "--port", str(access.port)),
            *("--login-folder", access.login, "--consistency", CONSISTENCY),
        ]
    )


def main() -> None:
    job, _ = read_job()
    rows = pa.Table.from_batches(pieces(job.dataset, job.data, job.rows))
    with closing(Session(job.access.config())) as session:
        session.connect()
        measured(lambda: load_rows(session, _table(job), rows))


if __name__ == "__main__":
    main()
