"""acsylla, the C++ driver in asyncio: unlogged batches by partition from 32 coroutines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import acsylla

from bench.peers.memory import batches_of, insert_of, read_job, rows_of
from bench.plane.data import KEYSPACE
from bench.plane.meter import measured
from bench.plane.node import CONSISTENCY

if TYPE_CHECKING:
    from bench.peers.memory import Row
    from bench.plane.contest import Job
    from bench.plane.meter import Usage

_COROUTINES = 32


def load(job: Job) -> Usage:
    """Load in a process of its own."""
    return job.module("bench.peers.acsylla_batches")


async def send(session: Any, insert: Any, job: Job, rows: list[Row]) -> None:
    """Send all; rows have no nulls, which acsylla could bind only as tombstones."""
    batches = batches_of(job, rows)

    async def worker() -> None:
        for together in batches:
            batch = acsylla.create_batch_unlogged()
            for row in together:
                statement = insert.bind()
                for place, value in enumerate(row):
                    statement.bind(place, value)
                batch.add_statement(statement)
            await session.execute_batch(batch)

    await asyncio.gather(*(worker() for _ in range(_COROUTINES)))


def main() -> None:
    job, _ = read_job()
    rows = rows_of(job)
    loop = asyncio.new_event_loop()

    async def connect() -> tuple[Any, Any]:
        cluster = acsylla.create_cluster(
            [job.access.host],
            port=job.access.port,
            username=job.access.username,
            password=job.access.password,
            consistency=getattr(acsylla.Consistency, CONSISTENCY),
            num_threads_io=1,
            queue_size_io=65536,
            log_level="error",
        )
        session = await cluster.create_session(keyspace=KEYSPACE)
        return session, await session.create_prepared(insert_of(job))

    session, insert = loop.run_until_complete(connect())
    measured(lambda: loop.run_until_complete(send(session, insert, job, rows)))
    loop.run_until_complete(session.close())


if __name__ == "__main__":
    main()
