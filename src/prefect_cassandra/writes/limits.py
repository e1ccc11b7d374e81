"""How large a batch may be: what the server says, and what was measured to serve it best."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.errors import PermissionDeniedError, StatementError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_cassandra.driver.session import Session

_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
# Each by the name it has since 4.1, with its default in 5.0.
_NAMES = {
    "batch_size_warn_threshold": 5 << 10,
    "unlogged_batch_across_partitions_warn_threshold": 10,
    "max_mutation_size": 8 << 20,
    "native_transport_max_frame_size": 16 << 20,
    "native_transport_max_message_size": 8 << 20,
}
# A message holds more than its rows.
_MESSAGE_OVERHEAD = 1 << 10


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The most that goes into one request.

    Args:
        rows: Rows. From 250 to 1,000 narrow rows a real node took in 100,000 rows/s at half the
            CPU time, the server's and the client's, that batches of 50 cost.
        bytes: Bytes of one partition, unless a single row has more. A batch of one partition is
            one mutation, for which the server has no other limit than that for every mutation.
        shared_partitions: Partitions that may share a request.
        shared_bytes: Bytes of a request that partitions share; above it the server writes a
            warning into its log for every batch.
        row_bytes: Bytes of a row; the server refuses a larger one.
    """

    rows: int = 500
    bytes: int = 64 << 10
    shared_partitions: int = 10
    shared_bytes: int = 5 << 10
    row_bytes: int = 8 << 20


def server_limits(session: Session) -> BatchLimits:
    """Ask the server for its limits; its defaults count where the role may not read them."""
    try:
        rows = session.execute("SELECT name, value FROM system_views.settings").rows
    except (PermissionDeniedError, StatementError):
        return BatchLimits()
    return limits_from({row["name"]: row["value"] for row in rows})


def limits_from(settings: Mapping[str, str | None]) -> BatchLimits:
    """Return the limits that follow from the server's settings.

    Args:
        settings: Names and values as `system_views.settings` of Cassandra 4.1 and 5.0 has them,
            such as `5KiB`.
    """
    known = {name: _number(settings.get(name), default) for name, default in _NAMES.items()}
    largest = min(
        known["max_mutation_size"],
        known["native_transport_max_frame_size"],
        known["native_transport_max_message_size"],
    )
    row_bytes = max(1, largest - _MESSAGE_OVERHEAD)
    default = BatchLimits()
    return BatchLimits(
        bytes=min(default.bytes, row_bytes),
        shared_partitions=max(1, known["unlogged_batch_across_partitions_warn_threshold"]),
        shared_bytes=known["batch_size_warn_threshold"],
        row_bytes=row_bytes,
    )


def _number(text: str | None, default: int) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?i?B?)", text or "")
    if match is None or match[2] not in _UNITS:
        return default
    return int(match[1]) * _UNITS[match[2]]
