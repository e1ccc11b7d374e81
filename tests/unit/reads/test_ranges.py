from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.reads.ranges import HIGHEST, LOWEST, TokenRange, token_ranges

TOKENS = st.integers(LOWEST, HIGHEST)


@given(st.lists(TOKENS, max_size=64), st.integers(1, 300))
def test_token_ranges_hold_every_token_once(ring: list[int], pieces: int) -> None:
    ranges = token_ranges(ring, pieces)
    assert ranges[0].start == LOWEST
    assert ranges[-1].end == HIGHEST
    for before, after in pairwise(ranges):
        assert before.end == after.start
    assert all(one.start < one.end for one in ranges)


@given(st.lists(TOKENS, max_size=64))
def test_token_ranges_never_cross_a_nodes_token(ring: list[int]) -> None:
    ranges = token_ranges(ring, 7)
    for token in ring:
        assert not any(one.start < token < one.end for one in ranges)


def test_token_ranges_reach_the_number_asked_for() -> None:
    assert len(token_ranges([], 64)) == 64
    assert len(token_ranges([0], 64)) >= 64


def test_halves_cover_the_range() -> None:
    assert TokenRange(LOWEST, HIGHEST).halves() == (
        TokenRange(LOWEST, -1),
        TokenRange(-1, HIGHEST),
    )
    assert TokenRange(4, 5).halves() is None
