"""Counting rows by reading every one of them, range by range.

One `SELECT COUNT(*)` over a table of any size ends in a timeout; over a slice of the token ring it
does not, and slices can be read side by side.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.errors import NotAppliedError, UnreachableError
from prefect_cassandra.reads.ranges import token_ranges

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.reads.ranges import TokenRange

_PIECES = 64
# A range that times out is cut in halves; after so many cuts it is not the size that is wrong.
_CUTS = 6


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
