"""Rows whose values are bytes already: the loader encodes columns, not cells.

Binding a row of 19 values costs about 15 us, most of it per-value bookkeeping of the driver. A
column encoded as a whole costs a fraction of that, and nobody looks at the rows again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cassandra.query import BatchStatement, BatchType, BoundStatement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session


def value_encoder(prepared: Prepared, marker: int) -> Callable[[Any], bytes]:
    """Return what checks and encodes one Python value for a marker of `prepared`.

    The function raises `DataError` when a value does not fit; null and unset are not its business.
    """
    check = prepared.checks[marker]
    serialize = prepared.serializers[marker]
    version = prepared.statement.protocol_version

    def encode(value: Any) -> bytes:
        encoded: bytes = serialize(check(value, ""), version)
        return encoded

    return encode


def encoded_request(
    session: Session,
    prepared: Prepared,
    rows: Sequence[Sequence[Any]],
    *,
    consistency: str | None = None,
    timestamp: int | None = None,
) -> Request:
    """Return a request that writes encoded rows of one partition.

    Args:
        session: Where the request will be sent.
        prepared: The statement for each row.
        rows: Encoded values in marker order; None writes null, `UNSET` leaves the cell.
        consistency: Level instead of the session's.
        timestamp: Write timestamp in microseconds since 1970; now when not given. Requests made
            later get higher ones, and a repeat keeps its own.
    """
    statement = _bound(prepared, rows[0])
    if len(rows) > 1:
        batch = BatchStatement(batch_type=BatchType.UNLOGGED)
        batch.routing_key, batch.keyspace = statement.routing_key, statement.keyspace
        query_id = prepared.statement.query_id
        batch._statements_and_parameters = [  # noqa: SLF001 -- `add` would bind every value again
            (True, query_id, row) for row in rows
        ]
        statement = batch
    request = session.request_for(
        statement,
        prepared.cql,
        prepared,
        consistency=consistency,
        idempotent=prepared.idempotent,
        timestamp=timestamp,
    )
    request.rows = len(rows)
    return request


def _bound(prepared: Prepared, row: Sequence[Any]) -> Any:
    """Return a bound statement that takes encoded values as they are."""
    bound = BoundStatement(prepared.statement)
    bound.values = list(row)
    bound.raw_values = ()  # only what `repr` would print
    return bound
