"""The record of applied migrations: two tables in `prefect_ledger`.

Every write to them is a lightweight transaction, and never a plain one: an ordinary write beside
conditional ones on the same cell can be lost or come back. A record is written only while `fence`,
a static cell of the keyspace's partition, holds the runner's own lock epoch; each runner raises it
before it reads. So a runner that was stopped and lost its lease can record nothing more.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from prefect_cassandra.errors import OutcomeUnknownError, SchemaLockedError, StatementError
from prefect_cassandra.schema.migrations import Record
from prefect_cassandra.schema.model import LEDGER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.schema.migrations import Migration

T = TypeVar("T")

MIGRATIONS = "schema_migrations"
LOCKS = "schema_locks"
# The identifiers are fixed so that runners which make a table at the same moment, through different
# nodes, make the same one; with random ones the nodes disagree about the table for good.
BOOKKEEPING = {
    MIGRATIONS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{MIGRATIONS} (
  keyspace_name text,
  fence bigint static,
  number int,
  name text,
  checksum text,
  statements int,
  done int,
  done_checksum text,
  state text,
  started_at timestamp,
  applied_at timestamp,
  applied_by text,
  duration_ms bigint,
  package_version text,
  epoch bigint,
  runner text,
  attempts int,
  PRIMARY KEY (keyspace_name, number)
) WITH ID = 70726566-6563-4000-8000-000000000001
  AND comment = 'Applied migrations. Written by schema apply only, with IF.'""",
    LOCKS: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{LOCKS} (
  name text PRIMARY KEY,
  epoch bigint,
  owner text,
  host text,
  pid int,
  since timestamp
) WITH ID = 70726566-6563-4000-8000-000000000002
  AND comment = 'Who changes the schema now. Written by schema apply only, with IF.'""",
}

_READ = """SELECT fence, number, name, checksum, statements, done, done_checksum, state, started_at,
 applied_at, applied_by, duration_ms, package_version, epoch, runner, attempts
 FROM prefect_ledger.schema_migrations WHERE keyspace_name = ?"""
_RAISE = """UPDATE prefect_ledger.schema_migrations SET fence = ? WHERE keyspace_name = ?
 IF fence < ?"""
_RAISE_FIRST = """UPDATE prefect_ledger.schema_migrations SET fence = ? WHERE keyspace_name = ?
 IF fence = null"""
_BEGIN = """UPDATE prefect_ledger.schema_migrations SET name = ?, checksum = ?, statements = ?,
 done = 0, done_checksum = ?, state = 'RUNNING', started_at = ?,
 applied_by = ?, package_version = ?, epoch = ?, runner = ?, attempts = 1
 WHERE keyspace_name = ? AND number = ? IF fence = ? AND state = null"""
_RESUME = """UPDATE prefect_ledger.schema_migrations SET name = ?, checksum = ?, statements = ?,
 applied_by = ?, package_version = ?, epoch = ?, runner = ?, attempts = ?
 WHERE keyspace_name = ? AND number = ?
 IF fence = ? AND state = 'RUNNING' AND attempts = ?"""
_ADVANCE = """UPDATE prefect_ledger.schema_migrations SET done = ?, done_checksum = ?
 WHERE keyspace_name = ? AND number = ? IF fence = ? AND state = 'RUNNING' AND done = ?"""
_FINISH = """UPDATE prefect_ledger.schema_migrations SET done = ?, done_checksum = ?,
 state = 'APPLIED', applied_at = ?, duration_ms = ? WHERE keyspace_name = ? AND number = ?
 IF fence = ? AND state = 'RUNNING' AND done = ?"""

# A runner that lost the lock can raise the fence once more in between; then ours is repeated.
_FENCE_ATTEMPTS = 5
_BECOMES_KNOWN = 10.0


def compare_and_set(
    session: Session, cql: str, parameters: Sequence[Any], confirm: Callable[[], bool]
) -> bool:
    """Carry out one conditional statement and say whether it was applied.

    When the answer is lost, `confirm` decides: it reads the partition at SERIAL, which finishes or
    supersedes any round still under way, so what it sees is final.
    """
    try:
        # The reads of these rows are at SERIAL; so are the writes, whatever the session's own are.
        result = session.execute(cql, parameters, idempotent=False, serial_consistency="SERIAL")
        return bool(result.applied)
    except OutcomeUnknownError:
        return confirm()


def once_known(ask: Callable[[], T]) -> T:
    """Ask again for a moment while a node does not know a bookkeeping table yet.

    Another runner may be making it: `system_schema` lists a table before statements can use it, and
    one node knows it before the next.
    """
    deadline = time.monotonic() + _BECOMES_KNOWN
    while True:
        try:
            return ask()
        except StatementError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def read_records(session: Session, keyspace: str) -> dict[int, Record]:
    """Read what is recorded for one keyspace, number -> record."""
    rows = session.execute(_READ, [keyspace], consistency="SERIAL").rows
    # A fence without records comes back as one row without a number.
    found = [dict(row) for row in rows if row["number"] is not None]
    for row in found:
        row.pop("fence")
    return {row["number"]: Record(**row) for row in found}


class Recorder:
    """Writes the records of one runner while it holds the lock with `epoch`.

    Args:
        session: Logged in as a role that may write the bookkeeping tables.
        epoch: The epoch of the runner's lock; larger than every earlier one.
        role: The role that carries the migrations out.
        runner: Host and process id, for people.
    """

    def __init__(self, session: Session, epoch: int, role: str, runner: str) -> None:
        self.session = session
        self.epoch = epoch
        self.role = role
        self.runner = runner
        self.package_version = version("prefect-cassandra")

    def raise_fence(self, keyspace: str) -> None:
        """Shut out every runner with a lower epoch; call it before reading the records.

        Raises:
            SchemaLockedError: A runner with a higher epoch has been here.
        """
        for _ in range(_FENCE_ATTEMPTS):
            fence = self._fence(keyspace)
            if fence == self.epoch:
                return
            if fence is not None and fence > self.epoch:
                break
            cql, parameters = _RAISE, [self.epoch, keyspace, self.epoch]
            if fence is None:
                cql, parameters = _RAISE_FIRST, [self.epoch, keyspace]
            # The next look at SERIAL tells what came of it, also when the answer was lost.
            compare_and_set(self.session, cql, parameters, lambda: True)
        raise self._shut_out(keyspace)

    def begin(self, migration: Migration) -> Record:
        """Record that the first statement is about to be sent; returns the record."""
        values = (migration.name, migration.checksum, len(migration.statements))
        started = datetime.now(UTC).replace(microsecond=0)
        me = (self.role, self.package_version, self.epoch, self.runner)
        self._write(
            migration,
            _BEGIN,
            [*values, migration.done_checksum(0), started, *me, *self._where(migration)],
            lambda record: record.epoch == self.epoch,
        )
        return read_records(self.session, migration.keyspace)[migration.number]

    def resume(self, migration: Migration, record: Record) -> Record:
        """Record that this runner goes on where another stopped; returns the record."""
        values = (migration.name, migration.checksum, len(migration.statements))
        me = (self.role, self.package_version, self.epoch, self.runner, record.attempts + 1)
        self._write(
            migration,
            _RESUME,
            [*values, *me, *self._where(migration), record.attempts],
            lambda found: found.epoch == self.epoch and found.attempts == record.attempts + 1,
        )
        return read_records(self.session, migration.keyspace)[migration.number]

    def advance(self, migration: Migration, before: int, done: int, started: datetime) -> None:
        """Record that `done` statements are carried out, not just `before`; all is APPLIED."""
        parameters: list[Any] = [done, migration.done_checksum(done)]
        cql = _ADVANCE
        if done == len(migration.statements):
            now = datetime.now(UTC)
            milliseconds = int((now - started).total_seconds() * 1000)
            parameters += [now.replace(microsecond=0), milliseconds]
            cql = _FINISH
        self._write(
            migration,
            cql,
            [*parameters, *self._where(migration), before],
            lambda found: found.epoch == self.epoch and found.done == done,
        )

    def _where(self, migration: Migration) -> tuple[str, int, int]:
        return migration.keyspace, migration.number, self.epoch

    def _write(
        self,
        migration: Migration,
        cql: str,
        parameters: Sequence[Any],
        mine: Callable[[Record], bool],
    ) -> None:
        def confirm() -> bool:
            record = read_records(self.session, migration.keyspace).get(migration.number)
            return record is not None and mine(record)

        if not compare_and_set(self.session, cql, parameters, confirm):
            raise self._shut_out(migration.label)

    def _fence(self, keyspace: str) -> int | None:
        row = self.session.execute(_READ, [keyspace], consistency="SERIAL").one()
        return None if row is None else row["fence"]

    def _shut_out(self, what: str) -> SchemaLockedError:
        return SchemaLockedError(
            f"{what}: nothing was recorded, because another runner took the schema lock over from "
            f"{self.runner} (epoch {self.epoch})",
            hint="Look with `prefect-cassandra schema status`; the other runner finishes the work.",
        )
