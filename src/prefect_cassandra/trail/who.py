"""Who wrote a row: for each of its columns when, which run, with what code, from what input."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.cqltype import parse
from prefect_cassandra.driver.identifiers import qualified
from prefect_cassandra.ledger.blocks import moment
from prefect_cassandra.trail.cells import read_deletions, read_row
from prefect_cassandra.trail.report import CellTrail, Deletion, RowTrail
from prefect_cassandra.trail.writers import Writers
from prefect_cassandra.writes.identity import key_identity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.statements import Removal
    from prefect_cassandra.trail.cells import Cells


def who_wrote(
    session: Session,
    table: str,
    key: Mapping[str, Any],
    *,
    window: timedelta = timedelta(0),
    writers: Writers | None = None,
) -> RowTrail:
    """Find out who wrote a row.

    Args:
        session: Logged in as a role that may read the table and the ledger: a flow's.
        table: `keyspace.table`.
        key: Values of all columns of its key; those of the partition key alone stand for the static
            columns of the partition.
        window: How far to look back for what stamped statements deleted of the row; not at all when
            it is 0, and a read for each day otherwise.
        writers: What earlier calls for this table have found out, to make many calls cheaper.

    Raises:
        ConfigurationError: The key has other columns, or fewer.
        DataError: A value does not fit its column.
        StatementError: There is no such table.
        NoStampsError: The cluster has no ledger, or not for this role.

    Also raises what `Session.execute` does.
    """
    from prefect_cassandra.ledger.keys import hash_key  # noqa: PLC0415 -- brings numpy in

    info = session.table(*qualified(table))
    name = f"{info.keyspace}.{info.name}"
    columns = map(info.column, info.primary_key)
    kinds = [parse(one.cql_type, info.user_types) for one in columns if one is not None]
    row = read_row(session, info, key)
    writers = writers or Writers(session, name)
    removed = read_deletions(session, info, key, window) if window else ()
    deletions = tuple(_deletion(one, writers) for one in removed)
    if row is None:
        shown: dict[str, str | None] = {one: str(value) for one, value in key.items()}
        return RowTrail(name, shown, found=False, cells=(), note=_NOT_THERE, deletions=deletions)
    width = len(info.partition_key)
    of_row, of_partition = (
        hash_key(key_identity(one, kinds[: len(one)], width))
        for one in (row.key_bytes, row.partition_bytes)
    )
    cells = tuple(
        trail
        for held in row.cells
        for trail in _trails(held, writers, of_partition if held.static else of_row)
    )
    return RowTrail(name, row.key, True, cells, _note(cells), deletions)  # noqa: FBT003 -- found


_NOT_THERE = "There is no such row."
_KEYS_ONLY = (
    "No column of the row has a value, and keys have no write time, so nobody can be named."
)


def _deletion(one: Removal, writers: Writers) -> Deletion:
    writer = writers.of_deletion(one.stamp)
    about = (one.what, one.columns, one.statement, one.parameters)
    return Deletion(one.stamp, moment(one.stamp), *about, writer)


def _note(cells: tuple[CellTrail, ...]) -> str:
    return "" if any(one.stamp is not None for one in cells) else _KEYS_ONLY


def _trails(held: Cells, writers: Writers, key: int) -> list[CellTrail]:
    if not held.written:
        return [
            CellTrail(held.column, held.static, held.value, held.text, (), None, None, None, None)
        ]
    return [
        CellTrail(
            held.column,
            held.static,
            held.value,
            held.text,
            one.elements,
            one.stamp,
            _moment(one.stamp),
            one.expires_in,
            writers.of(one.stamp, key),
        )
        for one in held.written
    ]


def _moment(stamp: int) -> datetime | None:
    try:
        return moment(stamp)
    except OverflowError:
        return None  # others write at any number
