"""What was changed in a table since a stamp: for jobs that follow it.

A row is delivered when a load or statement wrote one of its cells behind the one stamp and up to
the other; it comes as it is now. Up to a settled stamp nothing can be added any more (see
`ledger.cursors`), so whoever takes what is read and then moves the cursor misses nothing. Deleted
cells and rows have no write time and cannot be found, and neither can what an undoing brought back,
because that is written at the stamps of the load that was undone.

The table is scanned, unless no stamp was taken since: Cassandra has no index of write times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prefect_cassandra.driver.identifiers import qualified
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.ledger.cursors import move_cursor, read_cursor, settled
from prefect_cassandra.reads.query import Selection
from prefect_cassandra.reads.scan import Scan, ScanOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.ledger.blocks import Block

STAMP_COLUMN = "writetime(row)"


@dataclass(frozen=True, slots=True)
class Changes:
    """What was changed.

    Attributes:
        table: `keyspace.table`.
        rows: The rows as they are now, in no order; a column `writetime(row)` says when the newest
            of these changes of the row was made, microseconds since 1970.
        since: What was written up to this stamp is not looked for.
        upto: What was written up to this stamp is in it.
        cursor: Name of the cursor it was read with; None without.
        held_by: The lowest block whose load is not done, behind which nothing is read yet; None
            when there is none.
    """

    table: str
    rows: pa.Table = field(repr=False)
    since: int
    upto: int
    cursor: str | None
    held_by: Block | None


@dataclass(frozen=True, slots=True)
class From:
    """Where to go on.

    Args:
        stamp: Microseconds since 1970; what was written up to it is known.
        cursor: Instead: name of a cursor in the ledger.

    Raises:
        ConfigurationError: It is neither, or both.
    """

    stamp: int | None = None
    cursor: str | None = None

    def __post_init__(self) -> None:
        if (self.stamp is None) == (not self.cursor):
            raise ConfigurationError(
                "Changes are read since a stamp or with a cursor.",
                hint="Give exactly one of since_stamp=..., which may be 0, and cursor=....",
            )
        if self.stamp is not None and self.stamp < 0:
            raise ConfigurationError(
                f"There is no stamp {self.stamp}.", hint="0 stands before everything."
            )


def read_changes(
    session: Session,
    table: str,
    start: From,
    options: ScanOptions | None = None,
    *,
    keyspace: str | None = None,
) -> Changes:
    """Read what was changed in a table.

    Args:
        session: Logged in as a role that may read the table and the ledger: a flow's.
        table: `keyspace.table`, or a table of `keyspace`.
        start: Where to go on.
        options: How to scan; the columns chosen are those whose changes count, with the key's.
        keyspace: Keyspace of a table named without one.

    Raises:
        ConfigurationError: No column of the table, or of those chosen, has a write time.
        StatementError: There is no such table.
        NoStampsError: The cluster has no ledger, or not for this role.

    Also raises what a scan does.
    """
    import pyarrow as pa  # noqa: PLC0415 -- costs a quarter of a second

    options = options or ScanOptions()
    info = session.table(*qualified(table, keyspace))
    name = f"{info.keyspace}.{info.name}"
    chosen = _selection(info, options.selection)
    since = start.stamp
    if since is None:
        since = read_cursor(session, name, start.cursor or "")
    reach = settled(session, name, since)
    upto = max(since, reach.upto)
    scan = Scan(session, name, ScanOptions(chosen, options.consistency, options.in_flight))
    kept = [one for one in scan.schema if not _is_stamp(one.name, chosen)]
    schema = pa.schema([*kept, (STAMP_COLUMN, pa.int64())])
    batches = _changed(scan, schema, chosen, since, upto) if upto > since else iter(())
    rows = pa.Table.from_batches(batches, schema)
    return Changes(name, rows, since, upto, start.cursor, reach.held_by)


def commit_changes(session: Session, changes: Changes, run: str = "") -> None:
    """Move the cursor that changes were read with: they have been taken and do not come again.

    Args:
        session: Logged in as a role that may write the ledger's tables for loads: a flow's.
        changes: What `read_changes` returned.
        run: Identifier of the flow run that took them.

    Raises:
        ConfigurationError: They were read without a cursor.

    Also raises what `Session.execute` does.
    """
    if changes.cursor is None:
        raise ConfigurationError(
            f"The changes of {changes.table} were read since a stamp, so no cursor is to be moved.",
            hint="Read them with cursor=... instead.",
        )
    if changes.upto > changes.since:
        move_cursor(session, changes.table, changes.cursor, changes.upto, run)


def _selection(info: TableInfo, wanted: Selection) -> Selection:
    """Return what to scan: the key and the columns chosen, with the write times of these."""
    name = f"{info.keyspace}.{info.name}"
    for refused in ("where", "per_partition_limit", "writetime", "ttl"):
        if getattr(wanted, refused):
            raise ConfigurationError(
                f"Changes of {name} cannot be read with {refused}.",
                hint="Choose among the rows that come out.",
            )
    asked = wanted.columns or [one.name for one in info.columns]
    others = [one for one in asked if one not in info.primary_key]
    columns = (*info.primary_key, *others)
    stamped = [one for one in others if (found := info.column(one)) and found.cql_type != "counter"]
    if not stamped:
        raise ConfigurationError(
            f"No column of {name} that is asked for has a stamp, so no change can be seen.",
            hint="Keys have no write time, and counters none that says who wrote them.",
        )
    return Selection(columns=columns, writetime=stamped)


def _is_stamp(column: str, chosen: Selection) -> bool:
    return column in {f"writetime({one})" for one in chosen.writetime}


def _changed(
    scan: Scan, schema: pa.Schema, chosen: Selection, since: int, upto: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows with a cell that was written between two stamps."""
    import pyarrow as pa  # noqa: PLC0415 -- costs a quarter of a second

    stamps = [f"writetime({one})" for one in chosen.writetime]
    with scan:
        for batch in scan:
            newest = newest_between([batch.column(one) for one in stamps], since, upto)
            columns = [batch.column(one) for one in schema.names[:-1]]
            made = pa.RecordBatch.from_arrays([*columns, pa.array(newest)], schema=schema)
            yield made.filter(pa.array(newest > 0))


def newest_between(stamps: Sequence[pa.Array], since: int, upto: int) -> NDArray[np.int64]:
    """Return of each row the newest stamp between two; 0 where it has none.

    Args:
        stamps: Columns of write times, or of lists of them for collections; one or more.
        since: Stamps up to this one do not count; 0 or more.
        upto: Stamps behind this one do not count.
    """
    import numpy as np  # noqa: PLC0415 -- costs a tenth of a second
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    newest = np.zeros(len(stamps[0]), np.int64)
    for column in stamps:
        rows, flat = np.arange(len(column)), column
        if pa.types.is_list(column.type):
            rows, flat = pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column)
        found = flat.fill_null(0).to_numpy(zero_copy_only=False)
        inside = (found > since) & (found <= upto)
        np.maximum.at(newest, rows[inside], found[inside])
    return newest
