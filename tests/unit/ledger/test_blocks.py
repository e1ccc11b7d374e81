from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.ledger.blocks import (
    LEAD,
    LONGEST,
    RESTORED,
    SPARE,
    STRIDE,
    UNDONE,
    WRITTEN,
    Block,
    from_json,
    hour_of,
    moment,
    to_json,
)
from support.stamps import NOON, TABLE, WHO, asking


def test_each_chunk_has_a_slot_of_its_own_in_order() -> None:
    block = Block(TABLE, NOON, None, asking(chunks=3, first_chunk=10, stride=5))
    assert [block.slot(number) for number in (10, 11, 12)] == [NOON, NOON + 5, NOON + 10]
    assert (block.end, block.next_chunk) == (NOON + 15, 13)


def test_what_undoing_writes_lies_between_a_write_and_the_next_one() -> None:
    assert WRITTEN < UNDONE < RESTORED < SPARE < STRIDE


@pytest.mark.parametrize("number", [9, 13])
def test_a_chunk_of_another_block_has_no_slot_here(number: int) -> None:
    block = Block(TABLE, NOON, None, asking(chunks=3, first_chunk=10))
    with pytest.raises(ValueError, match=f"chunk {number} has no slot in the block at {NOON}"):
        block.slot(number)


@pytest.mark.parametrize(
    ("chunks", "stride"), [(0, 4), (-1, 4), (1, 3), (1, 0), (LONGEST + 1, 4), (LEAD // 8 + 1, 8)]
)
def test_a_block_that_cannot_be_is_refused(chunks: int, stride: int) -> None:
    with pytest.raises(ConfigurationError, match="no block has"):
        asking(chunks=chunks, stride=stride)


def test_the_longest_block_is_as_long_as_the_clock_may_run_ahead() -> None:
    assert asking(chunks=LONGEST).length == LEAD


def test_a_block_comes_back_from_the_clocks_cell_as_it_went() -> None:
    blocks = (
        Block(TABLE, NOON, None, asking("a", provenance=WHO)),
        Block(TABLE, NOON + 12, NOON, asking("ü/7", generation=3, first_chunk=9, kind="DELETE")),
    )
    assert from_json(TABLE, to_json(blocks)) == blocks


def test_what_a_later_version_adds_to_a_block_is_left_out() -> None:
    block = Block(TABLE, NOON, None, asking(provenance=WHO))
    (plain,) = json.loads(to_json([block]))
    plain["colour"] = plain["provenance"]["colour"] = "blue"
    assert from_json(TABLE, json.dumps([plain])) == (block,)


@given(st.integers(0, 4_000_000_000_000_000))
def test_a_stamp_lies_in_its_hour(stamp: int) -> None:
    hour = hour_of(stamp)
    assert (hour.minute, hour.second, hour.microsecond, hour.tzinfo) == (0, 0, 0, UTC)
    assert 0 <= (moment(stamp) - hour).total_seconds() < 3600


def test_stamps_are_microseconds_since_1970() -> None:
    assert moment(1_785_000_000_123_456) == datetime(2026, 7, 25, 17, 20, 0, 123456, tzinfo=UTC)
