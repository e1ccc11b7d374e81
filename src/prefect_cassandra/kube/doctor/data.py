"""What Cassandra holds of ours: migrations that are done, and one row written and read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prefect_cassandra.errors import PrefectCassandraError, StatementError
from prefect_cassandra.kube.doctor.check import Check, fail, ok, warn
from prefect_cassandra.schema.canary import sing
from prefect_cassandra.schema.records import read_records
from prefect_cassandra.schema.report import migration_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.schema.migrations import Migration, Record

MIGRATIONS, CANARY = "cassandra.migrations", "cassandra.canary"
_RECORDED = "SELECT DISTINCT keyspace_name FROM prefect_ledger.schema_migrations"
_MIGRATE = "`prefect-cassandra flows push` carries them out."
_SLOW = 1.0


def migration_states(
    files: Mapping[str, Sequence[Migration]] | None, records: Mapping[str, Mapping[int, Record]]
) -> dict[str, list[str]]:
    """Return the migrations by state: applied, pending, running, changed, unknown.

    Args:
        files: Keyspace to the migrations of its folder; None where there is no folder to compare
            with, so that nothing is pending, changed or unknown.
        records: Keyspace to what is recorded of it.
    """
    found: dict[str, list[str]] = {}
    for keyspace in sorted({*records, *(files or {})}):
        known = records.get(keyspace, {})
        if files is None:
            for record in known.values():
                state = "applied" if record.state == "APPLIED" else "running"
                label = f"{keyspace}/{record.number:04d}_{record.name}"
                found.setdefault(state, []).append(label)
            continue
        for row in migration_rows(keyspace, files.get(keyspace, ()), known):
            label = f"{keyspace}/{row.number:04d}_{row.name}"
            found.setdefault(row.state, []).append(label)
    return found


def judge_migrations(states: Mapping[str, Sequence[str]], *, compared: bool) -> Check:
    """Say what is unfinished.

    Args:
        states: From `migration_states`.
        compared: Whether there were files to compare with.
    """
    if running := states.get("running"):
        hint = "A runner is at work or was stopped; the next `flows push` goes on where it was."
        return fail(MIGRATIONS, f"unfinished: {', '.join(running)}", hint)
    if changed := states.get("changed"):
        hint = "Put the old text back, and write what is new into a migration of its own."
        return fail(MIGRATIONS, f"changed after they were carried out: {', '.join(changed)}", hint)
    if pending := states.get("pending"):
        return warn(MIGRATIONS, f"pending: {', '.join(pending)}", _MIGRATE)
    if unknown := states.get("unknown"):
        hint = "This folder of flows is older than what the cluster has: update it."
        return warn(MIGRATIONS, f"carried out, and not in the folder: {', '.join(unknown)}", hint)
    done = len(states.get("applied", ()))
    return ok(MIGRATIONS, f"{done} carried out, {'as the files say' if compared else 'none open'}")


def look_at_migrations(session: Session, files: Mapping[str, Sequence[Migration]] | None) -> Check:
    """Read the records of all keyspaces and judge them.

    Args:
        session: Logged in as a role that may read `prefect_ledger`.
        files: See `migration_states`.
    """
    try:
        rows = session.execute(_RECORDED, idempotent=True).rows
    except StatementError:
        hint = "The bootstrap makes it: see `jobs.bootstrap`."
        return fail(MIGRATIONS, "prefect_ledger has no records of migrations", hint)
    names = {str(row["keyspace_name"]) for row in rows} | {*(files or {})}
    records = {name: read_records(session, name) for name in names}
    return judge_migrations(migration_states(files, records), compared=files is not None)


def look_at_canary(session: Session) -> Check:
    """Write a row and read it."""
    began = time.monotonic()
    try:
        found = sing(session, "doctor")
    except PrefectCassandraError as error:
        if isinstance(error, StatementError) and "does not exist" in error.message:
            hint = "The bootstrap makes it: `helm upgrade` runs that again."
            return fail(CANARY, "there is no table prefect_ledger.canary", hint)
        hint = error.hint or "Too few nodes are up for a write: see `cassandra.ring` and `pods`."
        return fail(CANARY, error.message, hint)
    seconds = time.monotonic() - began
    if not found:
        hint = "Are the clocks of the nodes right? A row from the past is hidden by its own end."
        return fail(CANARY, "a row was written, and was not there when it was read", hint)
    took = f"a row was written and read in {seconds * 1000:.0f} ms, at LOCAL_QUORUM"
    if seconds > _SLOW:
        return warn(CANARY, took, "The nodes are busy or their disks are slow.")
    return ok(CANARY, took)
