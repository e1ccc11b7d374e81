from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import MigrationChangedError, SchemaError
from prefect_cassandra.schema.migrations import Migration, Record, pending, read_folder

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "CREATE TABLE IF NOT EXISTS app.t{} (a int PRIMARY KEY);\n"


def write(folder: Path, **files: str) -> list[Migration]:
    for name, text in files.items():
        (folder / f"{name.removeprefix('_')}.cql").write_bytes(text.encode())
    return read_folder(folder, "app")


def record(migration: Migration, **changes: Any) -> Record:
    done = changes.pop("done", len(migration.statements))
    values: dict[str, Any] = {
        "number": migration.number,
        "name": migration.name,
        "checksum": migration.checksum,
        "statements": len(migration.statements),
        "done": done,
        "done_checksum": migration.done_checksum(done),
        "state": "APPLIED" if done == len(migration.statements) else "RUNNING",
        "started_at": datetime(2026, 1, 2, tzinfo=UTC),
        "applied_at": None,
        "applied_by": "prefect_owner",
        "duration_ms": None,
        "package_version": "0.1.0",
        "epoch": 1,
        "runner": "host:1",
        "attempts": 1,
    }
    return Record(**(values | changes))


def test_read_folder_returns_the_files_in_order(tmp_path: Path) -> None:
    found = write(tmp_path, _0002_b=TABLE.format(2) + TABLE.format(3), _0001_a=TABLE.format(1))
    assert [(m.label, len(m.statements)) for m in found] == [("app/0001_a", 1), ("app/0002_b", 2)]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"_0002_a": TABLE.format(1)}, "0002 follows a gap, 0001 was expected"),
        ({"_0001_a": TABLE.format(1), "_0003_c": TABLE.format(3)}, "0003 follows a gap"),
        ({"_0001_a": TABLE.format(1), "_0001_b": TABLE.format(2)}, "0001 is there twice"),
        ({"_0001-a": TABLE.format(1)}, "not named like a migration"),
        ({"_1_a": TABLE.format(1)}, "not named like a migration"),
        ({"_0001_A": TABLE.format(1)}, "not named like a migration"),
        ({"_0001_a": "-- nothing"}, "holds no statement"),
        ({"_0001_a": "DROP TABLE app.t;"}, "0001_a.cql of app, line 1: DROP TABLE"),
    ],
)
def test_read_folder_refuses_wrong_numbers_names_and_contents(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        write(tmp_path, **files)


def test_read_folder_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="does not exist"):
        read_folder(tmp_path / "nowhere", "app")


def test_checksum_is_the_same_with_other_line_ends_and_differs_with_other_words(
    tmp_path: Path,
) -> None:
    text = "-- why\n" + TABLE.format(1)
    sums = set()
    for number, variant in enumerate(
        [text, text.replace("\n", "\r\n"), "\ufeff" + text, text[:-1]]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        sums.add(write(folder, _0001_a=variant)[0].checksum)
    assert len(sums) == 1
    assert write(tmp_path, _0001_a=text.replace("why", "how"))[0].checksum not in sums


def test_pending_returns_what_was_never_begun(tmp_path: Path) -> None:
    first, second = write(tmp_path, _0001_a=TABLE.format(1), _0002_b=TABLE.format(2))
    assert [item.migration for item in pending("app", [first, second], {})] == [first, second]
    (item,) = pending("app", [first, second], {1: record(first)})
    assert (item.migration, item.done, item.record) == (second, 0, None)


def test_pending_goes_on_behind_the_statements_that_are_done(tmp_path: Path) -> None:
    (migration,) = write(tmp_path, _0001_a=TABLE.format(1) + TABLE.format(2))
    (item,) = pending("app", [migration], {1: record(migration, done=1)})
    assert item.done == 1


def test_pending_refuses_a_changed_file_and_names_both_checksums(tmp_path: Path) -> None:
    (before,) = write(tmp_path, _0001_a=TABLE.format(1))
    (after,) = write(tmp_path, _0001_a=TABLE.format(2))
    with pytest.raises(MigrationChangedError) as raised:
        pending("app", [after], {1: record(before)})
    assert before.checksum in str(raised.value)
    assert after.checksum in str(raised.value)


def test_pending_refuses_a_renamed_file(tmp_path: Path) -> None:
    (migration,) = write(tmp_path, _0001_a=TABLE.format(1))
    with pytest.raises(MigrationChangedError, match="0001_old"):
        pending("app", [migration], {1: record(migration, name="old")})


def test_pending_lets_the_refused_statement_be_corrected_but_not_the_finished_one(
    tmp_path: Path,
) -> None:
    (before,) = write(tmp_path, _0001_a=TABLE.format(1) + TABLE.format(2))
    stopped = {1: record(before, done=1)}
    (corrected,) = write(tmp_path, _0001_a=TABLE.format(1) + TABLE.format(3))
    assert pending("app", [corrected], stopped)[0].done == 1
    (rewritten,) = write(tmp_path, _0001_a=TABLE.format(4) + TABLE.format(2))
    with pytest.raises(MigrationChangedError):
        pending("app", [rewritten], stopped)


def test_pending_refuses_an_applied_migration_the_folder_does_not_have(tmp_path: Path) -> None:
    first, second = write(tmp_path, _0001_a=TABLE.format(1), _0002_b=TABLE.format(2))
    with pytest.raises(SchemaError, match=r"0002_b .* is not in the folder"):
        pending("app", [first], {1: record(first), 2: record(second)})


def test_pending_refuses_a_record_behind_a_missing_one(tmp_path: Path) -> None:
    first, second = write(tmp_path, _0001_a=TABLE.format(1), _0002_b=TABLE.format(2))
    with pytest.raises(SchemaError, match="begun before app/0001_a was finished"):
        pending("app", [first, second], {2: record(second)})
