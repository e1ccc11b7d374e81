"""Numbered CQL files: `0001_create_flights.cql`, `0002_add_gate.cql`, ...; a folder per keyspace.

A file that was applied is history: its checksum is kept, and a file without it is refused.
The checksum is that of normalised text, so a checkout with other line ends has the same one.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from prefect_cassandra.errors import MigrationChangedError, SchemaError
from prefect_cassandra.schema import cql, rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from prefect_cassandra.schema.model import Keyspaces

State = Literal["RUNNING", "APPLIED"]
_FILE = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9]+(?:_[a-z0-9]+)*)\.cql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its statements and what each changes, checked."""

    keyspace: str
    number: int
    name: str
    checksum: str
    statements: tuple[cql.Statement, ...]
    changes: tuple[rules.Change, ...]

    @property
    def label(self) -> str:
        """Keyspace and file, e.g. `flights/0001_create_flights`."""
        return f"{self.keyspace}/{self.number:04d}_{self.name}"

    def done_checksum(self, done: int) -> str:
        """Return the checksum of the first `done` statements."""
        return checksum("\n;\n".join(statement.text for statement in self.statements[:done]))


@dataclass(frozen=True, slots=True)
class Record:
    """What `prefect_ledger.schema_migrations` knows of one migration.

    Attributes:
        done: Statements known to be carried out; while RUNNING the next one may be as well.
        done_checksum: Checksum of those statements; only the rest may be corrected.
        applied_by: The database role.
        duration_ms: From the first statement to the last, pauses between two runners included.
        epoch: Lock epoch of the runner that wrote the record.
        runner: Host and process id of that runner.
        attempts: Runners that worked on it; 1 unless one died or a statement was refused.
    """

    number: int
    name: str
    checksum: str
    statements: int
    done: int
    done_checksum: str
    state: State
    started_at: datetime
    applied_at: datetime | None
    applied_by: str
    duration_ms: int | None
    package_version: str
    epoch: int
    runner: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A migration still to be carried out; `record` is there when an earlier runner began it."""

    migration: Migration
    record: Record | None = None

    @property
    def done(self) -> int:
        """Statements to skip. When resumed, the one after them may have been sent already."""
        return self.record.done if self.record else 0


def normalise(text: str) -> str:
    """Return `text` with Unix line ends, one at its end, and without a byte-order mark."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return lines.rstrip("\n") + "\n"


def checksum(text: str) -> str:
    """Return the SHA-256 of the normalised text, in hexadecimal."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()


def read_folders(keyspaces: Keyspaces) -> dict[str, list[Migration]]:
    """Read and check the migrations of every keyspace that has a folder of them.

    Raises:
        SchemaError: See `read_folder`.
    """
    return {
        name: read_folder(spec.migrations, name)
        for name, spec in keyspaces.keyspaces.items()
        if spec.migrations is not None
    }


def read_folder(folder: Path, keyspace: str) -> list[Migration]:
    """Read and check the migrations of one keyspace, in order.

    Raises:
        SchemaError: The folder is missing, a file's name or number is wrong, or a statement may
            not be in a migration.
    """
    if not folder.is_dir():
        raise SchemaError(
            f"the migrations folder of {keyspace} does not exist: {folder}",
            hint="Create it, or correct `migrations` in keyspaces.yaml, relative to that file.",
        )
    found = [_read_file(path, keyspace) for path in sorted(folder.glob("*.cql"))]
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            problem = "is there twice" if migration.number < expected else "follows a gap"
            raise SchemaError(
                f"{migration.label}: number {migration.number:04d} {problem}, "
                f"{expected:04d} was expected",
                hint=f"Number the files of {folder} 0001, 0002, 0003, ...",
            )
    return found


def _read_file(path: Path, keyspace: str) -> Migration:
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise SchemaError(
            f"{path.name} in the migrations of {keyspace} is not named like a migration",
            hint="Four digits, _, words in lower case joined by _: 0003_add_gate.cql",
        )
    text = normalise(path.read_text(encoding="utf-8"))
    try:
        statements = tuple(cql.split(text))
        changes = tuple(rules.check(statement, keyspace) for statement in statements)
    except SchemaError as error:
        raise SchemaError(f"{path.name} of {keyspace}, {error.message}", hint=error.hint) from None
    if not statements:
        raise SchemaError(f"{path.name} of {keyspace} holds no statement")
    number = int(match["number"])
    return Migration(keyspace, number, match["name"], checksum(text), statements, changes)


def pending(
    keyspace: str, migrations: Sequence[Migration], records: Mapping[int, Record]
) -> list[Pending]:
    """Decide what is still to be carried out in one keyspace.

    Raises:
        MigrationChangedError: A file is not what was applied under its number.
        SchemaError: A migration was applied that the folder does not have, or one was left out.
    """
    found: list[Pending] = []
    known = {migration.number: migration for migration in migrations}
    for number in sorted(set(records) - set(known)):
        raise _unknown(keyspace, records[number])
    for number, migration in sorted(known.items()):
        record = records.get(number)
        if record is None:
            found.append(Pending(migration))
            continue
        if changed(migration, record):
            raise _changed(migration, record)
        if found:
            raise SchemaError(
                f"{migration.label} was begun before {found[0].migration.label} was finished",
                hint="The record in prefect_ledger.schema_migrations was changed by hand.",
            )
        if record.state != "APPLIED":
            found.append(Pending(migration, record))
    return found


def changed(migration: Migration, record: Record) -> bool:
    """Say whether the file is no longer what was carried out.

    Of a migration that stopped half-way only the finished statements count: the one that was
    refused has to be corrected somehow.
    """
    if record.state == "APPLIED":
        return (migration.checksum, migration.name) != (record.checksum, record.name)
    return migration.done_checksum(record.done) != record.done_checksum


def _changed(migration: Migration, record: Record) -> MigrationChangedError:
    return MigrationChangedError(
        f"{migration.label} changed after it was applied as {record.number:04d}_{record.name}: "
        f"recorded checksum {record.checksum}, file {migration.checksum}",
        hint="Put the file back as it was and write the change as a new migration.",
    )


def _unknown(keyspace: str, record: Record) -> SchemaError:
    return SchemaError(
        f"{keyspace}: migration {record.number:04d}_{record.name} was begun at "
        f"{record.started_at:%Y-%m-%d %H:%M:%S} and is not in the folder",
        hint="An older checkout? Use the one that has the file; applied files are never deleted.",
    )
