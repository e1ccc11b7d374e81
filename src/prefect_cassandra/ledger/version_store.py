"""Reads and writes `prefect_ledger.flow_versions`, as role `prefect_ledger`.

Every write is a lightweight transaction. A number is taken by `INSERT ... IF NOT EXISTS`, so two
people who push at the same moment get two numbers; each row carries the identity of its writer, by
which a write whose answer was lost is recognised.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import LedgerError
from prefect_cassandra.ledger.versions import Origin, Version, label_of
from prefect_cassandra.schema.records import compare_and_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.versions import Definition, State

_OF_RELEASE = "SELECT DISTINCT release, deployment FROM prefect_ledger.flow_versions"
_READ = """SELECT number, label, state, image, image_tag, git_commit, created_at, created_by,
 kubernetes_user, restored_from, promoted_from, package_version
 FROM prefect_ledger.flow_versions WHERE release = ? AND deployment = ?"""
_ONE = """SELECT state, writer, definition FROM prefect_ledger.flow_versions
 WHERE release = ? AND deployment = ? AND number = ?"""
_BEGIN = """INSERT INTO prefect_ledger.flow_versions (release, deployment, number, label, state,
 image, image_tag, git_commit, created_at, created_by, kubernetes_user, restored_from,
 promoted_from, package_version, writer)
 VALUES (?, ?, ?, ?, 'BEGUN', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS"""
_FINISH = """UPDATE prefect_ledger.flow_versions SET state = 'REGISTERED', definition = ?
 WHERE release = ? AND deployment = ? AND number = ? IF state = 'BEGUN'"""
_FAIL = """UPDATE prefect_ledger.flow_versions SET state = 'FAILED'
 WHERE release = ? AND deployment = ? AND number = ? IF state = 'BEGUN'"""
# As many people at once are not expected; a number is lost to each of them at most once.
_ATTEMPTS = 20


class VersionStore:
    """The versions of one release's deployments.

    Every method raises what `Session.execute` does.

    Args:
        session: Logged in as a role that may read and write the table.
        release: Whose deployments, as `namespace/release`: a Cassandra may serve several.
    """

    def __init__(self, session: Session, release: str) -> None:
        self.session = session
        self.release = release

    def deployments(self) -> list[str]:
        """Return the deployments that have a version, by name."""
        rows = self.session.execute(_OF_RELEASE, idempotent=True)
        return sorted(row["deployment"] for row in rows if row["release"] == self.release)

    def read(self, deployment: str) -> list[Version]:
        """Return the versions of a deployment, the newest first."""
        rows = self.session.execute(_READ, [self.release, deployment], consistency="SERIAL")
        return [_version(deployment, row) for row in rows]

    def begin(self, deployment: str, origin: Origin) -> Version:
        """Take the next number, before the Prefect server is told anything.

        Raises:
            LedgerError: Others took every number that was tried.
        """
        # The database keeps milliseconds.
        now = datetime.now(UTC).replace(microsecond=0)
        package = installed_version("prefect-cassandra")
        for _ in range(_ATTEMPTS):
            newest = max((one.number for one in self.read(deployment)), default=0)
            label = label_of(newest + 1, origin.image_tag)
            made = Version(deployment, newest + 1, label, "BEGUN", origin, now, package)
            if self._insert(made):
                return made
        raise LedgerError(
            f"no number for a version of {deployment} was free in {_ATTEMPTS} attempts",
            hint="Somebody else pushes it over and over; try again.",
        )

    def finish(self, version: Version, definition: Definition) -> None:
        """Note that the server has a version, and what it was told.

        Raises:
            LedgerError: The version was given up in the meantime.
        """
        text = json.dumps(definition, sort_keys=True)
        self._end(version, _FINISH, [text], "REGISTERED")

    def fail(self, version: Version) -> None:
        """Note that the server refused a version.

        Raises:
            LedgerError: The version was finished in the meantime.
        """
        self._end(version, _FAIL, [], "FAILED")

    def definition(self, version: Version) -> Definition | None:
        """Return what the server was told for a version; None when it was not registered."""
        row = self._row(version)
        text = row["definition"] if row else None
        found: Definition | None = json.loads(text) if text else None
        return found

    def _insert(self, made: Version) -> bool:
        writer, origin = uuid.uuid4(), made.origin
        who = (made.created_at, origin.created_by, origin.kubernetes_user)
        parameters = [
            *(*self._where(made), made.label, origin.image, origin.image_tag, origin.git_commit),
            *(*who, origin.restored_from, origin.promoted_from, made.package_version, writer),
        ]

        def is_ours() -> bool:
            row = self._row(made)
            return row is not None and row["writer"] == writer

        return compare_and_set(self.session, _BEGIN, parameters, is_ours)

    def _end(self, version: Version, cql: str, values: list[str], state: State) -> None:
        def is_done() -> bool:
            row = self._row(version)
            return row is not None and row["state"] == state

        parameters = [*values, *self._where(version)]
        # Not applied is no failure when an earlier attempt, whose answer was lost, was applied.
        if not compare_and_set(self.session, cql, parameters, is_done) and not is_done():
            raise LedgerError(
                f"version {version.number} of {version.deployment} cannot become {state}: "
                "somebody else has ended it another way"
            )

    def _row(self, version: Version) -> dict[str, Any] | None:
        return self.session.execute(_ONE, self._where(version), consistency="SERIAL").one()

    def _where(self, version: Version) -> tuple[str, str, int]:
        return self.release, version.deployment, version.number


def _version(deployment: str, row: Mapping[str, Any]) -> Version:
    origin = Origin(
        image=row["image"],
        image_tag=row["image_tag"],
        git_commit=row["git_commit"] or "",
        created_by=row["created_by"],
        kubernetes_user=row["kubernetes_user"] or "",
        restored_from=row["restored_from"],
        promoted_from=row["promoted_from"] or "",
    )
    return Version(
        deployment,
        row["number"],
        row["label"],
        row["state"],
        origin,
        row["created_at"],
        row["package_version"],
    )
