"""Lines of logs as rows on the wire, grouped by the partition they go to.

A line becomes the values of one INSERT, each a signed 32-bit length and that many bytes (native
protocol v5, section 3, `[value]`). Binding them one by one costs several times as much as the
rest of a server's work on a line, and a server takes the lines of every flow there is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prefect_cassandra.state.log_query import NOBODY, bucket_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from prefect_cassandra.state.log_query import LogLine

INSERT = """INSERT INTO prefect_state.run_logs
 (flow_run_id, bucket, at, id, level, task_run_id, name, message)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TTL {ttl}"""

# What the load path was measured to send best; see `BatchLimits`.
_MOST_ROWS, _MOST_BYTES = 500, 64 << 10
# A node refuses a mutation of 8 MiB; Prefect's own handler cuts lines to 1 MB.
LONGEST = 4 << 20
# The name of a logger is for people; a text that came in its place is not kept twice.
LONGEST_NAME = 1 << 10
_CUT = "... (cut)"
_KEY = struct.Struct(">i16siq")
_FIXED = struct.Struct(">iqi16sii")
_LENGTH = struct.Struct(">i")
_UNSET = _LENGTH.pack(-2)
_LOWEST, _HIGHEST = -(1 << 31), (1 << 31) - 1


@dataclass(slots=True)
class Packed:
    """Rows of one partition, as a BATCH body holds them.

    Attributes:
        flow_run_id: The flow run of the partition, `NOBODY` for lines of none.
        bucket: When its bucket begins, microseconds since 1970.
        rows: The encoded rows.
        size: Their bytes.
    """

    flow_run_id: UUID
    bucket: int
    rows: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def key(self) -> list[bytes]:
        """The columns of the partition key as sent."""
        return [self.flow_run_id.bytes, (self.bucket // 1000).to_bytes(8, signed=True)]


def pack(head: bytes, lines: Iterable[LogLine]) -> Iterator[Packed]:
    """Encode lines and yield them in batches, each of one partition.

    Args:
        head: What every row begins with; see `row_head`.
        lines: In any order.
    """
    open_: dict[tuple[UUID, int], tuple[bytes, Packed]] = {}
    for line in lines:
        where = (line.flow_run_id or NOBODY, bucket_of(line.at))
        if where not in open_:
            run, bucket = where
            open_[where] = head + _KEY.pack(16, run.bytes, 8, bucket // 1000), Packed(run, bucket)
        prefix, batch = open_[where]
        row = prefix + _row(line)
        if batch.rows and (len(batch.rows) >= _MOST_ROWS or batch.size + len(row) > _MOST_BYTES):
            yield batch
            batch = Packed(*where)
            open_[where] = prefix, batch
        batch.rows.append(row)
        batch.size += len(row)
    for _, batch in open_.values():
        yield batch


def _row(line: LogLine) -> bytes:
    """Encode what follows the partition key.

    Levels beyond 32 bits, which no logger has, become the nearest that fits.
    """
    level = min(max(line.level, _LOWEST), _HIGHEST)
    task = line.task_run_id
    name, message = _text(line.name, LONGEST_NAME), _text(line.message, LONGEST)
    return b"".join(
        (
            _FIXED.pack(8, line.at, 16, line.id.bytes, 4, level),
            _UNSET if task is None else _LENGTH.pack(16) + task.bytes,
            _LENGTH.pack(len(name)),
            name,
            _LENGTH.pack(len(message)),
            message,
        )
    )


def _text(text: str, longest: int) -> bytes:
    encoded = text.encode(errors="replace")
    if len(encoded) <= longest:
        return encoded
    return encoded[:longest].decode(errors="ignore").encode() + _CUT.encode()
