"""What `prefect-cassandra ledger status` finds in the ledger of a real node."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.cli.app import run
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.ledger.blocks import SECOND, Block
from prefect_cassandra.ledger.loads import LoadIdentity
from prefect_cassandra.ledger.opening import open_load
from prefect_cassandra.ledger.overview import open_below, overview, said_of_open
from prefect_cassandra.ledger.stamps import Clock
from prefect_cassandra.ledger.store import CassandraClocks
from prefect_cassandra.ledger.undoing import Content
from prefect_cassandra.schema import apply
from prefect_cassandra.schema.model import LEDGER
from prefect_cassandra.schema.tables import (
    STAMP_TABLES,
    STATEMENT_TABLES,
    TRAIL_TABLES,
    UNDO_TABLES,
)
from support.schema import Ground
from support.stamps import WHO, asking

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("status"))
    apply(made.config, made.installation)
    return made


@pytest.fixture
def table() -> str:
    return f"ks.t_{uuid.uuid4().hex}"


def test_loads_that_are_done_are_counted_and_the_others_named(ground: Ground, table: str) -> None:
    flow = shared_session(ground.role("flow"))
    done = open_load(flow, LoadIdentity(table, "done", WHO), chunk_rows=5, total_rows=10)
    for number in range(2):
        assert done.begin(number, number * 5, 5, b"digest") is not None
        done.done(number)
    done.finish(2, 10)
    left = open_load(flow, LoadIdentity(table, "left", WHO), chunk_rows=5)
    found = overview(shared_session(ground.role(LEDGER)), hours=1, table=table)
    (one,) = found.tables
    assert (one.table, one.blocks, one.chunks, one.rows) == (table, 2, 2, 10)
    assert -60 < one.ahead < 1
    (block,) = one.open
    assert (block.load_key, block.run, block.person) == ("left", WHO.run, WHO.person)
    assert one.next == block.start + 1024 * 4
    assert abs(block.since - datetime.now(UTC)) < timedelta(minutes=1)
    left.finish(0, 0)
    assert overview(flow, hours=1, table=table).tables[0].open == ()


def test_blocks_of_other_hours_are_found_by_what_was_before(ground: Ground, table: str) -> None:
    store = CassandraClocks(shared_session(ground.role("flow")))
    newest = store.now()
    starts = [newest - hours * 3600 * SECOND for hours in (50, 3, 2, 0)]
    before, clock = None, None
    for start in starts:
        block = Block(table, start, before, asking(f"{start}"))
        after = Clock(block.end, (block,))
        assert store.move(table, clock, after)[0]
        before, clock = start, after
        # The newest is left as a taker leaves it that died before it filed its block.
        if start != newest:
            store.file([block])
    for hours, count in ((2.5, 1), (4, 2), (60, 3)):
        (one,) = overview(store.session, hours=hours, table=table).tables
        assert [block.start for block in one.open] == starts[:3][-count:][::-1]


def test_older_loads_that_may_still_write_are_named(ground: Ground, table: str) -> None:
    flow = shared_session(ground.role("flow"))
    loads = {
        key: open_load(flow, LoadIdentity(table, key, WHO), chunk_rows=5)
        for key in ("done", "left", "undone", "later")
    }
    loads["done"].finish(0, 0)
    contents = [loads["undone"].content, Content("ks.never_written", "key", 1)]
    found = open_below(flow, contents, timedelta(hours=1))
    assert {name: [one.load_key for one in blocks] for name, blocks in found.items()} == {
        table: ["left"]
    }
    (line,) = said_of_open(found)
    assert f"{table}: the load 'left' of run {WHO.run} began before what is undone" in line
    both = [loads["left"].content, loads["undone"].content]
    assert open_below(flow, both, timedelta(hours=1)) == {}


def test_sizes_are_those_of_all_tables_that_loads_and_statements_use(ground: Ground) -> None:
    disk = overview(shared_session(ground.role("superuser")), hours=1).disk
    assert disk.keys() == {
        *STAMP_TABLES,
        *TRAIL_TABLES,
        *STATEMENT_TABLES,
        *UNDO_TABLES,
    }


def test_the_command_shows_it(
    ground: Ground, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = shared_session(ground.role("flow"))
    open_load(flow, LoadIdentity(table, "a key", WHO), chunk_rows=5)
    where = [
        *("--contact-points", ground.config.contact_points[0]),
        *("--port", str(ground.config.port)),
        *("--login-folder", str(ground.secrets / "superuser"), "--table", table),
    ]
    assert run(["ledger", "status", *where]) == 0
    shown = capsys.readouterr().out
    assert table in shown
    assert "a key" in shown
    assert "MiB on this node" in shown
    assert run(["ledger", "status", *where, "--output", "json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["tables"]
    assert (one["blocks"], one["open"][0]["load_key"]) == (1, "a key")
