"""Which rows of a chunk cannot be written, and why: looked for before anything of it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.writes.plan import Plan
    from prefect_cassandra.writes.wire import Encoded

# Column and reason by row.
Found = dict[int, tuple[str, str]]

# The server keeps the length of a key column in 16 bits ("Key length of ... is longer").
_LONGEST_KEY = 65_535


def problems(plan: Plan, encoded: Sequence[Encoded], row_bytes: int) -> Found:
    """Return the first problem of each row of the chunk that has one.

    Args:
        plan: The columns.
        encoded: The chunk's columns in the plan's order.
        row_bytes: Most bytes that the server takes in a row.
    """
    found: Found = {}
    for place, (column, ready) in enumerate(zip(plan.columns, encoded, strict=True)):
        for problem in ready.problems:
            found.setdefault(problem.row, (column.name, problem.reason))
        if place < plan.key:
            _of_key(found, plan, place, ready)
    if sum(ready.cells.widest for ready in encoded) > row_bytes:
        _too_large(found, plan, encoded, row_bytes)
    return found


def _of_key(found: Found, plan: Plan, place: int, ready: Encoded) -> None:
    name = plan.columns[place].name
    lengths = ready.cells.lengths()
    if ready.cells.missing is not None:
        for row in np.flatnonzero(ready.cells.missing).tolist():
            found.setdefault(row, (name, "a key column needs a value"))
    if plan.partition == 1 and place == 0:
        # The server refuses it ("Key may not be empty"), and with it the whole request.
        for row in np.flatnonzero(lengths == 0).tolist():
            found.setdefault(row, (name, "a partition key must not be empty"))
    for row in np.flatnonzero(lengths > _LONGEST_KEY).tolist():
        reason = f"{lengths[row]:,} bytes are more than the {_LONGEST_KEY:,} of a key column"
        found.setdefault(row, (name, reason))


def _too_large(found: Found, plan: Plan, encoded: Sequence[Encoded], row_bytes: int) -> None:
    lengths = np.stack([ready.cells.lengths() for ready in encoded])
    sizes = lengths.sum(axis=0)
    for row in np.flatnonzero(sizes > row_bytes).tolist():
        widest = plan.columns[int(lengths[:, row].argmax())].name
        reason = f"the row has {sizes[row]:,} bytes, the server takes {row_bytes:,} in one"
        found.setdefault(row, (widest, reason))
