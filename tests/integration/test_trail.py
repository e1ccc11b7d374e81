"""Who wrote what, asked of a real node's cells and ledger."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.ledger.blocks import SECOND, Block, Provenance
from prefect_cassandra.ledger.lookup import block_at, blocks_of_run, chunks_of
from prefect_cassandra.ledger.stamps import StampClock
from prefect_cassandra.ledger.store import CassandraClocks
from prefect_cassandra.schema import apply
from prefect_cassandra.trail.verdict import Proof
from prefect_cassandra.trail.who import who_wrote
from prefect_cassandra.trail.writers import Writers
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.sources import CHUNK_ROWS
from prefect_cassandra.writes.stamped import Stamped
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
    table, chance = f"{ground.keyspace}.cells", random.Random(20130704)
    stamps: list[int] = []
    for turn in range(2):
        for number in range(5):
            run = f"run {number}"
            key = f"{run}/{turn}"
            keys = chance.sample(range(KEYS), CHUNK_ROWS + 700)
            rows: dict[str, Any] = {"p": [k // 100 for k in keys], "k": keys}
            for column in chance.sample(COLUMNS, 2):
                rows[column] = [f"{run}|{key}|{row}" for row in range(len(keys))]
            stamped = Stamped(key, provenance(run))
            load(flow, table, pa.table(rows), LoadOptions(stamped=stamped))
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
    assert writer.proof is not Proof.NOT_OURS
    assert (writer.run, writer.load_key, writer.attempt) == (run, key, 2)
    assert (writer.task, writer.source) == (f"task of {run}", f"s3://bucket/{run}.csv")
    assert (writer.version, writer.image) == ("v3-abc", "registry/flows@sha256:feed")
    assert writer.first_row is not None
    assert writer.rows is not None
    assert writer.first_row <= int(row) < writer.first_row + writer.rows
    return run
