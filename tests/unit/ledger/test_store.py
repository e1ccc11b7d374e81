from __future__ import annotations

from typing import Any

import pytest

from prefect_cassandra.errors import ClaimedTableError
from prefect_cassandra.ledger.blocks import Block, to_json
from prefect_cassandra.ledger.stamps import Clock
from prefect_cassandra.ledger.store import MARK_OF_CLAIMS, CassandraClocks
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
