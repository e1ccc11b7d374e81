"""The driver's own helper: `execute_concurrent_with_args`, one row a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cassandra.concurrent import execute_concurrent_with_args
from cassandra.query import UNSET_VALUE

from bench.peers.memory import insert_of, read_job, rows_of
from bench.plane.meter import measured

if TYPE_CHECKING:
    from bench.plane.contest import Job
    from bench.plane.meter import Usage

_CONCURRENCY = 128


def load(job: Job) -> Usage:
    """Load in a process of its own."""
    return job.module("bench.peers.concurrent")


def main() -> None:
    job, _ = read_job()
    rows = rows_of(job)
    cluster = job.access.cluster()
    session = cluster.connect()
    insert = session.prepare(insert_of(job))

    def work() -> None:
        bound = (tuple(UNSET_VALUE if cell is None else cell for cell in row) for row in rows)
        for _ in execute_concurrent_with_args(
            session, insert, bound, concurrency=_CONCURRENCY, results_generator=True
        ):
            pass

    measured(work)
    cluster.shutdown()


if __name__ == "__main__":
    main()
