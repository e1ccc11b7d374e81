"""Stamped statements: one INSERT, UPDATE, DELETE or BATCH with one row of values or with many.

A call is kept in the ledger like a load: one block, its rows in chunks, each on record before it
is sent. It is known by its content, statement and values, so a retry finds its block whatever order
the calls of a run come in, sends what is not done at the same stamps, and nothing else.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.statements import redacted
from prefect_cassandra.driver.threads import in_thread
from prefect_cassandra.driver.types import UNSET
from prefect_cassandra.errors import (
    NoStampsError,
    PrefectCassandraError,
    SupersededError,
    UndoneError,
)
from prefect_cassandra.ledger.chunks import digest_of
from prefect_cassandra.ledger.keys import KeyFilter, filter_request, hash_key
from prefect_cassandra.ledger.loads import LoadIdentity
from prefect_cassandra.ledger.opening import keeps_stamps, open_load
from prefect_cassandra.ledger.statements import Removal, save_removals
from prefect_cassandra.writes.repeatable import changes_data, read_statement, require_repeatable
from prefect_cassandra.writes.touched import KeyReader, about_rows, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.ledger.blocks import Provenance
    from prefect_cassandra.ledger.loads import StampedLoad
    from prefect_cassandra.ledger.statements import What
    from prefect_cassandra.writes.repeatable import Statement
    from prefect_cassandra.writes.touched import Touched

    Parameters = Sequence[Any] | Mapping[str, Any]

_MOST_ROWS = 5_000
# Deleting is rare and a record has some hundred bytes; more than these of one call are not kept.
_MOST_REMOVALS = 10_000


@dataclass(frozen=True, slots=True)
class StampedStatement:
    """That a statement is kept in the ledger, and as what.

    Attributes:
        key: Gives the call's key for a name made of its table and content; None when nobody would
            ever repeat it.
        provenance: Who runs it, with what code.
        keep: How long what only undoing and proof need is kept.
    """

    key: Callable[[str], str | None]
    provenance: Provenance
    keep: timedelta


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a call.

    Attributes:
        rows: Rows of values that were sent and acknowledged.
        skipped: Rows that an earlier attempt had sent already.
        stamped: Whether the call is kept in the ledger.
        applied: Of a conditional statement whether it was applied, else None.
    """

    rows: int
    skipped: int = 0
    stamped: bool = False
    applied: bool | None = None


def write(  # noqa: PLR0913 -- where, what, how, and how to stop it
    session: Session,
    cql: str,
    rows: Sequence[Parameters],
    wanted: StampedStatement,
    *,
    consistency: str | None = None,
    in_flight: int = 32,
    cancelled: threading.Event | None = None,
) -> Written | None:
    """Run a statement once for each row of values, with stamps where the cluster keeps them.

    Every row is checked before the first is sent. Later rows win over earlier ones.

    Args:
        session: Where to.
        cql: The statement.
        rows: Values for its markers; one empty row for a statement without markers.
        wanted: As what it is kept.
        consistency: Level instead of the session's.
        in_flight: Most requests unanswered at one time.
        cancelled: Set it, from any thread, to stop sending.

    Returns:
        What became of it; None, with nothing sent, where it has no stamps to carry: it changes no
        data, nobody repeats it, or the cluster keeps no stamps for this role.

    Raises:
        NotRepeatableError: It cannot carry a stamp; says what to write instead.
        ClaimedTableError: The table is for claims.
        DataError: A value does not fit; nothing was sent.
        StatementError: The server refused the statement.
        OutcomeUnknownError: A request may or may not have been applied, even after repeats.
        LedgerError: No stamps can be had; nothing was sent.
        UndoneError: The call was undone while it was under way; nothing that it wrote stays.
    """
    if not changes_data(cql) or not keeps_stamps(session):
        return None
    call = _Call.of(session, cql, rows, wanted, consistency)
    if call is None:
        return None
    try:
        load = call.open()
    except NoStampsError:
        return None
    return call.send(load, in_flight, cancelled)


async def awrite(  # noqa: PLR0913 -- the parameters of write()
    session: Session,
    cql: str,
    rows: Sequence[Parameters],
    wanted: StampedStatement,
    *,
    consistency: str | None = None,
    in_flight: int = 32,
) -> Written | None:
    """Do what `write` does in a thread of its own; cancelling the task stops it."""
    cancelled = threading.Event()
    work = partial(
        write,
        session,
        cql,
        rows,
        wanted,
        consistency=consistency,
        in_flight=in_flight,
        cancelled=cancelled,
    )
    return await in_thread(work, cancelled.set)


@dataclass(slots=True)
class _Call:
    """One call on its sending thread, everything checked."""

    session: Session
    cql: str
    statement: Statement
    table: TableInfo
    prepared: Prepared
    rows: list[list[Any]]
    wanted: StampedStatement
    consistency: str | None
    identity: LoadIdentity
    _pieces: list[tuple[int, int]] = field(default_factory=list)
    _touched: list[list[Touched] | None] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        session: Session,
        cql: str,
        rows: Sequence[Parameters],
        wanted: StampedStatement,
        consistency: str | None,
    ) -> _Call | None:
        """Check a call; None when nobody would repeat it, or it does not say its keyspace."""
        # First, because the server says best what is wrong with a statement.
        prepared = session.prepare(cql)
        statement = read_statement(cql)
        keyspace, name = statement.changes[0].keyspace, statement.changes[0].table
        if not keyspace:
            return None
        table = session.table(keyspace, name)
        require_repeatable(statement, table)
        many = len(rows) > 1
        checked = [
            prepared.check(row, f"row {place}" if many else "")
            for place, row in enumerate(rows, start=1)
        ]
        content = digest_of(cql, _content(prepared, checked)).hex()
        full = f"{table.keyspace}.{table.name}"
        key = wanted.key(f"{full}/{content[:32]}")
        if key is None:
            return None
        identity = LoadIdentity(full, key, wanted.provenance, statement.kind)
        return cls(session, cql, statement, table, prepared, checked, wanted, consistency, identity)

    def open(self) -> StampedLoad:
        """Cut the rows where they must not share a stamp, and find or take the call's block."""
        reader = KeyReader(self.session, self.table)
        self._touched = [reader.touched(self.statement, row) for row in self.rows]
        by_row = about_rows(self.statement, self.table)
        self._pieces = list(cut(self._touched, _MOST_ROWS, by_row=by_row))
        each = -(-len(self.rows) // max(1, len(self._pieces)))
        return open_load(
            self.session,
            self.identity,
            chunk_rows=max(1, each),
            total_rows=each * len(self._pieces),
        )

    def send(self, load: StampedLoad, in_flight: int, cancelled: threading.Event | None) -> Written:
        """Send what is not done yet, and say in the ledger what is."""
        sent = 0
        latest = 0
        try:
            for number, (first, stop) in enumerate(self._pieces):
                digest = digest_of(self.cql, _content(self.prepared, self.rows[first:stop]))
                stamp = load.begin(number, first, stop - first, digest)
                if stamp is None:
                    continue
                latest = stamp
                self._record_removals(first, stop, stamp)
                pump = Pump(self.session, in_flight, cancelled=cancelled)
                if pump.run(self._requests(load, number, digest, stamp)).cancelled:
                    return Written(sent, load.skipped_rows, stamped=True)
                load.done(number)
                sent += stop - first
            load.finish(len(self._pieces), len(self.rows))
        except (SupersededError, UndoneError) as error:
            # What reads a whole table brings pyarrow in, which statements go without.
            from prefect_cassandra.writes.taking_back import take_back  # noqa: PLC0415

            take_back(self.session, load, error)
            raise
        finally:
            with suppress(PrefectCassandraError):
                load.close()
            # The stamps are of the nodes' time. What the flow writes next must not lose against
            # them because this machine's clock is behind.
            self.session.write_after(latest)
        return Written(sent, load.skipped_rows, stamped=True)

    def _requests(
        self, load: StampedLoad, number: int, digest: bytes, stamp: int
    ) -> Iterator[Request]:
        """Yield what one piece sends: the filter of its keys, and a request for each row."""
        first, stop = self._pieces[number]
        hashes = self._hashes(first, stop)
        if hashes:
            start, made = load.block_start(number), KeyFilter.of(np.array(hashes, np.uint64))
            full, keep = self.identity.table, self.wanted.keep
            yield filter_request(self.session, full, start, number, digest, made, keep)
        for row in self.rows[first:stop]:
            yield self.session.single(
                self.prepared,
                row,
                consistency=self.consistency,
                idempotent=True,
                timestamp=stamp,
            )

    def _hashes(self, first: int, stop: int) -> list[int]:
        """Return the hashes of what a piece writes; none when some of it cannot be told."""
        found: set[int] = set()
        static = {column.name for column in self.table.columns if column.kind == "static"}
        for about in self._touched[first:stop]:
            if about is None:
                return []
            for one in about:
                if one.change.verb == "DELETE":
                    continue
                found |= {hash_key(key) for key in one.rows}
                if not one.rows or static & set(one.change.columns):
                    found |= {hash_key(key) for key in one.partitions}
        return sorted(found)

    def _record_removals(self, first: int, stop: int, stamp: int) -> None:
        found: list[tuple[bytes, Removal]] = []
        for place in range(first, min(stop, _MOST_REMOVALS)):
            for one in self._touched[place] or ():
                if one.change.verb == "DELETE":
                    found += self._removals(one, self.rows[place], stamp)
        if found:
            save_removals(self.session, self.identity.table, found, self.wanted.keep)

    def _removals(
        self, one: Touched, values: Sequence[Any], stamp: int
    ) -> Iterator[tuple[bytes, Removal]]:
        """Yield what one DELETE takes away: a row of the record for each key."""
        text = redacted(one.change.text)
        named = zip(self.prepared.names, map(str, values), strict=True)
        parameters = json.dumps(dict(named), ensure_ascii=False)
        for partition, names in zip(one.routing_keys, one.names, strict=True):
            removal = Removal(stamp, _what(one), names, one.change.columns, text, parameters)
            yield partition, removal


def _what(one: Touched) -> What:
    if one.change.columns:
        return "CELLS"
    if one.rows:
        return "ROW"
    return "RANGE" if one.change.ranges or len(one.change.keys) > len(one.names[0]) else "PARTITION"


def _content(prepared: Prepared, rows: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """Yield what tells the content of rows; what is missing differs from what is empty."""
    for row in rows:
        for value in prepared.encode(row):
            if value is None or value is UNSET:
                yield b"null" if value is None else b"unset"
                yield b"-"
            else:
                yield b"value"
                yield value
