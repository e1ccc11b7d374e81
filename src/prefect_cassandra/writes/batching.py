"""Rows into requests: one partition each, duplicates folded, input order kept.

An UNLOGGED batch of one partition is one mutation: atomic, and exempt from the server's size limits
for batches (CASSANDRA-10876). All its rows carry one timestamp, and Cassandra decides between equal
timestamps by value, not by order. So a primary key may appear only once in a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Wire = bytes | None
    Row = tuple[Wire, ...]

BATCH_ROWS = 50
BATCH_BYTES = 32 * 1024


def fold_duplicates(
    columns: Sequence[list[Wire]], key: int, *, keep_earlier: bool
) -> tuple[list[list[Wire]], int]:
    """Fold rows of equal primary key into the last of them.

    Args:
        columns: Encoded columns, the `key` key columns first.
        key: Number of key columns.
        keep_earlier: Whether a value missing from the later row is taken from the earlier one,
            which is what writing both rows one after the other would leave.

    Returns:
        The columns that remain and the number of rows folded away.
    """
    keys = list(zip(*columns[:key], strict=True))
    last = {value: row for row, value in enumerate(keys)}
    folded = len(keys) - len(last)
    if not folded:
        return list(columns), 0
    if keep_earlier:
        columns = [list(column) for column in columns]
        _carry_forward(columns[key:], keys)
    keep = sorted(last.values())
    return [[column[row] for row in keep] for column in columns], folded


def _carry_forward(columns: Sequence[list[Wire]], keys: list[Row]) -> None:
    """Fill what a repeated row lacks from the row before it with the same key."""
    seen: dict[Row, int] = {}
    for row, value in enumerate(keys):
        before = seen.get(value)
        if before is not None:
            for column in columns:
                if column[row] is None:
                    column[row] = column[before]
        seen[value] = row


def batches(columns: Sequence[list[Wire]], partition: int, widest_row: int) -> Iterator[list[Row]]:
    """Yield rows that go into one request: same partition, at most 50 rows and about 32 KiB.

    Partitions come in the order of their first row, rows of a partition in input order.

    Args:
        columns: Encoded columns, those of the partition key first.
        partition: Number of columns in the partition key.
        widest_row: No row has more bytes; small rows need not be measured one by one.
    """
    keys: Iterable[object] = (
        columns[0] if partition == 1 else zip(*columns[:partition], strict=True)
    )
    groups: dict[object, list[Row]] = {}
    for value, row in zip(keys, zip(*columns, strict=True), strict=True):
        group = groups.get(value)
        if group is None:
            groups[value] = [row]
        else:
            group.append(row)
    small = widest_row * BATCH_ROWS <= BATCH_BYTES
    for group in groups.values():
        if len(group) == 1:
            yield group
        elif small:
            for start in range(0, len(group), BATCH_ROWS):
                yield group[start : start + BATCH_ROWS]
        else:
            yield from _cut_by_size(group)


def _cut_by_size(rows: list[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        # Cells to be left unset are neither None nor bytes.
        length = sum([len(value) for value in row if isinstance(value, bytes)])
        if batch and (len(batch) == BATCH_ROWS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    yield batch
