"""Rows into requests: partition by partition, duplicates folded, input order kept.

An UNLOGGED batch of one partition is one mutation: atomic, and exempt from the server's size limits
for batches (CASSANDRA-10876). Small partitions of the same replicas share a request, below the
limits at which the server warns. All rows of a request carry one timestamp, and Cassandra decides
between equal timestamps by value, not by order. So a primary key may appear only once in a request,
and a static column only with one value for each partition.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from prefect_cassandra.driver.encoded import equal_codes, number
from prefect_cassandra.writes.identity import identities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from prefect_cassandra.driver.cqltype import CqlType
    from prefect_cassandra.driver.encoded import Cells, Rows
    from prefect_cassandra.writes.limits import BatchLimits

    Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Arranged:
    """The rows of a chunk, ready to be cut into batches.

    Attributes:
        columns: Encoded columns; rows of a partition are side by side, no primary key comes twice.
        partitions: The partition of each row, as a number.
        merged: Rows that were folded into a later one of the same key.
    """

    columns: list[Cells]
    partitions: Places
    merged: int


def arrange(  # noqa: PLR0913 -- the last three can be left out or are named
    columns: Sequence[Cells],
    partition: int,
    key: int,
    static: Sequence[int] = (),
    *,
    keep_earlier: bool,
    kinds: Sequence[CqlType] = (),
) -> Arranged:
    """Bring the rows of each partition together and fold rows of equal key into the last of them.

    Args:
        columns: Encoded columns: partition key, clustering key, the others. Keys are not missing.
        partition: Number of columns in the partition key.
        key: Number of columns in the primary key.
        static: Places of the static columns.
        keep_earlier: Whether a value missing from the later row is taken from the earlier one,
            which is what writing both rows one after the other would leave.
        kinds: Types of the key columns; without them keys are equal where their bytes are.
    """
    columns = list(columns)
    of_partition, of_row = columns[:partition], columns[partition:key]
    if kinds:
        of_partition = identities(of_partition, kinds[:partition], by_value=False)
        of_row = identities(of_row, kinds[partition:key], by_value=True)
    partitions = equal_codes(of_partition)
    order = grouped(partitions)
    if order is not None:
        partitions = partitions[order]
        columns = [column.take(order) for column in columns]
        of_row = [column.take(order) for column in of_row]
    if static:
        # Before rows are folded: a static value belongs to the partition, and the last one given
        # may stand in a row whose key comes again.
        given = [columns[place] for place in static]
        spread = spread_static(given, partitions, keep_earlier=keep_earlier)
        for place, column in zip(static, spread, strict=True):
            columns[place] = column
    codes = _repeated_keys(of_row, partitions)
    merged = 0
    if codes is not None:
        before = len(codes)
        columns, kept = fold_duplicates(columns, key, codes, keep_earlier=keep_earlier)
        partitions, merged = partitions[kept], before - len(kept)
    return Arranged(columns, partitions, merged)


def _repeated_keys(clustering: Sequence[Cells], partitions: Places) -> Places | None:
    """Return a number per row, equal where the whole key is; None when no key comes twice."""
    if not clustering:
        codes = partitions
    else:
        # A series mostly comes in order, which is cheap to see.
        rises = clustering[0].rises()
        if rises is not None and bool((rises | (np.diff(partitions) != 0)).all()):
            return None
        more = equal_codes(clustering)
        codes = number(partitions * (int(more.max(initial=0)) + 1) + more)
    return codes if int(codes.max(initial=-1)) + 1 < len(codes) else None


def fold_duplicates(
    columns: Sequence[Cells], key: int, codes: Places, *, keep_earlier: bool
) -> tuple[list[Cells], Places]:
    """Fold rows of equal primary key into the last of them.

    Args:
        columns: Encoded columns, the `key` key columns first.
        key: Number of key columns.
        codes: A number per row, equal where the keys are.
        keep_earlier: See `arrange`.

    Returns:
        The columns that remain and the rows whose places they keep.
    """
    # Equal keys side by side, in input order; `last` is where each run of them ends.
    order = np.argsort(codes, kind="stable")
    last = np.flatnonzero(np.diff(codes[order], append=-1))
    by_input = np.argsort(order[last], kind="stable")
    kept: Places = order[last][by_input]
    if not keep_earlier:
        return [column.take(kept) for column in columns], kept
    merged = [column.take(kept) for column in columns[:key]]
    for column in columns[key:]:
        if column.missing is None:
            merged.append(column.take(kept))
            continue
        places = order[_last_present(~column.missing[order], last)]
        merged.append(column.take(places[by_input]))
    return merged, kept


def spread_static(columns: Sequence[Cells], codes: Places, *, keep_earlier: bool) -> list[Cells]:
    """Give every row of a partition the value that the last of them has.

    Args:
        columns: Encoded static columns of rows whose partitions are side by side.
        codes: The partition of each row, as a number.
        keep_earlier: Whether a missing value leaves the one of an earlier row.
    """
    last = np.flatnonzero(np.diff(codes, append=-1))
    run = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    return [
        column.take(
            (
                _last_present(~column.missing, last)
                if keep_earlier and column.missing is not None
                else last
            )[run]
        )
        for column in columns
    ]


def _last_present(present: NDArray[np.bool_], last: Places) -> Places:
    """Return, for each run of rows, its last row with a value; its last row when none has one.

    Args:
        present: Whether each row has a value.
        last: The last row of each run.
    """
    latest = np.maximum.accumulate(np.where(present, np.arange(len(present)), -1))[last]
    first = np.concatenate(([0], last[:-1] + 1))
    found: Places = np.where(latest >= first, latest, last)
    return found


def grouped(codes: Places) -> Places | None:
    """Return the order that brings equal codes together; None when they are already.

    Partitions come in the order of their first row, rows of a partition in input order.

    Args:
        codes: The partition of each row, numbered in order of first appearance.
    """
    if bool((codes[1:] >= codes[:-1]).all()):
        return None
    # NumPy sorts 16-bit integers by radix: 8 ns an item instead of 60.
    narrow = codes.astype(np.uint16) if int(codes.max()) <= np.iinfo(np.uint16).max else codes
    order: Places = np.argsort(narrow, kind="stable")
    return order


def shared(partitions: Places, limits: BatchLimits) -> bool:
    """Tell whether so few rows come together in a partition that partitions should share requests.

    Rows sent one by one cost the client ten times, and the server four times, what rows of ten
    partitions in one request cost.
    """
    different = int(partitions.max(initial=-1)) + 1
    return limits.shared_partitions > 1 and len(partitions) < limits.shared_partitions * different


def by_group(found: Arranged, groups: Places) -> tuple[Arranged, Places]:
    """Bring the partitions of each group together.

    Args:
        found: The rows.
        groups: The group of each partition, in order of the partitions' first rows.

    Returns:
        The rows in their new order and the group of each.
    """
    starts = np.flatnonzero(np.diff(found.partitions, prepend=-1))
    spread = np.repeat(groups, np.diff(starts, append=len(found.partitions)))
    order = grouped(spread)
    if order is None:
        return found, spread
    columns = [column.take(order) for column in found.columns]
    return Arranged(columns, found.partitions[order], found.merged), spread[order]


def cuts(
    rows: Rows, partitions: Places, limits: BatchLimits, groups: Places | None = None
) -> Iterator[tuple[int, int]]:
    """Yield where requests begin and end, so that none is larger than the limits allow.

    Args:
        rows: Encoded rows, those of a partition side by side.
        partitions: The partition of each row, as a number.
        limits: The most that goes into one request.
        groups: A number per row, equal for partitions that may share a request; without it a
            request holds one partition.
    """
    borders = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(partitions)]
    if groups is None:
        for first, stop in pairwise(borders):
            yield from _cut(rows, first, stop, limits)
        return
    # Lists, because one item at a time is asked for.
    weights = rows.weights().tolist()
    group = groups.tolist()
    start = taken = 0
    for first, stop in pairwise(borders):
        fits = (
            taken < limits.shared_partitions
            and weights[stop] - weights[start] <= limits.shared_bytes
            and group[start] == group[first]
        )
        if taken and not fits:
            yield from _cut(rows, start, first, limits)
            start, taken = first, 0
        taken += 1
    yield from _cut(rows, start, len(partitions), limits)


def _cut(rows: Rows, first: int, stop: int, limits: BatchLimits) -> Iterator[tuple[int, int]]:
    """Cut rows into as few pieces as the limits allow, of about the same size."""
    offsets = rows.offsets
    size = int(offsets[stop] - offsets[first])
    pieces = max(1, -(-size // limits.bytes), -(-(stop - first) // limits.rows))
    most_rows, most_bytes = -(-(stop - first) // pieces), limits.bytes
    while first < stop:
        end = min(stop, first + most_rows)
        if offsets[end] - offsets[first] > most_bytes:
            fits = int(np.searchsorted(offsets, offsets[first] + most_bytes, "right")) - 1
            end = max(first + 1, min(end, fits))
        yield first, end
        first = end
