"""Rows of any statement as requests at one stamp: brought together by partition, cut, framed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prefect_cassandra.driver.encoded import UNSET, encode_rows, equal_codes, statement_head
from prefect_cassandra.driver.frames import frame_request, replica_groups, routing_key
from prefect_cassandra.writes.batching import cuts, grouped, shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from prefect_cassandra.driver.encoded import AbsentCells, Cells
    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.writes.limits import BatchLimits


class Rows(NamedTuple):
    """Rows for one statement.

    Attributes:
        values: Columns of the markers before the key, in order.
        partition: Encoded columns of the partition key; none is missing.
        clustering: Encoded clustering columns; none is missing.
    """

    values: Sequence[Cells | AbsentCells]
    partition: Sequence[Cells]
    clustering: Sequence[Cells] = ()

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Return the rows at these places, in this order."""
        return Rows(
            [column.take(places) for column in self.values],
            [column.take(places) for column in self.partition],
            [column.take(places) for column in self.clustering],
        )


def row_requests(
    session: Session, prepared: Prepared, rows: Rows, limits: BatchLimits, timestamp: int
) -> Iterator[Request]:
    """Yield requests that carry out a statement for each row, all at one write time.

    Args:
        session: Where the requests will be sent.
        prepared: Its markers are those of `rows`: values, partition key, clustering columns.
        rows: No key comes twice. Missing values leave the cell as it is.
        limits: The most that goes into one request.
        timestamp: Write time, microseconds since 1970.
    """
    if not len(rows.partition[0]):
        return
    partitions = equal_codes(rows.partition)
    order = grouped(partitions)
    if order is not None:
        rows, partitions = rows.take(order), partitions[order]
    groups = None
    if shared(partitions, limits):
        groups = _replicas(session, prepared, rows, partitions)
        order = grouped(groups)
        if order is not None:
            rows, partitions, groups = rows.take(order), partitions[order], groups[order]
    columns = [*rows.values, *rows.partition, *rows.clustering]
    encoded = encode_rows(statement_head(prepared), columns, UNSET)
    for first, stop in cuts(encoded, partitions, limits, groups):
        body = encoded.body(first, stop)
        key = _key(rows, first)
        yield frame_request(session, prepared, body, stop - first, key, timestamp=timestamp)


def _replicas(
    session: Session, prepared: Prepared, rows: Rows, partitions: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return a number per row, equal where the same nodes hold its partition."""
    firsts = np.flatnonzero(np.diff(partitions, prepend=-1))
    keyspace = prepared.statement.column_metadata[0].keyspace_name
    groups = replica_groups(session, keyspace, lambda row: _key(rows, row), firsts.tolist())
    spread = np.diff(firsts, append=len(partitions))
    found: NDArray[np.int64] = np.repeat(np.array(groups, np.int64), spread)
    return found


def _key(rows: Rows, row: int) -> bytes:
    """Return the partition key of a row as the ring hashes it."""
    return routing_key([column.value(row) or b"" for column in rows.partition])
