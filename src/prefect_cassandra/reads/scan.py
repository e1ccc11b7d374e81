"""Scanning a whole table: several ranges of the token ring side by side, each row once.

One `SELECT` over a table of any size ends in a timeout; over a slice of the ring it does not. A
scan is no snapshot: rows written meanwhile may or may not be in it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from prefect_cassandra.driver.identifiers import dotted, qualified, quote
from prefect_cassandra.driver.routing import token_owners
from prefect_cassandra.errors import ConfigurationError, NotAppliedError, UnreachableError
from prefect_cassandra.reads.query import Selection
from prefect_cassandra.reads.ranges import splits, token_ranges
from prefect_cassandra.reads.size import estimated_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    import pyarrow as pa

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.reads.ranges import Split, TokenRange

_PIECES = 64
# A range whose count times out is cut in halves, so many times.
_CUTS = 6
# A split of about this size is a file that other tools like, and little work to lose.
_SPLIT_BYTES = 128 << 20
_FEWEST_SPLITS, _MOST_SPLITS = 8, 10_000


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How to scan.

    Args:
        selection: Which rows and columns.
        consistency: Level instead of the session's.
        in_flight: Ranges read side by side. More than one or two per core of a node only queue.
        splits: Pieces wanted; from the table's size when absent.

    Raises:
        ConfigurationError: A number is too small.
    """

    selection: Selection = field(default_factory=Selection)
    consistency: str | None = None
    in_flight: int = 4
    splits: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("in_flight", self.in_flight), ("splits", self.splits)):
            if value is not None and value < 1:
                raise ConfigurationError(f"{name} is {value}; nothing is read with less than 1.")


def plan_splits(
    session: Session, keyspace: str, table: str, options: ScanOptions | None = None
) -> list[Split]:
    """Cut a table into splits: as many as asked for, else by its size.

    Raises:
        ConfigurationError: The cluster's partitioner is not Murmur3Partitioner.
    """
    options = options or ScanOptions()
    wanted = options.splits
    if wanted is None:
        size = estimated_bytes(session, keyspace, table) or 0
        fewest = max(_FEWEST_SPLITS, 2 * options.in_flight)
        wanted = min(_MOST_SPLITS, max(fewest, -(-size // _SPLIT_BYTES)))
    return splits(token_owners(session, keyspace), wanted)


class Scan:
    """The rows of a table as record batches, in no order; iterate over it once.

    Threads read ahead by as many batches as there are ranges in flight, and wait while nobody
    takes them. Leave it with `close`, or use it in a `with` block; an async flow iterates with
    `async for`.

    Args:
        session: Where from.
        table: `keyspace.table`, or a table of `keyspace`.
        options: What and how.
        keyspace: Keyspace of a table named without one.

    Attributes:
        schema: The Arrow schema of every batch.

    Raises:
        ConfigurationError: The options do not fit the table.
        StatementError: There is no such table, or the server refuses the query.
    """

    def __init__(
        self,
        session: Session,
        table: str,
        options: ScanOptions | None = None,
        *,
        keyspace: str | None = None,
    ) -> None:
        from prefect_cassandra.reads.range_reader import RangeReader  # noqa: PLC0415 -- pyarrow

        options = options or ScanOptions()
        space, name = qualified(table, keyspace)
        info = session.table(space, name)
        self.table = f"{space}.{name}"
        self._reader = RangeReader(
            session, info, options.selection, consistency=options.consistency
        )
        self.schema: pa.Schema = self._reader.decoder.schema
        self._ranges = _Shared(plan_splits(session, space, name, options))
        self._in_flight = options.in_flight
        self._stop = threading.Event()
        self._room = threading.Semaphore(2 * options.in_flight)
        self._ready: queue.SimpleQueue[pa.RecordBatch | BaseException | None] = queue.SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None

    @property
    def retries(self) -> int:
        """Times a request was sent again."""
        return self._reader.retries

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they come.

        Raises:
            NotAppliedError: A partition cannot be read, in however small pieces; names it.
            UnreachableError: No node answered.
            DataError: A value does not fit its Arrow type.
        """
        self._start()
        running = self._in_flight
        try:
            while running:
                found = self._ready.get()
                if isinstance(found, BaseException):
                    raise found
                if found is None:
                    running -= 1
                    continue
                self._room.release()
                yield found
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        """Yield the batches without blocking the event loop."""
        batches = iter(self)
        try:
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                yield batch
        finally:
            await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; waits for the pages under way."""
        self._stop.set()
        for _ in range(self._in_flight):
            self._room.release()
        if self._threads is not None:
            self._threads.shutdown(wait=True)

    def _start(self) -> None:
        if self._threads is not None:
            raise ConfigurationError("A scan can be read only once.", hint="Make a new one.")
        self._threads = ThreadPoolExecutor(self._in_flight, thread_name_prefix="scan")
        for _ in range(self._in_flight):
            self._threads.submit(self._work)

    def _work(self) -> None:
        """Read ranges until there are none left."""
        try:
            while (one := self._ranges.take()) is not None:
                for batch in self._reader.batches(one):
                    self._room.acquire()
                    if self._stop.is_set():
                        return
                    self._ready.put(batch)
        except BaseException as error:  # noqa: BLE001 -- raised again by whoever reads the batches
            self._ready.put(error)
        finally:
            # Also when it is stopped: somebody may be waiting for what comes next.
            self._ready.put(None)


class _Shared:
    """Ranges that several threads take one after the other."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self._left = iter([one for split in splits for one in split.ranges])
        self._lock = threading.Lock()

    def take(self) -> TokenRange | None:
        with self._lock:
            return next(self._left, None)


def count_rows(
    session: Session,
    keyspace: str,
    table: str,
    *,
    consistency: str | None = None,
    in_flight: int = 4,
) -> int:
    """Count the rows of a table with a scan. It is no snapshot: rows written meanwhile may count.

    Args:
        session: Where to.
        keyspace: As stored.
        table: As stored.
        consistency: Level instead of the session's.
        in_flight: Ranges read side by side; more than one or two per core of a node only queue.

    Raises:
        StatementError: There is no such table.
        UnreachableError: A range got no answer, however small it was cut.
    """
    info = session.table(keyspace, table)
    key = ", ".join(quote(name) for name in info.partition_key)
    query = (
        f"SELECT COUNT(*) AS rows FROM {dotted(keyspace, table)} "  # noqa: S608 -- quoted names
        f"WHERE token({key}) > ? AND token({key}) <= ?"
    )

    def count(one: TokenRange, cuts: int = 0) -> int:
        try:
            row = session.execute(query, [one.start, one.end], consistency=consistency).one()
        except (NotAppliedError, UnreachableError):
            halves = one.halves() if cuts < _CUTS else None
            if halves is None:
                raise
            return sum(count(half, cuts + 1) for half in halves)
        return int(row["rows"]) if row else 0

    with ThreadPoolExecutor(in_flight, thread_name_prefix="scan") as threads:
        try:
            return sum(threads.map(count, token_ranges(ring(session), _PIECES)))
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise


def ring(session: Session) -> list[int]:
    """Return the tokens of all nodes.

    The two tables may be answered by different nodes and miss a token. Then a range spans two nodes
    and is still read whole: where the ring is cut is a matter of speed only.
    """
    rows = [
        *session.execute("SELECT tokens FROM system.local"),
        *session.execute("SELECT tokens FROM system.peers_v2"),
    ]
    return [int(token) for row in rows for token in row["tokens"] or ()]
