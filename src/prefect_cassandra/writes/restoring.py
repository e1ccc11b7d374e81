"""Bringing rows back to what images say: row tombstones, cleared cells, values with their TTLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from prefect_cassandra.driver.encoded import NULL, UNSET, AbsentCells, FixedCells, VariedCells
from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.ledger.undoing import restored_of, tombstone_of
from prefect_cassandra.writes.sending import Rows, row_requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect_cassandra.driver.encoded import Cells
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.limits import BatchLimits
    from prefect_cassandra.writes.undo_images import ImagedRows, Restored
    from prefect_cassandra.writes.undo_rows import Mask, Stamps

_TTL = np.dtype(">i4")


def restoring(
    session: Session,
    table: TableInfo,
    clustering: Sequence[str],
    made: ImagedRows,
    limits: BatchLimits,
) -> Iterator[Request]:
    """Yield the requests that carry out what was decided for the rows of one chunk.

    Args:
        session: Where the requests will be sent.
        table: The table.
        clustering: Its clustering columns; none for static cells.
        made: What was decided.
        limits: The most that goes into one request.
    """
    where = " AND ".join(f"{quote(name)} = ?" for name in (*table.partition_key, *clustering))
    target = dotted(table.keyspace, table.name)
    partition = len(table.partition_key)
    keys = Rows([], made.keys[:partition], made.keys[partition:])
    for stamp in _stamps([made.remove]):
        rows = keys.take(np.flatnonzero(made.remove == stamp))
        delete = session.prepare(f"DELETE FROM {target} WHERE {where}")  # noqa: S608 -- quoted
        yield from row_requests(session, delete, rows, limits, tombstone_of(stamp))
    for names, columns, ttls in _statements(made):
        values = ", ".join(f"{quote(name)} = ?" for name in names)
        using = " USING TTL ?" if ttls is not None else ""
        update = session.prepare(f"UPDATE {target}{using} SET {values} WHERE {where}")  # noqa: S608 -- quoted
        for stamp in _stamps([one.stamps for one in columns]):
            chosen = [_here(one, stamp, ttls) for one in columns]
            cells: list[Cells | AbsentCells] = [] if ttls is None else [FixedCells(ttls, _TTL)]
            cells += [_cells(one, here, ttls) for one, here in zip(columns, chosen, strict=True)]
            places = np.flatnonzero(np.any(chosen, axis=0))
            rows = keys._replace(values=cells).take(places)
            at = tombstone_of(stamp) if ttls is None else restored_of(stamp)
            yield from row_requests(session, update, rows, limits, at)


def _statements(
    made: ImagedRows,
) -> Iterator[tuple[Sequence[str], Sequence[Restored], Stamps | None]]:
    """Yield columns that go into one UPDATE: to be cleared, or to be restored with these TTLs."""
    if not made.columns:
        return
    names, columns = list(made.columns), list(made.columns.values())
    yield names, columns, None
    nothing = np.zeros(len(made.gone), np.int64)
    yield names, columns, nothing
    # A statement has one TTL for all of its columns, and cells may have different ones.
    for name, one in made.columns.items():
        if one.left.any():
            yield [name], [one], one.left


def _here(column: Restored, stamp: int, ttls: Stamps | None) -> Mask:
    """Return the rows in which a statement says something of a column."""
    here: Mask = column.stamps == stamp
    if ttls is None:
        return here & column.clears
    found: Mask = here & column.restores & ((column.left > 0) == (ttls > 0))
    return found


def _cells(column: Restored, here: Mask, ttls: Stamps | None) -> AbsentCells | VariedCells:
    if ttls is None:
        return AbsentCells(np.where(here, NULL, UNSET))
    value = pa.compute.if_else(pa.array(here), column.value, None)
    return VariedCells(value.cast(pa.large_binary()))


def _stamps(columns: Sequence[Stamps]) -> list[int]:
    found = np.unique(np.concatenate(list(columns)))
    return [int(stamp) for stamp in found[found > 0]]
