"""Loads that are kept in the ledger: taken up again, done once, replaced."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import ContentChangedError, NoStampsError
from prefect_cassandra.ledger.chunks import digest_of
from prefect_cassandra.schema import apply
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.sources import CHUNK_ROWS
from prefect_cassandra.writes.stamped import Stamped
from support.schema import Ground
from support.snippets import ROOT
from support.stamped_loader import rows
from support.stamps import WHO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.writes.report import LoadReport

ROWS = 5 * CHUNK_ROWS + 7
_TABLES = 16


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("kept"))
    tables = [
        f"CREATE TABLE IF NOT EXISTS {made.keyspace}.t{number} "
        "(p int, k int, v text, PRIMARY KEY (p, k));\n"
        for number in range(_TABLES)
    ]
    tables.append(
        f"CREATE TABLE IF NOT EXISTS {made.keyspace}.lists (p int PRIMARY KEY, l list<int>);\n"
    )
    made.write("0001_tables", text="".join(tables))
    apply(made.config, made.installation)
    return made


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few rows be many chunks."""
    monkeypatch.setattr("prefect_cassandra.writes.stamped._MOST_ROWS", CHUNK_ROWS)


@dataclass
class Target:
    """A table that no other test uses, and one load of it."""

    session: Session
    table: str
    stamped: Stamped

    def load(self, data: object, **options: Any) -> LoadReport:
        stamped = replace(self.stamped, **options)
        return load(self.session, self.table, data, LoadOptions(stamped=stamped))

    def cells(self) -> dict[int, tuple[str, int]]:
        query = f"SELECT k, v, writetime(v) AS stamp FROM {self.table}"  # noqa: S608 -- our own
        return {row["k"]: (row["v"], row["stamp"]) for row in self.session.execute(query)}

    def values(self) -> dict[int, str]:
        return {key: value for key, (value, _) in self.cells().items()}


_tables = iter(range(_TABLES))


@pytest.fixture
def target(ground: Ground) -> Target:
    session = shared_session(ground.role("flow"))
    key = uuid.uuid4().hex
    return Target(session, f"{ground.keyspace}.t{next(_tables)}", Stamped(key, WHO))


def expected(count: int, value: str = "value") -> dict[int, str]:
    return {number: f"{value} {number}" for number in range(count)}


def batches(table: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def test_a_load_that_was_done_is_skipped_and_said_to_be(target: Target) -> None:
    first = target.load(rows(0, ROWS))
    assert (first.stamped, first.rows, first.skipped_rows) == (True, ROWS, 0)
    before = target.cells()
    again = target.load(rows(0, ROWS))
    assert (again.rows, again.skipped_chunks, again.skipped_rows) == (0, 6, ROWS)
    assert "25,007 skipped: an earlier attempt has written them" in str(again)
    assert target.cells() == before
    # The rows of a chunk share its stamp, and chunks stand in the order of the input.
    assert sorted({stamp for _, stamp in before.values()}) == [
        min(before.values(), key=lambda cell: cell[1])[1] + 4 * number for number in range(6)
    ]


@pytest.mark.parametrize("size", [700, CHUNK_ROWS - 1, 12_345])
def test_the_size_of_the_pieces_does_not_matter(target: Target, size: int) -> None:
    target.load(rows(0, ROWS))
    again = target.load(batches(rows(0, ROWS), size))
    assert (again.rows, again.skipped_rows) == (0, ROWS)


def test_small_pieces_make_chunks_that_are_worth_it(target: Target) -> None:
    target.load(batches(rows(0, 2 * CHUNK_ROWS), 100))
    assert len({stamp for _, stamp in target.cells().values()}) == 2
    assert target.values() == expected(2 * CHUNK_ROWS)


@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_a_killed_load_goes_on_where_it_was(ground: Ground, target: Target, killed_at: int) -> None:
    about = {
        "contact_points": list(ground.config.contact_points),
        "port": ground.config.port,
        "login": str(ground.secrets / f"{ground.keyspace}_flow"),
        "table": target.table,
        "key": target.stamped.key,
        "batches": 6,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "support.stamped_loader", json.dumps(about)],
        cwd=ROOT / "tests",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for number in range(killed_at + 1):
            assert child.stdout.readline() == f"{number}\n"
            if number < killed_at:
                child.stdin.write("go\n")
                child.stdin.flush()
        child.kill()
    before = target.cells()
    report = target.load(rows(0, 6 * CHUNK_ROWS))
    assert target.values() == expected(6 * CHUNK_ROWS)
    after = target.cells()
    assert {key: after[key] for key in before} == before
    # What was said to be done is not sent again; of the last chunk it would be said with the next.
    assert report.skipped_chunks == killed_at - 1
    assert report.rows + report.skipped_rows == 6 * CHUNK_ROWS


def test_a_list_is_not_loaded_at_stamps_because_a_repeat_would_double_it(
    ground: Ground, target: Target
) -> None:
    table = f"{ground.keyspace}.lists"
    lists = pa.table({"p": pa.array([1], pa.int32()), "l": pa.array([[1, 2]])})
    with pytest.raises(NoStampsError, match="has the list l"):
        load(target.session, table, lists, LoadOptions(stamped=target.stamped))
    for _ in range(2):
        kept = replace(target.stamped, optional=True)
        assert not load(target.session, table, lists, LoadOptions(stamped=kept)).stamped
    (row,) = target.session.execute(f"SELECT l FROM {table}")  # noqa: S608 -- our own
    assert row["l"] == [1, 2]


def test_what_is_written_after_a_load_wins_on_a_machine_that_is_behind(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr("cassandra.timestamps.time", SimpleNamespace(time=lambda: now() - 3600))
    target.load(rows(0, 10))
    update = f"UPDATE {target.table} SET v = ? WHERE p = 0 AND k = 3"  # noqa: S608 -- our own
    target.session.execute(update, ["after"])
    assert target.values()[3] == "after"


def test_other_content_is_refused_and_nothing_of_the_chunk_sent(target: Target) -> None:
    target.load(rows(0, ROWS))
    before = target.cells()
    changed = pa.concat_tables([rows(0, 6_000), rows(6_000, 6_001, "new"), rows(6_001, ROWS)])
    with pytest.raises(ContentChangedError, match="chunk 1 has sha256"):
        target.load(changed)
    assert target.cells() == before
    with pytest.raises(ContentChangedError, match="a generator can be read only once"):
        target.load(batches(changed, 1000), replace=True)
    assert target.cells() == before


def test_other_content_is_written_whole_when_that_is_said(target: Target) -> None:
    target.load(rows(0, ROWS))
    last = max(stamp for _, stamp in target.cells().values())
    report = target.load(rows(0, ROWS, "new"), replace=True)
    assert (report.rows, report.skipped_rows) == (ROWS, 0)
    assert target.values() == expected(ROWS, "new")
    assert min(stamp for _, stamp in target.cells().values()) > last
    again = target.load(lambda: batches(rows(0, ROWS, "new"), 999), replace=True)
    assert again.skipped_rows == ROWS


def test_without_a_ledger_a_load_fails_or_goes_on_without_stamps(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "prefect_cassandra.ledger.load_store._BLOCKS",
        "SELECT id FROM prefect_ledger.no_such_table WHERE table_name = ? AND load_key = ?",
    )
    with pytest.raises(NoStampsError, match="keeps no write stamps"):
        target.load(rows(0, 10))
    assert target.cells() == {}
    report = target.load(rows(0, 10), optional=True)
    assert (report.rows, report.stamped) == (10, False)


def test_rows_that_are_rejected_are_no_part_of_the_content(target: Target) -> None:
    keys = pa.array([1, None, 3], pa.int32())
    table = pa.table({"p": pa.array([0, 0, 0], pa.int32()), "k": keys, "v": ["a", "b", "c"]})
    options = LoadOptions(on_error="reject", stamped=target.stamped)
    for skipped in (0, 2):
        report = load(target.session, target.table, table, options)
        assert (report.rejected, report.skipped_rows) == (1, skipped)
        assert report.rows + report.rejected + report.skipped_rows == 3
    assert target.values() == {1: "a", 3: "c"}


def test_the_digest_that_is_kept_is_sha256_of_the_encoded_columns(target: Target) -> None:
    number = pa.array([7], pa.int32())
    target.load(pa.table({"p": number, "k": number, "v": ["é"]}))
    (row,) = target.session.execute(
        "SELECT start FROM prefect_ledger.load_blocks WHERE table_name = ? AND load_key = ?",
        [target.table, target.stamped.key],
    )
    (chunk,) = target.session.execute(
        "SELECT digest, rows FROM prefect_ledger.load_chunks WHERE table_name = ? AND start = ?",
        [target.table, row["start"]],
    )
    number_column = [b"", b"\0\0\0\7"]
    content = [*number_column, *number_column, b"", b"\2\0\0\0", "é".encode()]
    assert chunk == {"digest": digest_of("unset\np int\nk int\nv text", content), "rows": 1}
