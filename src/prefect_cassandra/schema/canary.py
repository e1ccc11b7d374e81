"""A row that is written and read to see whether the cluster takes writes; it deletes itself."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect_cassandra.schema.model import LEDGER

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session

CANARY = "canary"
# Seconds a row stays: long enough to be looked at, short enough to leave nothing behind.
_TTL = 3600
# Why the identifier is fixed is said in `records.py`. Nobody repairs what lives for an hour, so
# nothing has to be remembered about deleted rows for days.
CANARY_TABLE = {
    CANARY: f"""CREATE TABLE IF NOT EXISTS {LEDGER}.{CANARY} (
  id uuid PRIMARY KEY,
  written_at timestamp,
  written_by text
) WITH ID = 70726566-6563-4000-8000-000000000003
  AND default_time_to_live = {_TTL}
  AND gc_grace_seconds = {_TTL}
  AND comment = 'Written and read by `prefect-cassandra doctor`; rows live for an hour.'"""
}

_WRITE = "INSERT INTO prefect_ledger.canary (id, written_at, written_by) VALUES (?, ?, ?)"
_READ = "SELECT written_by FROM prefect_ledger.canary WHERE id = ?"


def sing(session: Session, who: str) -> bool:
    """Write one row and read it; true when it was there.

    Args:
        session: Logged in as a role that may write `prefect_ledger`.
        who: Stands in the row, for people.

    Raises:
        StatementError: The table is not there.
        NotAppliedError: Too few replicas are up.
        OutcomeUnknownError: The cluster stopped answering.
    """
    row = uuid.uuid4()
    # Cassandra keeps milliseconds, and the driver refuses what would be lost.
    now = datetime.now(UTC).replace(microsecond=0)
    session.execute(_WRITE, [row, now, who], idempotent=True)
    found = session.execute(_READ, [row], idempotent=True).one()
    return found is not None and found["written_by"] == who
