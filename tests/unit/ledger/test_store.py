from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from prefect_cassandra.errors import ClaimedTableError
from prefect_cassandra.ledger import store
from prefect_cassandra.ledger.blocks import EPOCH, Block, to_json
from prefect_cassandra.ledger.stamps import Clock
from prefect_cassandra.ledger.store import MARK_OF_CLAIMS, CassandraClocks, DatabaseTime
from support.stamps import NOON, TABLE, asking

BLOCK = Block(TABLE, NOON, None, asking())


class Answered:
    """Answers every statement with one row, and keeps what was asked."""

    def __init__(self, row: dict[str, Any] | None, *, applied: bool | None = None) -> None:
        self.row = row
        self.applied = applied
        self.asked: list[dict[str, Any]] = []

    def execute(self, _cql: str, _parameters: Any, **options: Any) -> Answered:
        self.asked.append(options)
        return self

    def one(self) -> dict[str, Any] | None:
        return self.row


def clocks(session: Any) -> CassandraClocks:
    return CassandraClocks(session)


def test_a_clock_is_moved_by_all_datacenters_whatever_the_session_does() -> None:
    session = Answered(None, applied=True)
    after = Clock(BLOCK.end, (BLOCK,))
    assert clocks(session).move(TABLE, None, after) == (True, after)
    assert clocks(session).move(TABLE, after, after) == (True, after)
    assert [asked["serial_consistency"] for asked in session.asked] == ["SERIAL", "SERIAL"]


def test_a_clock_comes_back_as_it_went() -> None:
    session = Answered({"next": BLOCK.end, "newest": to_json([BLOCK])})
    assert clocks(session).read(TABLE) == Clock(BLOCK.end, (BLOCK,))
    assert clocks(Answered(None)).read(TABLE) is None


def test_a_table_for_claims_has_no_clock_to_read_or_to_move() -> None:
    marked = {"next": None, "newest": MARK_OF_CLAIMS}
    with pytest.raises(ClaimedTableError, match=f"{TABLE} is for claims"):
        clocks(Answered(marked)).read(TABLE)
    with pytest.raises(ClaimedTableError, match=f"{TABLE} is for claims"):
        clocks(Answered(marked, applied=False)).move(TABLE, None, Clock(BLOCK.end, (BLOCK,)))


class Slept:
    """The `time` of a machine that slept: only one of its clocks has noticed."""

    def __init__(self) -> None:
        self.asleep = 0.0

    def monotonic(self) -> float:
        return 1000.0

    def clock_gettime(self, clock: int) -> float:
        return 1000.0 + (self.asleep if clock == time.CLOCK_BOOTTIME else 0.0)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="a clock of Linux")
def test_the_databases_time_goes_on_while_the_machine_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept = Slept()
    monkeypatch.setattr(store, "time", slept)
    session: Any = Told()
    now = DatabaseTime(session)
    first = now()
    slept.asleep = 30.0
    assert now() - first == 30_000_000
    slept.asleep = 8 * 3600.0
    now()
    assert session.asked == 2, "the starting point is too old"


class Told:
    """A session with a node that tells the time."""

    def __init__(self) -> None:
        self.asked = 0

    def execute(self, _cql: str, **_options: Any) -> Answered:
        self.asked += 1
        return Answered({"now": EPOCH + timedelta(microseconds=NOON)})
