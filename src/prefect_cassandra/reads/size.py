"""How large a table is, as far as one node can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_cassandra.errors import PermissionDeniedError

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session

_RING = 2**64


def estimated_bytes(session: Session, keyspace: str, table: str) -> int | None:
    """Return about how many bytes a table holds once; None when nobody knows.

    The node asked knows only the ranges it is the first replica of, so what it holds is scaled up
    to the whole ring. It counts anew every five minutes and looks at files only: a table loaded a
    moment ago looks empty, and then there is no answer rather than a wrong one.
    """
    try:
        rows = session.execute(
            "SELECT range_start, range_end, mean_partition_size, partitions_count "
            "FROM system.size_estimates WHERE keyspace_name = ? AND table_name = ?",
            [keyspace, table],
            consistency="ONE",
        )
    except PermissionDeniedError:
        return None  # the role may read the table, and that is all a scan needs
    held = covered = 0
    for row in rows:
        covered += (int(row["range_end"]) - int(row["range_start"])) % _RING or _RING
        held += int(row["mean_partition_size"]) * int(row["partitions_count"])
    return held * _RING // covered if held else None
