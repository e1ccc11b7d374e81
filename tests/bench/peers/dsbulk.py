"""DSBulk, the bulk loader by Cassandra's best known vendor: CSV in and out, its own defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers.dsbulk_jars import class_path
from bench.plane.data import KEYSPACE
from bench.plane.node import CONSISTENCY
from prefect_cassandra.local.config import DATACENTER
from prefect_cassandra.local.java import find_java
from prefect_cassandra.local.plan import cache_folder

if TYPE_CHECKING:
    from bench.plane.contest import Job
    from bench.plane.meter import Usage

_MAIN = "com.datastax.oss.dsbulk.runner.DataStaxBulkLoader"
_TIMES = ("--codec.timestamp", "yyyy-MM-dd HH:mm:ssxx")


def load(job: Job) -> Usage:
    """Load the CSV file."""
    file = str(job.dataset.file(job.data, "csv"))
    # Without this it refuses rows of more than 4,096 characters in a column.
    wide = ("--connector.csv.maxCharsPerColumn", "20000") if job.dataset.name == "wide" else ()
    return _run(job, "load", "-url", file, *wide)


def unload(job: Job) -> Usage:
    """Unload into CSV files."""
    return _run(job, "unload", "-url", str(job.out))


def _run(job: Job, operation: str, *further: str) -> Usage:
    access = job.access
    settings = job.work / "dsbulk.conf"
    # Not on the command line, where everybody on the machine can read it.
    settings.write_text(
        f'datastax-java-driver.advanced.auth-provider.password = "{access.password}"\n',
        encoding="utf-8",
    )
    settings.chmod(0o600)
    return job.command(
        [
            *(str(find_java().executable), "-Xmx1g", "-cp", class_path(cache_folder()), _MAIN),
            *(operation, "-f", str(settings), "-k", KEYSPACE, "-t", job.dataset.table),
            *("-h", access.host, "-port", str(access.port), "-u", access.username),
            *("-cl", CONSISTENCY, "-header", "true", "-logDir", str(job.work / "logs")),
            *("--driver.basic.load-balancing-policy.local-datacenter", DATACENTER),
            *(*_TIMES, *further),
        ]
    )
