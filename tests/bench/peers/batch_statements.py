"""The driver's `BatchStatement`, unlogged, by partition, 32 under way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from cassandra.query import UNSET_VALUE, BatchStatement, BatchType

from bench.peers.memory import batches_of, insert_of, read_job, rows_of
from bench.plane.meter import measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.plane.contest import Job
    from bench.plane.meter import Usage

_UNDER_WAY = 32


def load(job: Job) -> Usage:
    """Load in a process of its own."""
    return job.module("bench.peers.batch_statements")


def send(session: Any, statements: Iterator[Any]) -> None:
    """Send all, at most 32 unanswered."""
    free = threading.Semaphore(_UNDER_WAY)
    errors: list[Exception] = []

    def failed(error: Exception) -> None:
        errors.append(error)
        free.release()

    for statement in statements:
        free.acquire()
        if errors:
            break
        session.execute_async(statement).add_callbacks(lambda _: free.release(), failed)
    for _ in range(_UNDER_WAY):
        free.acquire()
    if errors:
        raise errors[0]


def main() -> None:
    job, _ = read_job()
    rows = rows_of(job)
    cluster = job.access.cluster()
    session = cluster.connect()
    insert = session.prepare(insert_of(job))

    def statements() -> Iterator[BatchStatement]:
        for together in batches_of(job, rows):
            batch = BatchStatement(BatchType.UNLOGGED)
            for row in together:
                batch.add(insert, tuple(UNSET_VALUE if cell is None else cell for cell in row))
            yield batch

    measured(lambda: send(session, statements()))
    cluster.shutdown()


if __name__ == "__main__":
    main()
