"""Clocks and the records of blocks in `prefect_ledger`: the statements, and what they mean.

The clock's row is written by lightweight transactions only, at SERIAL across datacenters: there is
one order of blocks for a table, wherever its loads run. Records are plain writes of a majority, and
read by a majority, so what was filed before a move is seen by everyone who sees the move. They
carry the block's own start as write time: whoever files a block writes the same cells.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.errors import (
    ClaimedTableError,
    NoStampsError,
    PermissionDeniedError,
    StatementError,
)
from prefect_cassandra.ledger.blocks import EPOCH, LEAD, from_json, to_json
from prefect_cassandra.ledger.stamps import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.blocks import Block

QUORUM = "QUORUM"
MARK_OF_CLAIMS = "claims"
"""Stands in the row of a clock, for the blocks, when the table is for claims and has no stamps."""
_TIME = "SELECT toTimestamp(now()) AS now FROM system.local"
_READ = "SELECT next, newest FROM prefect_ledger.stamp_clocks WHERE table_name = ?"
_FIRST = """INSERT INTO prefect_ledger.stamp_clocks (table_name, next, newest) VALUES (?, ?, ?)
 IF NOT EXISTS"""
# `next` alone decides, as it only ever grows; with `newest` named too, a refusal tells it.
_MOVE = """UPDATE prefect_ledger.stamp_clocks SET next = ?, newest = ? WHERE table_name = ?
 IF next = ? AND newest != null"""
_FILE = """INSERT INTO prefect_ledger.stamp_blocks (table_name, hour, start, length, stride,
 previous, load_key, generation, first_chunk, chunk_rows, kind, run, task, attempt, deployment,
 version, image, git_commit, person, source, created_at, id)
 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_FILED = """SELECT id FROM prefect_ledger.stamp_blocks WHERE table_name = ? AND hour = ?
 AND start = ?"""
_FILE_BY_LOAD = """INSERT INTO prefect_ledger.load_blocks (table_name, load_key, generation, start,
 length, stride, first_chunk, chunk_rows, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_FILE_BY_RUN = "INSERT INTO prefect_ledger.run_blocks (run, table_name, start) VALUES (?, ?, ?)"
_FILE_BY_PERSON = """INSERT INTO prefect_ledger.person_blocks (person, hour, table_name, start)
 VALUES (?, ?, ?, ?)"""
_TIME_GOOD_FOR = 60.0
_SHARP, _ANSWERS = 0.003, 4
_NEAR = LEAD // 2
# The monotonic clock of Linux stands still while the machine sleeps; this one does not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


# What a node said its time was, and when by the machine's steady clock; threads share it.
_told: WeakKeyDictionary[Session, tuple[int, float]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class DatabaseTime:
    """The time as the database's nodes have it, so that this machine's own does not matter.

    One question to a node gives a starting point, from which the machine's steady clock counts on
    for a minute, through a sleep of the machine too. Records of the ledger that replace each other
    are written at this time as well: those of a machine whose clock is ahead must not hide what
    others say later.

    Args:
        session: Whom to ask.
    """

    session: Session

    def __call__(self) -> int:
        """Return microseconds since 1970. Raises what `Session.execute` does."""
        at = time.clock_gettime(_CLOCK)
        told = _told.get(self.session)
        if told is None or at - told[1] > _TIME_GOOD_FOR:
            told = _told[self.session] = self._ask()
            at = time.clock_gettime(_CLOCK)
        return told[0] + round((at - told[1]) * 1_000_000)

    def _ask(self) -> tuple[int, float]:
        """Return what a node says its time is, and when: the sharpest of a few answers.

        A node looks at its clock some time between question and answer, so an answer is known to
        half of the time it took (as in NTP, RFC 5905 section 8).
        """
        answers: list[tuple[float, int, float]] = []
        while not answers or (answers[-1][0] > _SHARP and len(answers) < _ANSWERS):
            asked = time.clock_gettime(_CLOCK)
            row = self.session.execute(_TIME, idempotent=True).one()
            assert row is not None  # noqa: S101 -- every node has this row
            answered = time.clock_gettime(_CLOCK)
            # It tells whole milliseconds, cut off.
            told = _microseconds(row["now"]) + 500
            answers.append((answered - asked, told, (asked + answered) / 2))
        _, told, at = min(answers)
        return told, at


class CassandraClocks:
    """The `ClockStore` of a real cluster.

    Every method raises what `Session.execute` does, and NoStampsError when the cluster has no
    ledger or this role may not use it.

    Args:
        session: Logged in as a role that may read and write the stamp tables.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._time = DatabaseTime(session)

    def now(self) -> int:
        """Return the database's time, or just behind the last write of this process.

        The database's time is known to a few milliseconds only, and what a flow wrote before a load
        must not win against it. A machine that is further ahead does not move everybody's clock.
        """
        now, written = self._time(), self.session.last_write + 1
        return written if now < written <= now + _NEAR else now

    def read(self, table: str) -> Clock | None:
        """Return the clock's row; reading at SERIAL ends whatever move is still under way."""
        with ledger_access():
            return _clock(table, self.session.execute(_READ, [table], consistency="SERIAL").one())

    def move(self, table: str, before: Clock | None, after: Clock) -> tuple[bool, Clock | None]:
        """Replace the clock's row if it is `before`."""
        values = [after.next, to_json(after.newest)]
        if before is None:
            cql, parameters = _FIRST, [table, *values]
        else:
            cql, parameters = _MOVE, [*values, table, before.next]
        with ledger_access():
            # All datacenters take part, whatever the session's own conditional writes do: two that
            # each moved the clock alone would hand out the same stamps.
            result = self.session.execute(
                cql,
                parameters,
                idempotent=False,
                consistency=QUORUM,
                serial_consistency="SERIAL",
            )
        return (True, after) if result.applied else (False, _clock(table, result.one()))

    def file(self, blocks: Sequence[Block]) -> None:
        """Write the records of blocks, once for each who looks; the last one by the hour last."""
        with ledger_access():
            Pump(self.session).run(self._others(blocks))
            self.session.run(self._record(_FILE, _by_hour(blocks[-1]), blocks[-1]))

    def filed(self, block: Block) -> bool:
        """Whether the record that is written last is there."""
        where = [block.table, block.hour, block.start]
        with ledger_access():
            row = self.session.execute(_FILED, where, consistency=QUORUM).one()
        return row is not None and row["id"] == block.request.id

    def _others(self, blocks: Sequence[Block]) -> Iterator[Request]:
        """Yield all records but the one that tells that the rest is there."""
        for one in blocks:
            yield self._record(_FILE_BY_LOAD, _by_load(one), one)
            who = one.request.provenance
            if who.run:
                yield self._record(_FILE_BY_RUN, [who.run, one.table, one.start], one)
            if who.person:
                found = [who.person, one.hour, one.table, one.start]
                yield self._record(_FILE_BY_PERSON, found, one)
        for one in blocks[:-1]:
            yield self._record(_FILE, _by_hour(one), one)

    def _record(self, cql: str, values: list[Any], block: Block) -> Request:
        prepared = self.session.prepare(cql)
        checked = prepared.check(values)
        return self.session.single(
            prepared, checked, consistency=QUORUM, idempotent=True, timestamp=block.start
        )


@contextmanager
def ledger_access() -> Iterator[None]:
    """Say in the ledger's words that it is not there, or not for this role.

    Raises:
        NoStampsError: So it is.
    """
    try:
        yield
    except StatementError as error:
        raise NoStampsError(
            f"the cluster keeps no write stamps: {error.message}",
            hint="`prefect-cassandra schema apply` makes the ledger's tables; on Kubernetes an "
            "upgrade of the release does.",
        ) from error
    except PermissionDeniedError as error:
        raise NoStampsError(
            f"this role may not use the ledger of write stamps: {error.message}",
            hint="`prefect-cassandra schema apply` grants it to every keyspace's flow role.",
        ) from error


def _clock(table: str, row: Mapping[str, Any] | None) -> Clock | None:
    if row is not None and row.get("newest") == MARK_OF_CLAIMS:
        raise ClaimedTableError(f"{table} is for claims, so nothing in it is written with stamps")
    if row is None or row.get("next") is None:
        return None
    return Clock(row["next"], from_json(table, row["newest"]))


def _by_hour(block: Block) -> list[Any]:
    asked, who = block.request, block.request.provenance
    return [
        *(block.table, block.hour, block.start, asked.length, asked.stride, block.previous),
        *(asked.load_key, asked.generation, asked.first_chunk, asked.chunk_rows, asked.kind),
        *(who.run, who.task, who.attempt, who.deployment, who.version, who.image, who.commit),
        *(who.person, who.source, asked.created_at, asked.id),
    ]


def _by_load(block: Block) -> list[Any]:
    asked = block.request
    return [
        *(block.table, asked.load_key, asked.generation, block.start, asked.length, asked.stride),
        *(asked.first_chunk, asked.chunk_rows, asked.id),
    ]


def _microseconds(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1)
