"""What stamped statements deleted: kept by partition, since what is gone has no write time to ask.

One row for each deletion, under the partition it was in and the day of its stamp, for the undo
window. A deletion is on record before it is sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.ledger.blocks import moment
from prefect_cassandra.ledger.store import QUORUM, ledger_access

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session

What = Literal["PARTITION", "RANGE", "ROW", "CELLS"]

_SAVE = """INSERT INTO prefect_ledger.removed_keys (table_name, partition, day, stamp, place, what,
 keys, columns, statement, parameters) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?"""
_READ = """SELECT stamp, what, keys, columns, statement, parameters
 FROM prefect_ledger.removed_keys WHERE table_name = ? AND partition = ? AND day = ?"""
# A partition lives on as long as the longest of its keys; texts are for people.
_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class Removal:
    """One deletion.

    Attributes:
        stamp: When it counts, microseconds since 1970.
        what: PARTITION, RANGE of one, ROW, or CELLS of a row or of the partition's statics.
        keys: The key columns that the statement gives a value, as text.
        columns: The columns whose cells went; none when it was everything.
        statement: The statement, without passwords and cut short.
        parameters: Its values as text, by the names of their markers, cut short.
    """

    stamp: int
    what: What
    keys: Mapping[str, str]
    columns: tuple[str, ...] = ()
    statement: str = ""
    parameters: str = ""


def save_removals(
    session: Session, table: str, removals: Sequence[tuple[bytes, Removal]], keep: timedelta
) -> None:
    """Record deletions, before they are sent.

    Args:
        session: Logged in as a role that may write the stamp tables.
        table: `keyspace.table`.
        removals: Each with the partition key as the ring hashes it; stamps are slots of a block.
        keep: How long they are kept, whole seconds.

    Raises:
        NoStampsError: The cluster has no table for them, or not for this role.
        LedgerError: What else `Session.execute` raises, in the ledger's words.
    """
    with ledger_access():
        Pump(session).run(_requests(session, table, removals, keep))


def removals_of(session: Session, table: str, partition: bytes, window: timedelta) -> list[Removal]:
    """Return what stamped statements deleted from a partition lately, the newest first.

    Args:
        session: Logged in as a role that may read the stamp tables.
        table: `keyspace.table`.
        partition: The partition key as the ring hashes it, see `driver.frames.routing_key`.
        window: How far to look back.

    Raises:
        NoStampsError: The cluster has no table for them, or not for this role.
    """
    # Stamps may be half a second ahead of now, and so tomorrow's.
    newest = (datetime.now(UTC) + timedelta(seconds=1)).date()
    oldest = (datetime.now(UTC) - window).date()
    found: list[Removal] = []
    for back in range((newest - oldest).days + 1):
        where = [table, partition, newest - timedelta(days=back)]
        with ledger_access():
            rows = session.execute(_READ, where, consistency=QUORUM).rows
        found += [_removal(row) for row in rows]
    return found


def _requests(
    session: Session, table: str, removals: Sequence[tuple[bytes, Removal]], keep: timedelta
) -> Iterator[Request]:
    prepared = session.prepare(_SAVE)
    seconds = int(keep.total_seconds())
    for place, (partition, one) in enumerate(removals):
        values = [
            *(table, partition, moment(one.stamp).date(), one.stamp, place, one.what),
            *(json.dumps(dict(one.keys)), ", ".join(one.columns), one.statement),
            *(one.parameters[:_SHOWN], seconds),
        ]
        yield session.single(prepared, prepared.check(values), consistency=QUORUM, idempotent=True)


def _removal(row: Mapping[str, Any]) -> Removal:
    columns = tuple(row["columns"].split(", ")) if row["columns"] else ()
    return Removal(
        row["stamp"],
        row["what"],
        json.loads(row["keys"]),
        columns,
        row["statement"],
        row["parameters"],
    )
