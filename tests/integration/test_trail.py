"""Who wrote what, asked of a real node's cells and ledger."""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from prefect_cassandra.cli.app import run as run_command
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import NoStampsError
from prefect_cassandra.ledger.blocks import RESTORED, SECOND, Block, Provenance
from prefect_cassandra.ledger.loads import LoadIdentity
from prefect_cassandra.ledger.lookup import block_at, blocks_of_run, chunks_of
from prefect_cassandra.ledger.opening import open_load
from prefect_cassandra.ledger.stamps import StampClock
from prefect_cassandra.ledger.store import CassandraClocks
from prefect_cassandra.ledger.undoing import CassandraUndoings, Content, Counts
from prefect_cassandra.reads.changes import From, commit_changes, read_changes
from prefect_cassandra.schema import apply
from prefect_cassandra.trail.verdict import Proof
from prefect_cassandra.trail.who import who_wrote
from prefect_cassandra.trail.writers import Writers
from prefect_cassandra.trail.written import written_by
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.sources import CHUNK_ROWS
from prefect_cassandra.writes.stamped import Stamped
from prefect_cassandra.writes.statements import StampedStatement, write
from support.schema import Ground
from support.stamps import asking

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.trail.report import Writer

KEYS, COLUMNS = 8_000, ("a", "b", "c")
TABLES = """
CREATE TABLE IF NOT EXISTS {keyspace}.cells (p int, k int, a text, b text, c text,
 PRIMARY KEY (p, k));
CREATE TYPE IF NOT EXISTS {keyspace}.point (x int, y int);
CREATE TABLE IF NOT EXISTS {keyspace}.many (p int, k text, shared text static, tags set<text>,
 counts map<text, int>, at point, fixed frozen<list<int>>, price decimal, PRIMARY KEY (p, k));
CREATE TABLE IF NOT EXISTS {keyspace}.loads (p int PRIMARY KEY, v text);
CREATE TABLE IF NOT EXISTS {keyspace}.followed (p int PRIMARY KEY, v text, tags set<text>);
"""


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("trail"))
    made.write("0001_tables", text=made.say(TABLES))
    apply(made.config, made.installation)
    return made


@pytest.fixture
def flow(ground: Ground) -> Session:
    return shared_session(ground.role("flow"))


@pytest.fixture
def table() -> str:
    """A table whose clock no other test moves."""
    return f"ks.t_{uuid.uuid4().hex}"


def provenance(run: str, **more: str) -> Provenance:
    about = {"task": f"task of {run}", "version": "v3-abc", "image": "registry/flows@sha256:feed"}
    return Provenance(run=run, attempt=2, source=f"s3://bucket/{run}.csv", **(about | more))


def test_the_blocks_of_a_run_and_of_a_stamp_are_found(flow: Session, table: str) -> None:
    run, other = uuid.uuid4().hex, f"{table}_too"
    clock = StampClock(CassandraClocks(flow), table)
    first = clock.take(asking("first", provenance=provenance(run)))
    clock.take(asking("of another run", provenance=provenance("another")))
    clock.take(asking("of nobody"))
    last = clock.take(asking("last", chunks=7, provenance=provenance(run)))
    there = StampClock(CassandraClocks(flow), other).take(asking(provenance=provenance(run)))
    assert blocks_of_run(flow, run) == [first, last, there]
    assert blocks_of_run(flow, run, table) == [first, last]
    assert blocks_of_run(flow, "no such run") == blocks_of_run(flow, "") == []
    for stamp in (last.start, last.start + 1, last.end - 1):
        assert block_at(flow, table, stamp) == last
    for stamp in (last.end, first.start - 1, -5, 0, 10**17, -(10**18), 2**63 - 1):
        assert block_at(flow, table, stamp) is None


def test_a_block_that_reaches_into_the_next_hour_is_found_there(flow: Session, table: str) -> None:
    hour = 3600 * SECOND
    start = 1_700_000_000_000_000 // hour * hour - 6
    block = Block(table, start, None, asking(chunks=3))
    CassandraClocks(flow).file([block])
    for stamp in (start, start + 6, start + 11):
        assert block_at(flow, table, stamp) == block
    assert block_at(flow, table, start + 12) is None


def test_a_run_that_died_before_its_block_was_filed_wrote_nothing(
    flow: Session, table: str
) -> None:
    run = uuid.uuid4().hex
    flow.execute(
        "INSERT INTO prefect_ledger.run_blocks (run, table_name, start) VALUES (?, ?, ?)",
        [run, table, 1_700_000_000_000_000],
    )
    assert blocks_of_run(flow, run) == []


def test_a_thousand_cells_of_five_runs_and_of_others(
    ground: Ground, flow: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every value says itself who wrote it, so whoever wins, what is found can be compared."""
    monkeypatch.setattr("prefect_cassandra.writes.stamped._MOST_ROWS", CHUNK_ROWS)
    table, chance = f"{ground.keyspace}.cells", random.Random(20130704)  # noqa: S311 -- guards nothing
    stamps: list[int] = []
    for turn in range(2):
        for number in range(5):
            run = f"run {number}"
            key = f"{run}/{turn}"
            keys = chance.sample(range(KEYS), CHUNK_ROWS + 700)
            rows: dict[str, Any] = {"p": [k // 100 for k in keys], "k": keys}
            for column in chance.sample(COLUMNS, 2):
                rows[column] = [f"{run}|{key}|{row}" for row in range(len(keys))]
            load(flow, table, pa.table(rows), kept(key, provenance(run)))
            block = blocks_of_run(flow, run, table)[-1]
            stamps += [one.record.slot for one in chunks_of(flow, table, block.start)]
    # Between the stamps of a chunk, behind the last one of a block, and wherever the time is.
    latest = max(stamps)
    wrong = [stamp + offset for stamp in stamps for offset in (1, 2, 3)]
    others = [*wrong, latest + 4, latest + 400, latest + 5_000_000, 1, 0, 4_000_000_000_000_000_000]
    insert = f"INSERT INTO {table} (p, k, a, c) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"  # noqa: S608 -- our own
    foreign = [
        [k // 100, k, "foreign", "foreign", chance.choice(others)]
        for k in chance.sample(range(KEYS), 1_500)
    ]
    flow.execute_many(insert, foreign)
    writers, cells, seen = Writers(flow, table), 0, set()
    for k in chance.sample(range(KEYS), 400):
        found = who_wrote(flow, table, {"p": k // 100, "k": k}, writers=writers)
        for cell in found.cells:
            if cell.writer is not None:
                cells += 1
                seen.add(said(cell.value, cell.writer))
    assert cells >= 1_000
    assert seen == {*(f"run {number}" for number in range(5)), "foreign"}


def said(value: str, writer: Writer) -> str:
    """Check a writer against the value, which says who it is; returns who."""
    if value == "foreign":
        assert writer.proof is Proof.NOT_OURS
        assert writer.run == ""
        return value
    run, key, row = value.split("|")
    assert writer.proof is Proof.PROVEN
    assert (writer.run, writer.load_key, writer.attempt) == (run, key, 2)
    assert (writer.task, writer.source) == (f"task of {run}", f"s3://bucket/{run}.csv")
    assert (writer.version, writer.image) == ("v3-abc", "registry/flows@sha256:feed")
    assert writer.first_row is not None
    assert writer.rows is not None
    assert writer.first_row <= int(row) < writer.first_row + writer.rows
    return run


def kept(key: str, who: Provenance) -> LoadOptions:
    """Return the options of a load that keeps filters of its keys."""
    return LoadOptions(stamped=Stamped(key, who, keep_filters=timedelta(days=1)))


def test_a_filter_tells_a_row_of_ours_from_a_foreign_one_at_the_same_stamp(
    ground: Ground, flow: Session
) -> None:
    table = f"{ground.keyspace}.loads"
    rows = pa.table({"p": pa.array(range(100), pa.int32()), "v": ["ours"] * 100})
    load(flow, table, rows, kept("filtered", provenance("filtered")))
    (block,) = blocks_of_run(flow, "filtered")
    insert = f"INSERT INTO {table} (p, v) VALUES (?, 'foreign') USING TIMESTAMP ?"  # noqa: S608 -- our own
    flow.execute_many(insert, [[p, block.start] for p in range(100, 200)])
    writers = Writers(flow, table)

    def proofs(keys: range) -> list[Proof]:
        found = [who_wrote(flow, table, {"p": p}, writers=writers) for p in keys]
        return [one.writers("v")[0].proof for one in found]

    assert set(proofs(range(100))) == {Proof.PROVEN}
    # A filter takes one foreign key in about 120 for its own.
    assert proofs(range(100, 200)).count(Proof.NOT_OURS) > 90
    flow.execute(
        "DELETE FROM prefect_ledger.key_filters WHERE table_name = ? AND start = ? AND number = 0",
        [table, block.start],
    )
    (later,) = who_wrote(flow, table, {"p": 5}).writers("v")
    assert (later.proof, later.run) == (Proof.BY_STAMP, "filtered")


def test_elements_fields_statics_and_seconds_to_live_each_have_their_writer(
    ground: Ground, flow: Session
) -> None:
    table = f"{ground.keyspace}.many"
    tags = [["b", "a"]]
    counts = pa.array([[("x", 1)]], pa.map_(pa.string(), pa.int32()))
    row = {
        "p": [1],
        "k": ["é"],
        "shared": ["all"],
        "tags": tags,
        "counts": counts,
        "price": ["1.50"],
    }
    row["fixed"] = [[1, 2]]
    load(flow, table, pa.table(row), kept("many", provenance("many")))
    where = "WHERE p = 1 AND k = 'é'"
    flow.execute(f"UPDATE {table} SET tags = tags + {{'c'}}, counts['y'] = 2 {where}")  # noqa: S608 -- our own
    flow.execute(f"UPDATE {table} USING TTL 5000 SET at = {{x: 1, y: 2}} {where}")  # noqa: S608 -- our own
    found = who_wrote(flow, table, {"p": 1, "k": "é"})
    told = {
        (one.column, one.elements): one.writer.proof if one.writer else None for one in found.cells
    }
    assert told == {
        ("shared", ()): Proof.PROVEN,
        ("tags", ("a", "b")): Proof.PROVEN,
        ("tags", ("c",)): Proof.NOT_OURS,
        ("counts", ("x",)): Proof.PROVEN,
        ("counts", ("y",)): Proof.NOT_OURS,
        ("at", ("x", "y")): Proof.NOT_OURS,
        ("fixed", ()): Proof.PROVEN,
        ("price", ()): Proof.PROVEN,
    }
    texts = {one.column: one.text for one in found.cells}
    assert (texts["tags"], texts["price"]) == ('["a","b","c"]', "1.50")
    lives = {one.column: one.expires_in for one in found.cells}
    assert lives["price"] is None
    assert 4_000 < (lives["at"] or 0) <= 5_000
    (shared,) = who_wrote(flow, table, {"p": 1}).cells
    assert (shared.column, shared.static, shared.value) == ("shared", True, "all")
    assert shared.writer is not None
    assert (shared.writer.proof, shared.writer.run) == (Proof.PROVEN, "many")


def test_rows_of_which_nobody_can_tell(ground: Ground, flow: Session) -> None:
    table = f"{ground.keyspace}.loads"
    flow.execute(f"INSERT INTO {table} (p) VALUES (-1)")  # noqa: S608 -- our own
    keys_only = who_wrote(flow, table, {"p": -1})
    assert keys_only.found
    assert "keys have no write time" in keys_only.note
    assert [one.writer for one in keys_only.cells] == [None]
    missing = who_wrote(flow, table, {"p": -2})
    assert not missing.found
    assert "no such row" in missing.note


def test_a_deleted_row_names_the_statement_and_its_run(ground: Ground, flow: Session) -> None:
    table = f"{ground.keyspace}.loads"
    who, window = provenance("deleting"), timedelta(days=2)
    wanted = StampedStatement(lambda content: f"deleting/{content}", who, window)
    assert write(flow, f"INSERT INTO {table} (p, v) VALUES (?, 'x')", [[601], [602]], wanted)  # noqa: S608 -- our own
    (inserted,) = who_wrote(flow, table, {"p": 601}).writers("v")
    assert (inserted.proof, inserted.kind, inserted.run) == (Proof.PROVEN, "INSERT", "deleting")
    assert write(flow, f"DELETE FROM {table} WHERE p = ?", [[601]], wanted)  # noqa: S608 -- our own
    found = who_wrote(flow, table, {"p": 601}, window=window)
    assert (found.found, found.cells) == (False, ())
    (deletion,) = found.deletions
    assert (deletion.writer.proof, deletion.writer.kind) == (Proof.PROVEN, "DELETE")
    assert (deletion.writer.run, deletion.writer.attempt) == ("deleting", 2)
    assert deletion.statement.startswith("DELETE")
    assert who_wrote(flow, table, {"p": 602}, window=window).deletions == ()
    assert [one.kind for one in written_by(flow, run="deleting")] == ["INSERT", "DELETE"]


def test_what_a_run_and_a_person_wrote(ground: Ground, flow: Session) -> None:
    table, person = f"{ground.keyspace}.loads", f"someone {uuid.uuid4().hex}"
    run = uuid.uuid4().hex
    who = provenance(run, person=person)
    before = datetime.now(UTC) - timedelta(minutes=1)
    for part in range(2):
        rows = pa.table(
            {"p": pa.array(range(1000, 1010 + part), pa.int32()), "v": ["x"] * (10 + part)}
        )
        load(flow, table, rows, kept(f"{run}/{part}", who))
    # A block that nobody used, and a chunk of a load that is not done.
    clock = StampClock(CassandraClocks(flow), table)
    clock.take(asking(f"{run}/unused", provenance=who))
    left = open_load(flow, LoadIdentity(table, f"{run}/left", who), chunk_rows=5)
    left.begin(0, 0, 5, b"digest")
    found = written_by(flow, run=run)
    assert [(one.state, one.chunks, one.rows) for one in found] == [
        ("DONE", 1, 10),
        ("DONE", 1, 11),
        ("OPEN", 1, 5),
    ]
    assert {(one.table, one.person, one.image) for one in found} == {(table, person, who.image)}
    assert written_by(flow, person=person, since=before) == found
    assert written_by(flow, person=person, since=before, table="ks.other") == []
    assert written_by(flow, person=person, since=datetime.now(UTC) + timedelta(hours=1)) == []
    assert written_by(flow, person=person) == found
    assert written_by(flow, run="no such run") == []
    left.finish(1, 5)


def test_the_command_says_it(
    ground: Ground, flow: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    table, run = f"{ground.keyspace}.loads", uuid.uuid4().hex
    rows = pa.table({"p": pa.array([77], pa.int32()), "v": ["by the command"]})
    load(flow, table, rows, kept(run, provenance(run)))
    where = [
        *("--contact-points", ground.config.contact_points[0]),
        *("--port", str(ground.config.port)),
        *("--login-folder", str(ground.secrets / f"{ground.keyspace}_flow")),
    ]
    assert run_command(["who", table, "p=77", *where]) == 0
    shown = capsys.readouterr().out
    assert "by the command" in shown
    assert "proven" in shown
    assert f"run         {run}" in shown
    assert run_command(["who", table, "p=77", *where, "--output", "json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    assert (cell["value"], cell["writer"]["run"]) == ("by the command", run)
    assert run_command(["who", "--run", run, *where, "--output", "json"]) == 0
    assert [one["rows"] for one in json.loads(capsys.readouterr().out)] == [1]
    assert run_command(["who", table, "p=-78", *where]) == 1
    assert run_command(["who", table, "v=x", *where]) == 2
    assert "'v' is no column of the primary key" in capsys.readouterr().err


def test_a_role_that_may_not_read_the_ledger_is_told_so(ground: Ground, flow: Session) -> None:
    table = f"{ground.keyspace}.loads"
    flow.execute(f"INSERT INTO {table} (p, v) VALUES (-3, 'x')")  # noqa: S608 -- our own
    with pytest.raises(NoStampsError, match="may not use the ledger"):
        who_wrote(shared_session(ground.role("reader")), table, {"p": -3})


def test_changes_are_followed_and_nothing_is_passed_over(ground: Ground, flow: Session) -> None:
    table = f"{ground.keyspace}.followed"

    def write(key: str, first: int, stop: int) -> None:
        keys = pa.array(range(first, stop), pa.int32())
        rows = pa.table({"p": keys, "v": [key] * len(keys), "tags": [[key]] * len(keys)})
        load(flow, table, rows, kept(f"followed/{key}", provenance(f"run of {key}")))

    def changed(start: From) -> dict[int, str]:
        found = read_changes(flow, table, start).rows.to_pylist()
        return {row["p"]: row["v"] for row in found}

    cursor = From(cursor="downstream")
    assert read_changes(flow, table, cursor).upto == 0
    write("a", 0, 10)
    assert changed(cursor) == changed(From(0)) == dict.fromkeys(range(10), "a")
    taken = read_changes(flow, table, cursor)
    assert changed(cursor) == dict.fromkeys(range(10), "a"), "nobody said that they were taken"
    commit_changes(flow, taken)
    assert changed(cursor) == {}
    write("b", 8, 12)
    # Under way, and behind it another load that is done.
    waiting = LoadIdentity(table, "followed/c", provenance("run of c"))
    left = open_load(flow, waiting, chunk_rows=5)
    write("d", 11, 14)
    held = read_changes(flow, table, cursor)
    assert held.held_by is not None
    assert held.held_by.request.provenance.run == "run of c"
    # What is delivered comes as it is now; only which rows come is as of the stamp.
    assert {row["p"] for row in held.rows.to_pylist()} == {8, 9, 10}
    commit_changes(flow, held)
    commit_changes(flow, taken)  # somebody slow: a cursor never goes back
    assert changed(cursor) == {}
    assert changed(From(held.upto)) == {}
    left.finish(0, 0)
    assert changed(cursor) == dict.fromkeys(range(11, 14), "d")
    last = read_changes(flow, table, cursor)
    assert last.held_by is None
    assert {row["writetime(row)"] for row in last.rows.to_pylist()} == {
        block.start for block in blocks_of_run(flow, "run of d")
    }


def test_a_load_that_died_holds_changes_up_until_it_is_undone(
    ground: Ground, flow: Session
) -> None:
    table = f"{ground.keyspace}.followed"
    open_load(flow, LoadIdentity(table, "died", provenance("died")), chunk_rows=5)
    before = read_changes(flow, table, From(0))
    assert before.held_by is not None
    assert before.held_by.request.load_key == "died"
    undoings, content = CassandraUndoings(flow), Content(table, "died", 1)
    undoings.begin(content, "UNDO", person="someone")
    assert read_changes(flow, table, From(0)).held_by is not None
    undoings.end(content, "UNDO", Counts())
    after = read_changes(flow, table, From(0))
    assert after.held_by is None
    assert after.upto > before.upto


def test_a_restored_value_names_the_undoing(ground: Ground, flow: Session) -> None:
    table, key = f"{ground.keyspace}.loads", "restored"
    rows = pa.table({"p": pa.array([501, 502], pa.int32()), "v": ["new", "new"]})
    load(flow, table, rows, kept(key, provenance("undone")))
    (block,) = blocks_of_run(flow, "undone")
    insert = f"INSERT INTO {table} (p, v) VALUES (?, 'old') USING TIMESTAMP ?"  # noqa: S608 -- our own
    flow.execute(insert, [501, block.start + RESTORED])
    (stranger,) = who_wrote(flow, table, {"p": 501}).writers("v")
    assert stranger.proof is Proof.NOT_OURS
    CassandraUndoings(flow).begin(Content(table, key, 1), "UNDO", person="someone")
    (restored,) = who_wrote(flow, table, {"p": 501}).writers("v")
    assert restored.proof is Proof.PROVEN
    assert "brought back when the load was undone by someone at 20" in restored.why
