from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.ledger.blocks import Block
from prefect_cassandra.ledger.chunks import ChunkRecord
from prefect_cassandra.ledger.lookup import ChunkAttempt
from prefect_cassandra.trail.verdict import Place, Proof, judge, place_of
from support.stamps import NOON, TABLE, asking

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = 4711


class Holding:
    """A filter that has these keys and no others."""

    def __init__(self, *keys: int) -> None:
        self.keys = keys

    def might_hold(self, key: int) -> bool:
        return key in self.keys


def attempt(state: Any = "DONE", digest: bytes = b"a", number: int = 1) -> ChunkAttempt:
    record = ChunkRecord(7, digest, uuid.uuid4(), NOON, 0, 10, state)
    return ChunkAttempt(record, f"run {number}", number)


@pytest.mark.parametrize(
    ("place", "attempts", "filters", "key", "undone", "proof"),
    [
        (None, [], [], KEY, False, Proof.NOT_OURS),
        # A block has it, but no chunk ever used the slot.
        (Place(7, 0), [], [], KEY, False, Proof.NOT_OURS),
        (Place(7, 0), [attempt("REFUSED")], [Holding(KEY)], KEY, False, Proof.NOT_OURS),
        # A chunk used the slot, with its filter or without.
        (Place(7, 0), [attempt()], [Holding(KEY)], KEY, False, Proof.PROVEN),
        (Place(7, 0), [attempt("BEGUN")], [Holding(KEY)], KEY, False, Proof.PROVEN),
        (Place(7, 0), [attempt()], [], KEY, False, Proof.BY_STAMP),
        (Place(7, 0), [attempt()], [Holding(1)], KEY, False, Proof.NOT_OURS),
        # Two contents were sent: with one filter gone, the other's no is not enough.
        (
            *(Place(7, 0), [attempt(), attempt("BEGUN", b"b")], [Holding(1)]),
            *(KEY, False, Proof.BY_STAMP),
        ),
        (
            *(Place(7, 0), [attempt(), attempt("BEGUN", b"b")], [Holding(1), Holding(KEY)]),
            *(KEY, False, Proof.PROVEN),
        ),
        # Between two slots nobody writes, but an undoing.
        (Place(7, 1), [attempt()], [Holding(KEY)], KEY, True, Proof.NOT_OURS),
        (Place(7, 2), [attempt()], [Holding(KEY)], KEY, False, Proof.NOT_OURS),
        (Place(7, 2), [attempt()], [Holding(KEY)], KEY, True, Proof.PROVEN),
        (Place(7, 2), [attempt()], [], KEY, True, Proof.BY_STAMP),
        (Place(7, 3), [attempt()], [Holding(KEY)], KEY, True, Proof.NOT_OURS),
    ],
)
def test_whose_a_stamp_is(  # noqa: PLR0913 -- a row of the table
    *,
    place: Place | None,
    attempts: Sequence[ChunkAttempt],
    filters: Sequence[Holding],
    key: int,
    undone: bool,
    proof: Proof,
) -> None:
    found = judge(place, attempts, filters, key, undone=undone)
    assert found.proof is proof
    assert found.why
    assert (found.writer is None) == (proof is Proof.NOT_OURS)


def test_the_attempt_that_has_the_chunk_done_is_named_else_the_latest() -> None:
    begun, done, later = attempt("BEGUN", number=1), attempt("DONE", number=2), attempt("BEGUN")
    later = ChunkAttempt(later.record, "run 3", 3)
    assert judge(Place(7, 0), [begun, done, later], [], KEY).writer is done
    assert judge(Place(7, 0), [later, begun], [], KEY).writer is later


@given(st.integers(1, 1000), st.integers(0, 10_000), st.integers(4, 9), st.data())
def test_a_stamp_lies_where_its_chunk_has_its_slot(
    chunks: int, first: int, stride: int, data: st.DataObject
) -> None:
    block = Block(TABLE, NOON, None, asking(chunks=chunks, first_chunk=first, stride=stride))
    stamp = data.draw(st.integers(block.start, block.end - 1))
    place = place_of(block, stamp)
    assert block.slot(place.number) + place.offset == stamp
    assert 0 <= place.offset < stride
