"""Answers that never come while the schema is changed: a real node behind a proxy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from prefect_cassandra.driver.session import Session
from prefect_cassandra.schema import apply, applying, lock, records
from prefect_cassandra.schema.lock import SchemaLock, read_holder
from prefect_cassandra.schema.migrations import read_folder
from prefect_cassandra.schema.records import Recorder
from support.proxy import FaultProxy
from support.schema import TABLE, Ground
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """A session through a proxy that can keep answers back."""

    proxy: FaultProxy
    session: Session

    def lose_answer(self, action: Callable[[], T], happened: Callable[[], object]) -> T:
        """Run `action`, cut the line when what it asked for `happened`, and return what it says."""
        self.proxy.withhold_answers()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(action)
            eventually(happened, within=30)
            self.proxy.cut()
            self.proxy.restore()
            return waiting.result(timeout=60)


@pytest.fixture
def ground(node: Any, superuser: Session, tmp_path: Path) -> Ground:
    made = Ground.make(node.config("superuser"), superuser, tmp_path)
    made.write("0001_first", "a")
    apply(made.config, made.installation)
    return made


@pytest.fixture
def line(ground: Ground) -> Iterator[Line]:
    with FaultProxy((ground.config.contact_points[0], ground.config.port)) as proxy:
        session = Session(replace(ground.config, port=proxy.port))
        session.connect()
        yield Line(proxy, session)
        session.close()


def test_a_record_whose_answer_is_lost_is_found_again(ground: Ground, line: Line) -> None:
    ground.write("0002_second", "b")
    migration = read_folder(ground.folder / "migrations", ground.keyspace)[1]
    line.session.prepare(records._BEGIN)
    with SchemaLock(ground.superuser) as held:
        recorder = Recorder(line.session, held.epoch, "prefect_owner", "here:1")
        recorder.raise_fence(ground.keyspace)
        begun = line.lose_answer(lambda: recorder.begin(migration), lambda: 2 in ground.records())
    assert (begun.runner, begun.attempts, begun.state) == ("here:1", 1, "RUNNING")
    assert ground.records()[2] == begun


def test_a_lock_whose_answer_is_lost_is_held(ground: Ground, line: Line) -> None:
    taken = SchemaLock(line.session)
    before = read_holder(ground.superuser)
    assert before is not None
    line.session.prepare(lock._TAKE)

    def is_taken() -> bool:
        holder = read_holder(ground.superuser)
        return holder is not None and holder.owner == taken.owner

    assert line.lose_answer(lambda: taken._take(before.epoch), is_taken)
    taken.check()
    taken._release()
    assert not is_taken()


def test_a_table_whose_answer_is_lost_is_made_once(ground: Ground, line: Line) -> None:
    cql = TABLE.format(keyspace=ground.keyspace, table="b")
    line.lose_answer(lambda: applying._send(line.session, cql), lambda: "b" in ground.tables())
    assert ground.tables() == {"a", "b"}
