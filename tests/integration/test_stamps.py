"""Blocks of write stamps from a real node."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import (
    NoStampsError,
    OutcomeUnknownError,
    PermissionDeniedError,
    StampClockError,
)
from prefect_cassandra.ledger.blocks import SECOND, Block, moment, to_json
from prefect_cassandra.ledger.chunks import slots_wanted
from prefect_cassandra.ledger.stamps import Clock, StampClock
from prefect_cassandra.ledger.store import CassandraClocks
from prefect_cassandra.schema import apply
from prefect_cassandra.schema.model import LEDGER
from support.schema import Ground
from support.snippets import ROOT
from support.stamps import WHO, asking

PROCESSES, THREADS = 8, 8


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("stamps"))
    apply(made.config, made.installation)
    return made


@pytest.fixture
def flow(ground: Ground) -> Session:
    """A flow's own session: what it may do is enough."""
    return shared_session(ground.role("flow"))


@pytest.fixture
def table() -> str:
    """A table whose clock no other test moves."""
    return f"ks.t_{uuid.uuid4().hex}"


def filed(session: Session, table: str) -> list[dict[str, Any]]:
    """Return the records of a table's blocks that were filed by the hour, in order."""
    rows = session.execute(
        "SELECT * FROM prefect_ledger.stamp_blocks WHERE table_name = ? ALLOW FILTERING", [table]
    ).rows
    return sorted(rows, key=lambda row: row["start"])


def test_a_block_begins_now_and_is_on_record_before_it_is_used(flow: Session, table: str) -> None:
    clock = StampClock(CassandraClocks(flow), table)
    before = datetime.now(UTC)
    block = clock.take(asking("key", chunks=5, provenance=WHO))
    assert abs((moment(block.start) - before).total_seconds()) < 5
    (row,) = filed(flow, table)
    assert (row["start"], row["length"], row["stride"]) == (block.start, 20, 4)
    assert (row["load_key"], row["kind"], row["generation"]) == ("key", "LOAD", 1)
    assert (row["run"], row["task"], row["attempt"]) == (WHO.run, WHO.task, WHO.attempt)
    assert (row["person"], row["source"]) == (WHO.person, WHO.source)
    assert (row["id"], row["created_at"]) == (block.request.id, block.request.created_at)
    assert row["state"] is None
    found = flow.execute(
        "SELECT start, chunk_rows FROM prefect_ledger.load_blocks"
        " WHERE table_name = ? AND load_key = ?",
        [table, "key"],
    ).rows
    assert found == [{"start": block.start, "chunk_rows": 5000}]
    assert clock.take(asking("next")).start >= block.end


def test_processes_that_never_met_go_on_where_the_last_one_stopped(
    flow: Session, table: str
) -> None:
    blocks = [StampClock(CassandraClocks(flow), table).take(asking(f"{n}")) for n in range(4)]
    assert all(a.end <= b.start for a, b in pairwise(blocks))
    assert [block.previous for block in blocks] == [None, *(b.start for b in blocks)][:-1]


class Deaf(Session):
    """Carries a conditional write out and does not hear the answer."""

    def execute(self, cql: str, *arguments: Any, **options: Any) -> Any:
        answer = super().execute(cql, *arguments, **options)
        if " IF " in cql:
            raise OutcomeUnknownError("the answer was lost")
        return answer


def test_lost_answers_cost_no_block(ground: Ground, flow: Session, table: str) -> None:
    deaf = Deaf(ground.role("flow"))
    clock = StampClock(CassandraClocks(deaf), table)
    blocks = [clock.take(asking(f"{n}")) for n in range(3)]
    deaf.close()
    assert [row["start"] for row in filed(flow, table)] == [block.start for block in blocks]


def test_a_block_of_someone_who_died_is_filed_by_the_next(flow: Session, table: str) -> None:
    class Dies(CassandraClocks):
        def file(self, _blocks: Any) -> None:
            raise SystemExit

    with pytest.raises(SystemExit):
        StampClock(Dies(flow), table).take(asking("died", provenance=WHO))
    assert filed(flow, table) == []
    StampClock(CassandraClocks(flow), table).take(asking("next"))
    assert [(row["load_key"], row["run"]) for row in filed(flow, table)] == [
        ("died", WHO.run),
        ("next", ""),
    ]


def test_a_clock_that_someone_set_to_tomorrow_is_an_error(flow: Session, table: str) -> None:
    store = CassandraClocks(flow)
    tomorrow = store.now() + 24 * 3600 * SECOND
    wrong = Block(table, tomorrow, None, asking(provenance=WHO))
    store.move(table, None, Clock(wrong.end, (wrong,)))
    with pytest.raises(StampClockError, match=f"{table} is 86,4.* s ahead.*run {WHO.run}"):
        StampClock(store, table).take(asking())
    assert filed(flow, table) == []


def test_what_a_refused_move_tells_is_what_is_there(flow: Session, table: str) -> None:
    store = CassandraClocks(flow)
    blocks = (Block(table, 1000, None, asking(provenance=WHO)),)
    first = Clock(1012, blocks)
    assert store.read(table) is None
    assert store.move(table, None, first) == (True, first)
    for wrong in (None, Clock(1011, blocks)):
        assert store.move(table, wrong, Clock(2000, blocks)) == (False, first)
    assert store.read(table) == first
    row = flow.execute(
        "SELECT newest FROM prefect_ledger.stamp_clocks WHERE table_name = ?", [table]
    ).one()
    assert row == {"newest": to_json(blocks)}


@pytest.mark.parametrize("role", ["reader", "prefect_state", "prefect_owner"])
def test_roles_that_do_not_load_take_no_stamps(ground: Ground, table: str, role: str) -> None:
    session = shared_session(ground.role(role))
    with pytest.raises(NoStampsError, match="this role may not use the ledger") as raised:
        StampClock(CassandraClocks(session), table).take(asking())
    assert isinstance(raised.value.__cause__, PermissionDeniedError)


def test_the_ledgers_own_role_may(ground: Ground, table: str) -> None:
    session = shared_session(ground.role(LEDGER))
    assert StampClock(CassandraClocks(session), table).take(asking()).previous is None


def test_64_loads_from_8_processes_do_not_overlap(
    ground: Ground, flow: Session, table: str
) -> None:
    with ExitStack() as stack:
        takers = [stack.enter_context(_process(ground, table, f"p{n}")) for n in range(PROCESSES)]
        for one in takers:
            assert one.stdout.readline() == "ready\n"
        for one in takers:
            one.stdin.write("go\n")
            one.stdin.flush()
        taken = [entry for one in takers for entry in json.loads(one.stdout.readline())]
    taken.sort(key=lambda entry: entry[1])
    assert len({key for key, *_ in taken}) == PROCESSES * THREADS
    assert all(a[2] <= b[1] for a, b in pairwise(taken))
    assert [row["start"] for row in filed(flow, table)] == [start for _, start, *_ in taken]


def _process(ground: Ground, table: str, name: str) -> subprocess.Popen[str]:
    about = {
        "contact_points": list(ground.config.contact_points),
        "port": ground.config.port,
        "login": str(ground.secrets / f"{ground.keyspace}_flow"),
        "table": table,
        "name": name,
        "threads": THREADS,
        "chunks": slots_wanted(None, 0, 0),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "support.stamp_taker", json.dumps(about)],
        cwd=ROOT / "tests",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
