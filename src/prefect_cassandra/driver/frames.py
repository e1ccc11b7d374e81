"""Encoded rows on the wire: our own BATCH and EXECUTE bodies, sent by the driver's own future.

The driver makes its message from the statement; just before it is sent, `as_frame` puts ours in its
place. Routing, timeouts, preparing again on a node that forgot the statement, and the errors stay
the driver's.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from cassandra.protocol import BatchMessage
from cassandra.query import BatchStatement, BatchType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session

_TIMESTAMP = 0x20
# From protocol version 5 the flags of a BATCH are an [int]; before that a [byte].
_WIDE_FLAGS = 5


class Frame(BatchStatement):  # type: ignore[misc]  # the driver has no types
    """An unlogged batch of encoded rows, as the driver sees it.

    Args:
        body: The rows, one behind the other.
        rows: How many.
        routing_key: Key of the partition they belong to, or of one of several on the same nodes.
        keyspace: Keyspace of their table, for routing.
    """

    def __init__(self, body: memoryview, rows: int, routing_key: bytes, keyspace: str) -> None:
        super().__init__(batch_type=BatchType.UNLOGGED)
        self.body = body
        self.rows = rows
        self.routing_key = routing_key
        self.keyspace = keyspace


class FrameMessage(BatchMessage):  # type: ignore[misc]  # the driver has no types
    """A BATCH message around rows that are encoded already.

    Body: type, number of rows, rows, consistency, flags, timestamp (native protocol v4 and v5,
    section 4.1.7).
    """

    def __init__(self, frame: Frame, replaced: BatchMessage) -> None:
        super().__init__(
            frame.batch_type,
            (),
            replaced.consistency_level,
            timestamp=replaced.timestamp,
        )
        self.frame = frame

    def send_body(self, f: Any, protocol_version: int) -> None:
        """Write the body to `f`; called by the driver."""
        frame = self.frame
        f.write(struct.pack(">BH", frame.batch_type.value, frame.rows))
        f.write(frame.body)
        flags = ">HIq" if protocol_version >= _WIDE_FLAGS else ">HBq"
        f.write(struct.pack(flags, self.consistency_level, _TIMESTAMP, self.timestamp))


def as_frame(future: Any) -> None:
    """Give a request made of encoded rows its own message; called before each is sent."""
    if isinstance(future.query, Frame):
        replaced = future.message
        future.message = FrameMessage(future.query, replaced)
        future.message.update_custom_payload(replaced.custom_payload)
        future.message.allow_beta_protocol_version = replaced.allow_beta_protocol_version


def frame_request(  # noqa: PLR0913, PLR0917 -- where to, what, and the two things a write may be given
    session: Session,
    prepared: Prepared,
    body: memoryview,
    rows: int,
    routing_key: bytes,
    consistency: str | None = None,
    timestamp: int | None = None,
) -> Request:
    """Return a request that writes encoded rows.

    Args:
        session: Where the request will be sent.
        prepared: The statement each row begins with.
        body: The rows, one behind the other, as `encoded.encode_rows` makes them.
        rows: How many there are.
        routing_key: Key of the partition the rows belong to, see `routing_key`; one of the keys
            when partitions of the same nodes share the request.
        consistency: Level instead of the session's.
        timestamp: Write timestamp in microseconds since 1970; now when not given. Requests made
            later get higher ones, and a repeat keeps its own.
    """
    keyspace = prepared.statement.column_metadata[0].keyspace_name
    request = session.request_for(
        Frame(body, rows, routing_key, keyspace),
        prepared.cql,
        prepared,
        consistency=consistency,
        idempotent=prepared.idempotent,
        timestamp=timestamp,
    )
    request.rows = rows
    return request


def row_head(prepared: Prepared) -> bytes:
    """Return what each row of a BATCH body begins with: "prepared", its id, how many values."""
    query_id: bytes = prepared.statement.query_id
    return b"\1" + len(query_id).to_bytes(2) + query_id + len(prepared.names).to_bytes(2)


def replica_groups(
    session: Session, keyspace: str, key: Callable[[int], bytes], rows: Sequence[int]
) -> list[int]:
    """Return a number per row, equal where the same nodes hold its partition.

    Args:
        session: Knows the ring.
        keyspace: Keyspace of the table.
        key: Gives the partition key of a row; asked only when there is more than one node.
        rows: The rows.
    """
    metadata = session.link().cluster.metadata
    if len(metadata.all_hosts()) == 1:
        return [0] * len(rows)
    numbers: dict[frozenset[Any], int] = {}
    found = []
    for row in rows:
        nodes = frozenset(host.endpoint for host in metadata.get_replicas(keyspace, key(row)))
        found.append(numbers.setdefault(nodes, len(numbers)))
    return found


def routing_key(parts: list[bytes]) -> bytes:
    """Return the partition key as the ring hashes it (`CompositeType`): each part with its length.

    A key of one column is that column's bytes alone.
    """
    if len(parts) == 1:
        return parts[0]
    return b"".join(len(part).to_bytes(2) + part + b"\0" for part in parts)
