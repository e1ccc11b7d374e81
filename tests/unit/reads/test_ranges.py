from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.reads.ranges import HIGHEST, LOWEST, TokenRange, splits, token_ranges

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


NODES = st.sampled_from([("a",), ("b",), ("a", "b"), ("c",)])


@st.composite
def rings(draw: st.DrawFn) -> dict[int, tuple[str, ...]]:
    """One node, many virtual nodes, tokens side by side, tokens at both ends."""
    start = draw(st.sampled_from([LOWEST, -3, HIGHEST - 300]))
    side_by_side = range(start, start + draw(st.sampled_from([0, 1, 16, 256])))
    tokens = [*draw(st.lists(TOKENS, max_size=48)), *side_by_side]
    return {token: draw(NODES) for token in tokens}


@given(rings(), st.integers(1, 300))
def test_splits_hold_every_token_once(ring: dict[int, tuple[str, ...]], wanted: int) -> None:
    ranges = sorted(one for split in splits(ring, wanted) for one in split.ranges)
    assert ranges[0].start == LOWEST
    assert ranges[-1].end == HIGHEST
    assert all(before.end == after.start for before, after in pairwise(ranges))
    assert all(one.start < one.end for one in ranges)


@given(rings(), st.integers(1, 300))
def test_a_split_lies_on_the_nodes_it_names(ring: dict[int, tuple[str, ...]], wanted: int) -> None:
    tokens = sorted(ring)
    for split in splits(ring, wanted):
        for one in split.ranges:
            owner = next((token for token in tokens if token >= one.end), None)
            first = tokens[0] if tokens else None
            held = owner if owner is not None else first
            assert split.replicas == (ring[held] if held is not None else ())


def test_small_ranges_of_the_same_nodes_share_a_split() -> None:
    ring = {HIGHEST // 300 * n: ("a", "b")[n % 2 :][:1] for n in range(-256, 256)}
    assert len(splits(ring, 8)) <= 12


def test_one_node_with_many_tokens_is_cut_evenly() -> None:
    found = splits({n * 2**55 + n: ("a",) for n in range(-100, 100)}, 8)
    assert len(found) == 8
    assert {len(split.ranges) for split in found} == {1}


def test_splits_take_from_each_set_of_nodes_in_turn() -> None:
    ring = {-(2**62): ("a",), 0: ("b",), 2**62: ("a",)}
    assert {split.replicas for split in splits(ring, 8)[:2]} == {("a",), ("b",)}
