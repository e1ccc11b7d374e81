from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.ledger.blocks import LONGEST
from prefect_cassandra.ledger.chunks import (
    ChunkRecord,
    LoadBlock,
    Step,
    chain,
    decide,
    digest_of,
    missing_at_end,
    slots_wanted,
)

if TYPE_CHECKING:
    from prefect_cassandra.ledger.chunks import ChunkState

ME, OTHER, THIRD = (uuid.UUID(int=n) for n in (1, 2, 3))
OURS, THEIRS = b"ours", b"theirs"


def record(digest: bytes, owner: uuid.UUID, state: ChunkState, number: int = 0) -> ChunkRecord:
    return ChunkRecord(number, digest, owner, 100, 0, 5, state)


@pytest.mark.parametrize(
    ("found", "step", "other"),
    [
        ([], Step.SEND, None),
        # An earlier attempt had the same content: what it finished is skipped, the rest sent again.
        ([record(OURS, OTHER, "DONE")], Step.SKIP, None),
        ([record(OURS, OTHER, "BEGUN")], Step.SEND, None),
        ([record(OURS, OTHER, "BEGUN"), record(OURS, THIRD, "DONE")], Step.SKIP, None),
        ([record(OURS, ME, "BEGUN")], Step.SEND, None),
        # Other content counts as soon as it may have been sent.
        ([record(THEIRS, OTHER, "DONE")], Step.REFUSE, THEIRS),
        ([record(THEIRS, OTHER, "BEGUN")], Step.REFUSE, THEIRS),
        ([record(OURS, THIRD, "DONE"), record(THEIRS, OTHER, "BEGUN")], Step.REFUSE, THEIRS),
        # What was refused was never sent.
        ([record(THEIRS, OTHER, "REFUSED")], Step.SEND, None),
        ([record(OURS, OTHER, "REFUSED")], Step.SEND, None),
        ([record(THEIRS, OTHER, "REFUSED"), record(OURS, THIRD, "DONE")], Step.SKIP, None),
    ],
)
def test_what_an_attempt_does_with_a_chunk(
    found: list[ChunkRecord], step: Step, other: bytes | None
) -> None:
    assert decide(OURS, found, ME) == (step, other)
    assert decide(OURS, found[::-1], ME) == (step, other)


def block(start: int, first_chunk: int = 0, chunks: int = 4, generation: int = 1) -> LoadBlock:
    length = chunks * 4
    return LoadBlock(generation, start, length, 4, first_chunk, 5, uuid.UUID(int=start))


@pytest.mark.parametrize(
    ("blocks", "starts"),
    [
        ([], []),
        ([block(100)], [100]),
        # Of attempts that ran at the same time the one with the lowest stamps is everyone's.
        ([block(300), block(100), block(200)], [100]),
        ([block(100), block(200, first_chunk=4)], [100, 200]),
        ([block(100), block(300, first_chunk=4), block(200, first_chunk=4)], [100, 200]),
        # Behind a block that does not count nothing counts.
        ([block(100), block(200, chunks=7), block(300, first_chunk=7)], [100]),
        # New content leaves the old blocks behind, however many there were.
        ([block(100), block(200, first_chunk=4), block(300, generation=2)], [300]),
        (
            [block(300, generation=2), block(400, first_chunk=4, generation=2), block(100)],
            [300, 400],
        ),
    ],
)
def test_which_blocks_of_a_load_count(blocks: list[LoadBlock], starts: list[int]) -> None:
    assert [one.start for one in chain(blocks)] == starts


@pytest.mark.parametrize(
    ("total", "taken", "blocks", "wanted"),
    [
        (1, 0, 0, 1),
        (207, 0, 0, 207),
        (1_000_000, 0, 0, 100_000),
        (130_000, 100_000, 1, 30_000),
        # Streams: little at first, then as much as anyone may have.
        (None, 0, 0, 1_024),
        (None, 1_024, 1, 32_768),
        (None, 33_792, 2, 100_000),
        (None, 133_792, 3, 100_000),
        # A count that turned out too low.
        (5, 5, 1, 32_768),
    ],
)
def test_how_much_room_a_block_has(total: int | None, taken: int, blocks: int, wanted: int) -> None:
    assert slots_wanted(total, taken, blocks) == wanted <= LONGEST


def test_three_transactions_are_enough_for_six_hundred_million_rows() -> None:
    taken = 0
    for blocks in range(3):
        taken += slots_wanted(None, taken, blocks)
    assert taken * 5_000 > 600_000_000


@pytest.mark.parametrize(("chunks", "beyond"), [(0, 0), (1, 1), (2, 2), (3, None), (4, None)])
def test_rows_that_an_earlier_attempt_had_beyond_the_end_are_found(
    chunks: int, beyond: int | None
) -> None:
    found = [record(OURS, OTHER, "DONE", number) for number in (2, 0, 1)]
    found.append(record(THEIRS, OTHER, "REFUSED", 3))
    one = missing_at_end(chunks, found)
    assert (one.number if one else None) == beyond


def test_a_chunk_has_its_stamp_in_the_blocks_order() -> None:
    one = replace(block(1000, first_chunk=7), stride=6, length=24)
    assert [one.slot(number) for number in (7, 8, 10)] == [1000, 1006, 1018]
    assert one.next_chunk == 11


def test_a_digest_is_that_of_lengths_and_bytes() -> None:
    expected = hashlib.sha256()
    for part in (b"about", b"abc", b"", b"\0\1\0\2"):
        expected.update(len(part).to_bytes(8, "big") + part)
    numbers = np.array([1, 2], ">i2")
    assert digest_of("about", [b"abc", memoryview(b""), numbers]) == expected.digest()


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_digests_are_equal_exactly_when_every_buffer_is(
    one: list[bytes], other: list[bytes]
) -> None:
    assert (digest_of("a", one) == digest_of("a", other)) == (one == other)
