"""What was undone, and what is left to do: records of the ledger, and what they mean.

The unit of undoing is a content of a load: the blocks of one generation, whoever wrote their
chunks. Before anything is undone it is on record, and an attempt looks for that record after its
own writes are acknowledged. So either the attempt sees it and takes away what it wrote, or all it
wrote was there before the undoing began to look. Content that is on record here is never taken up
again: a rewrite at its stamps would be hidden by the tombstones.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from prefect_cassandra.ledger.blocks import RESTORED, SECOND, UNDONE
from prefect_cassandra.ledger.store import QUORUM, DatabaseTime, ledger_access

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.chunks import ChunkRecord

Reason = Literal["UNDO", "REPLACED", "ROLLBACK"]
"""Why: somebody asked for it, newer content took its place, or its transaction was rolled back."""
State = Literal["BEGUN", "DONE"]

_READ = """SELECT generation, reason, state FROM prefect_ledger.undoings
 WHERE table_name = ? AND load_key = ?"""
_BEGIN = """INSERT INTO prefect_ledger.undoings (table_name, load_key, generation, reason, state,
 person, run, begun_at) VALUES (?, ?, ?, ?, 'BEGUN', ?, ?, ?)"""
_END = """INSERT INTO prefect_ledger.undoings (table_name, load_key, generation, reason, state,
 ended_at, rows_removed, cells_cleared, cells_restored) VALUES (?, ?, ?, ?, 'DONE', ?, ?, ?, ?)"""
_OWE = """INSERT INTO prefect_ledger.unfinished (table_name, load_key, generation, reason, run,
 since) VALUES (?, ?, ?, ?, ?, ?)"""
_SETTLE = """DELETE FROM prefect_ledger.unfinished WHERE table_name = ? AND load_key = ?
 AND generation = ?"""
_OWED = "SELECT table_name, load_key, generation, reason, run, since FROM prefect_ledger.unfinished"
_OWED_BY_TABLE = f"{_OWED} WHERE table_name = ?"


@dataclass(frozen=True, slots=True, order=True)
class Content:
    """One content of a load: the unit of undoing.

    Attributes:
        table: `keyspace.table`.
        key: Of the load.
        generation: Counts the contents that the load had.
    """

    table: str
    key: str
    generation: int


@dataclass(frozen=True, slots=True)
class Undoing:
    """That a content was undone, or is being undone.

    Attributes:
        generation: Which content.
        reason: Why.
        state: BEGUN, or DONE.
    """

    generation: int
    reason: Reason
    state: State


@dataclass(frozen=True, slots=True)
class Owed:
    """Something to be undone that nobody has finished yet.

    Attributes:
        content: What.
        reason: Why. ROLLBACK until its transaction commits, whether or not it is still under way.
        run: The flow run whose load it is.
        since: When it was noted, UTC.
    """

    content: Content
    reason: Reason
    run: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """What an undoing did, or would do.

    Attributes:
        rows_removed: Rows that are gone: nobody else's cells were in them.
        cells_cleared: Cells of rows that stay which hold nothing now.
        cells_restored: Cells that hold again what they held before the load.
        cells_left: Collections that keep elements of the load beside older ones of others.
    """

    rows_removed: int = 0
    cells_cleared: int = 0
    cells_restored: int = 0
    cells_left: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.rows_removed + other.rows_removed,
            self.cells_cleared + other.cells_cleared,
            self.cells_restored + other.cells_restored,
            self.cells_left + other.cells_left,
        )


class CassandraUndoings:
    """The records of undoings in `prefect_ledger`, as plain writes and reads of a majority.

    Every method raises what `Session.execute` does, and NoStampsError when the cluster has no
    ledger or this role may not use it.

    Args:
        session: Logged in as a role that may read and write the ledger's tables for loads.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def of_load(self, table: str, key: str) -> dict[int, Undoing]:
        """Return what was undone of a load, by generation."""
        found = [Undoing(**row) for row in self._run(_READ, [table, key])]
        return {one.generation: one for one in found}

    def begin(self, content: Content, reason: Reason, *, person: str = "", run: str = "") -> None:
        """Record that a content is about to be undone, and that it is owed until it is."""
        self.owe(content, reason, run)
        self._run(_BEGIN, [*_names(content), reason, person, run, _now()])

    def end(self, content: Content, reason: Reason, counts: Counts) -> None:
        """Record that a content is undone."""
        did = (counts.rows_removed, counts.cells_cleared, counts.cells_restored)
        self._run(_END, [*_names(content), reason, _now(), *did])
        self.settle(content)

    def owe(self, content: Content, reason: Reason, run: str) -> None:
        """Record that a content has to be undone if nobody says otherwise."""
        self._run(_OWE, [*_names(content), reason, run, _now()])

    def settle(self, content: Content) -> None:
        """Record that nothing is owed any more."""
        self._run(_SETTLE, _names(content))

    def owed(self, table: str | None = None) -> list[Owed]:
        """Return what nobody has finished, by table and load."""
        rows = self._run(_OWED) if table is None else self._run(_OWED_BY_TABLE, [table])
        found = [
            Owed(
                Content(row["table_name"], row["load_key"], row["generation"]),
                row["reason"],
                row["run"] or "",
                row["since"],
            )
            for row in rows
        ]
        return sorted(found, key=lambda one: one.content)

    def _run(self, cql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
        # One machine says that something is owed, another that it is settled: the later one counts,
        # whatever their clocks say.
        at = _rising(DatabaseTime(self.session)())
        with ledger_access():
            return self.session.execute(
                cql,
                parameters,
                consistency=QUORUM,
                idempotent=True,
                timestamp=at,
            ).rows


_latest = 0
_turn = threading.Lock()


def _rising(now: int) -> int:
    """Return a time that is higher than the last one of this process.

    The database's time is known to a few milliseconds, and what is begun may end sooner.
    """
    global _latest  # noqa: PLW0603 -- one for all sessions of the process
    with _turn:
        _latest = _latest + 1 if 0 <= _latest - now < SECOND else now
        return _latest


def to_sweep(newest: int, known: Iterable[int], undone: Mapping[int, Undoing]) -> list[int]:
    """Return the older contents of a load whose cells may still be there.

    Args:
        newest: The content that counts.
        known: Every generation that has a block.
        undone: What was undone of the load.
    """
    done = {number for number, one in undone.items() if one.state == "DONE"}
    return sorted({number for number in known if number < newest} - done)


def used_slots(chunks: Iterable[ChunkRecord]) -> dict[int, int]:
    """Return the stamps that were really used, each with its chunk.

    A stamp inside of a block that no chunk used may be on somebody else's cell.
    """
    return {one.slot: one.number for one in chunks if one.state != "REFUSED"}


def tombstone_of(stamp: int) -> int:
    """Return the stamp at which what was written at `stamp` is deleted."""
    return stamp + UNDONE


def restored_of(stamp: int) -> int:
    """Return the stamp at which what was overwritten at `stamp` is brought back."""
    return stamp + RESTORED


def _names(content: Content) -> list[Any]:
    return [content.table, content.key, content.generation]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
