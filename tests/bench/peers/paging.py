"""The driver's own paging, tuples or NumPy columns; nothing is written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cassandra import numpy_parser
from cassandra.protocol import NumpyProtocolHandler

from bench.peers.memory import read_job
from bench.plane.data import KEYSPACE
from bench.plane.meter import measured

if TYPE_CHECKING:
    from bench.plane.contest import Job
    from bench.plane.meter import Usage

_RANGES, _AT_A_TIME = 32, 4


def one_query(job: Job) -> Usage:
    """Page through one query and hold no row."""
    return job.module("bench.peers.paging", "query")


def ranges(job: Job) -> Usage:
    """Page through 32 ranges, four at a time."""
    return job.module("bench.peers.paging", "ranges")


def numpy_columns(job: Job) -> Usage:
    """Page through 32 ranges, four at a time, and get NumPy columns."""
    return job.module("bench.peers.paging", "numpy")


def _native_byte_order(column: Any) -> Any:
    """Do what the driver's function did before NumPy 2 took `ndarray.newbyteorder` away."""
    return (
        column if column.dtype.kind == "O" else column.byteswap().view(column.dtype.newbyteorder())
    )


def count(result: Any) -> int:
    """Page through one answer and count its rows."""
    rows = 0
    while True:
        page = result.current_rows
        columns = bool(page) and isinstance(page[0], dict)
        rows += len(next(iter(page[0].values()))) if columns else len(page)
        if not result.has_more_pages:
            return rows
        result.fetch_next_page()


def main() -> None:
    job, (way,) = read_job()
    cluster = job.access.cluster()
    session = cluster.connect(KEYSPACE)
    if way == "numpy":
        numpy_parser.make_native_byteorder = _native_byte_order
        session.client_protocol_handler = NumpyProtocolHandler
    pieces = 1 if way == "query" else _RANGES
    key = ", ".join(job.dataset.partition)
    query = session.prepare(
        f"SELECT {', '.join(job.columns)} FROM {job.dataset.table} "  # noqa: S608
        f"WHERE token({key}) > ? AND token({key}) <= ?"
    )
    query.fetch_size = 500 if job.dataset.name == "wide" else 5000
    bounds = [*(-(2**63) + 2**64 // pieces * n for n in range(pieces)), 2**63 - 1]

    def work() -> None:
        with ThreadPoolExecutor(_AT_A_TIME) as threads:
            seen = sum(
                threads.map(lambda ends: count(session.execute(query, ends)), pairwise(bounds))
            )
        (job.work / "rows").write_text(str(seen), encoding="utf-8")

    measured(work)
    cluster.shutdown()


if __name__ == "__main__":
    main()
