"""cqlsh's COPY, with two processes for two cores and every digit of a number."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.plane.data import KEYSPACE
from bench.plane.node import CONSISTENCY

if TYPE_CHECKING:
    from bench.plane.contest import Job
    from bench.plane.meter import Usage

_PROCESSES = "NUMPROCESSES = 2 AND HEADER = true"


def load(job: Job) -> Usage:
    """Load the CSV file."""
    # A batch is a request; 20 rows of 10 KB are 200 KB, which a node takes.
    return _copy(job, f"FROM '{job.dataset.file(job.data, 'csv')}' WITH {_PROCESSES}")


def unload(job: Job) -> Usage:
    """Unload into one CSV file."""
    job.out.mkdir()
    digits = "FLOATPRECISION = 9 AND DOUBLEPRECISION = 17"
    return _copy(job, f"TO '{job.out / 'rows.csv'}' WITH {_PROCESSES} AND {digits}")


def _copy(job: Job, rest: str) -> Usage:
    access = job.access
    credentials = job.work / "credentials"
    credentials.write_text(
        f"[PlainTextAuthProvider]\nusername = {access.username}\npassword = {access.password}\n",
        encoding="utf-8",
    )
    credentials.chmod(0o600)
    columns = ", ".join(job.columns)
    copy = f"COPY {KEYSPACE}.{job.dataset.table} ({columns}) {rest}"
    return job.command(
        [
            *(str(Path(sys.executable).with_name("cqlsh")), access.host, str(access.port)),
            *("--credentials", str(credentials), "--username", access.username),
            *("--execute", f"CONSISTENCY {CONSISTENCY}; {copy}"),
        ]
    )
