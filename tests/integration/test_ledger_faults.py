"""Loads whose process is killed, stopped or wrong about the time, on a real node."""

from __future__ import annotations

import itertools
import os
import signal
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.store import DatabaseTime
from prefect_cassandra.ledger.undoing import CassandraUndoings, Content, Counts
from prefect_cassandra.schema import apply
from prefect_cassandra.writes import stamped
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.sources import CHUNK_ROWS
from prefect_cassandra.writes.stamped import Stamped
from support.load_nursery import Loader, Nursery
from support.proxy import FaultProxy
from support.schema import Ground
from support.stamped_loader import rows
from support.stamps import WHO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.ledger.chunks import LoadBlock
    from prefect_cassandra.writes.report import LoadReport

CHUNKS = 6
ROWS = CHUNKS * CHUNK_ROWS
BYTES = 40 * ROWS
"""Less than a load of so many rows sends."""
SECOND = 1_000_000
HOUR = 3_600

_places = itertools.count(1)


@pytest.fixture(scope="module")
def ground(node: Any, superuser: Session, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path_factory.mktemp("faults"))
    table = f"{made.keyspace}.t (p int, k int, v text, PRIMARY KEY (p, k))"
    made.write("0001_table", text=f"CREATE TABLE IF NOT EXISTS {table};\n")
    apply(made.config, made.installation)
    return made


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as started:
        yield started


@dataclass
class Target:
    """Rows that no other test writes, and a load of them."""

    ground: Ground
    session: Session
    first: int = field(default_factory=lambda: next(_places) * 1_000_000)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def table(self) -> str:
        return f"{self.ground.keyspace}.t"

    @property
    def address(self) -> tuple[str, int]:
        (host,) = self.ground.config.contact_points
        return host, self.ground.config.port

    def loader(self, address: tuple[str, int] | None = None, **about: Any) -> Loader:
        """Return the same load for a process of its own."""
        about = {"stop": ROWS} | about
        about["stop"] += self.first
        login = str(self.ground.secrets / f"{self.ground.keyspace}_flow")
        host, port = address or self.address
        return Loader(host, port, login, self.table, self.key, self.first, **about)

    def load(self, stop: int = ROWS, value: str = "value", **options: Any) -> LoadReport:
        data = rows(self.first, self.first + stop, value)
        kept = Stamped(self.key, WHO, **options)
        return load(self.session, self.table, data, LoadOptions(stamped=kept))

    def cells(self) -> dict[int, tuple[str, int]]:
        """Return value and write time by row number, from 0."""
        query = f"SELECT k, v, WRITETIME(v) AS stamp FROM {self.table} WHERE p IN ?"  # noqa: S608
        partitions = list(range(self.first // 1_000, (self.first + ROWS) // 1_000))
        found = self.session.execute(query, [partitions], fetch_size=5_000)
        return {row["k"] - self.first: (row["v"], row["stamp"]) for row in found}

    def values(self) -> dict[int, str]:
        return {key: value for key, (value, _) in self.cells().items()}

    def expected(self, value: str = "value", stop: int = ROWS) -> dict[int, str]:
        return {number: f"{value} {self.first + number}" for number in range(stop)}

    def blocks(self) -> list[LoadBlock]:
        found = CassandraLoads(self.session).blocks(self.table, self.key)
        return sorted(found, key=lambda block: block.start)

    def done(self) -> set[int]:
        """Return the chunks that are said to be done."""
        records = CassandraLoads(self.session)
        return {
            chunk.number
            for block in self.blocks()
            for chunk in records.chunks(self.table, block.start)
            if chunk.state == "DONE"
        }


@pytest.fixture
def target(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(stamped, "_MOST_ROWS", CHUNK_ROWS)
    return Target(ground, shared_session(ground.role("flow")))


def killed_and_rerun(target: Target, nursery: Nursery, seed: int) -> None:
    """Kill a loader when it has sent some number of bytes, and run the load again."""
    rng = Random(seed)  # noqa: S311 -- test data
    with FaultProxy(target.address) as proxy:
        number = nursery.start(target.loader((proxy.host, proxy.port)))
        proxy.wait_sent(rng.randrange(10_000, BYTES), timeout=60)
        os.kill(number, signal.SIGKILL)
    before, done = target.cells(), target.done()
    report = target.load()
    assert target.values() == target.expected(), f"seed {seed}"
    after = target.cells()
    assert {key: after[key] for key in before} == before, f"seed {seed}"
    # The killed one's last record may have come after it was looked for.
    assert len(done) <= report.skipped_chunks <= len(done) + 1, f"seed {seed}"
    assert report.rows == ROWS - report.skipped_chunks * CHUNK_ROWS, f"seed {seed}"
    assert len(target.blocks()) == 1, f"seed {seed}"


@pytest.mark.parametrize("seed", range(3))
def test_a_load_killed_anywhere_is_finished_by_the_next(
    target: Target, nursery: Nursery, seed: int
) -> None:
    killed_and_rerun(target, nursery, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3, 23))
def test_twenty_more_loads_killed_anywhere(target: Target, nursery: Nursery, seed: int) -> None:
    killed_and_rerun(target, nursery, seed)


def test_two_processes_at_one_load_write_the_same_cells(target: Target, nursery: Nursery) -> None:
    numbers = [nursery.start(target.loader()) for _ in range(2)]
    assert [nursery.outcome(number) for number in numbers] == ["done", "done"]
    assert target.values() == target.expected()
    used = [block for block in target.blocks() if block.state == "DONE"]
    assert len(used) == 1
    stamps = {used[0].slot(number) for number in range(CHUNKS)}
    assert {stamp for _, stamp in target.cells().values()} == stamps
    assert target.load().rows == 0


@pytest.mark.parametrize("sent", [0.1, 0.5, 0.9])
def test_a_loader_that_was_stopped_and_replaced_changes_nothing(
    target: Target, nursery: Nursery, sent: float
) -> None:
    with FaultProxy(target.address) as proxy:
        number = nursery.start(target.loader((proxy.host, proxy.port), value="old"))
        proxy.wait_sent(int(sent * BYTES), timeout=60)
        os.kill(number, signal.SIGSTOP)
        kept = ROWS - CHUNK_ROWS // 2
        assert target.load(kept, "new", replace=True).rows == kept
        os.kill(number, signal.SIGCONT)
        assert nursery.outcome(number) == "SupersededError"
    # The rows that only the old content had are gone, the woken one's own among them.
    assert target.values() == target.expected("new", kept)
    assert [block.state for block in target.blocks()] == ["REPLACED", "DONE"]


@pytest.mark.parametrize("skew", [HOUR, -HOUR])
def test_a_machine_whose_clock_is_an_hour_wrong_loads_like_any_other(
    target: Target, nursery: Nursery, skew: float
) -> None:
    now = DatabaseTime(target.session)
    before = now()
    wrong = nursery.start(target.loader(value="old", skew=skew))
    assert nursery.outcome(wrong) == "done"
    stamps = {stamp for _, stamp in target.cells().values()}
    # No stamp is more than half a second ahead of the nodes' time.
    assert before <= min(stamps) <= max(stamps) < now() + SECOND // 2
    assert target.load(value="old").rows == 0
    # A machine that is wrong the other way round replaces the rows, and a right one knows them.
    other = nursery.start(target.loader(value="new", replace=True, skew=-skew))
    assert nursery.outcome(other) == "done"
    assert target.values() == target.expected("new")
    assert [block.state for block in target.blocks()] == ["REPLACED", "DONE"]
    assert target.load(value="new").rows == 0


def test_what_a_machine_that_is_ahead_owes_can_be_settled_by_any(target: Target) -> None:
    target.load(CHUNK_ROWS)
    content = Content(target.table, target.key, 1)
    with closing(Session(target.ground.role("flow"))) as ahead:
        ahead.write_after(DatabaseTime(ahead)() + HOUR * SECOND)
        CassandraUndoings(ahead).begin(content, "REPLACED")
    undoings = CassandraUndoings(target.session)
    undoings.end(content, "REPLACED", Counts())
    assert undoings.of_load(target.table, target.key)[1].state == "DONE"
    assert content not in {one.content for one in undoings.owed(target.table)}


def test_a_load_begun_with_a_wrong_clock_is_finished_with_another(
    target: Target, nursery: Nursery
) -> None:
    for skew in (HOUR, -HOUR):
        with FaultProxy(target.address) as proxy:
            number = nursery.start(target.loader((proxy.host, proxy.port), skew=skew))
            proxy.wait_sent(BYTES // 3, timeout=60)
            os.kill(number, signal.SIGKILL)
    done = target.done()
    assert target.load().skipped_chunks >= len(done)
    assert target.values() == target.expected()
