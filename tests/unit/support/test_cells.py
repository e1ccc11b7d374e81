"""The model of cells by itself; that it is what Cassandra does is shown on a real node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.cell_writes import Write, random_write, ttl_given
from support.cells import Cell, Partition, newer

if TYPE_CHECKING:
    import random

NOW = 1_800_000_000


def written(*writes: Write) -> Partition:
    model = Partition()
    for write in writes:
        write.apply(model, NOW)
    return model


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_neither_order_nor_repeats_change_what_is_seen(rng: random.Random, count: int) -> None:
    writes = [random_write(rng, rng.randrange(1, 6), rng.choice((0, 0, 50))) for _ in range(count)]
    again = [*writes, *rng.choices(writes, k=3)]
    rng.shuffle(again)
    for now in (NOW, NOW + 100):
        assert written(*writes).seen(now) == written(*again).seen(now)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Cell(2, "a"), Cell(1, "b")),
        (Cell(1, None), Cell(1, "b")),
        (Cell(1, "a", 5, NOW), Cell(1, "b")),
        (Cell(1, None), Cell(1, "a", 5, NOW)),
        (Cell(1, "a", 6, NOW), Cell(1, "b", 5, NOW)),
        (Cell(1, "b"), Cell(1, "a")),
        (Cell(1, "a"), Cell(1, "")),
        (Cell(1, "é"), Cell(1, "z")),
        # Bytes are compared without sign, so that -1 is greater than 1.
        (Cell(1, -1), Cell(1, 1)),
    ],
)
def test_which_of_two_writes_stays(one: Cell, other: Cell) -> None:
    assert newer(one, other) == newer(other, one) == one
    assert newer(None, other) == other


@pytest.mark.parametrize(
    ("writes", "seen"),
    [
        ([Write("insert", 3, 0)], {0: {}}),
        ([Write("insert", 3, 0), Write("row", 2, 0)], {0: {}}),
        ([Write("insert", 3, 0), Write("row", 3, 0)], {}),
        ([Write("update", 3, 0, {"v": None})], {}),
        (
            [Write("update", 3, 0, {"v": "a"}), Write("range", 3, 1, last=2)],
            {0: {"v": ("a", 3, 0)}},
        ),
        ([Write("update", 3, 1, {"v": "a"}), Write("range", 3, 1, last=2)], {}),
        ([Write("static", 3, values={"s": "a"}), Write("row", 4)], {None: {"s": ("a", 3, 0)}}),
        ([Write("static", 3, values={"s": "a"}), Write("partition", 3)], {}),
        # A set that is written as a whole leaves what has the same time and takes what is older.
        (
            [
                Write("update", 3, 0, {"tags": frozenset("x")}),
                Write("add", 3, 0, {"tags": frozenset("y")}),
                Write("add", 2, 0, {"tags": frozenset("z")}),
            ],
            {0: {"tags": {"x": (3, 0), "y": (3, 0)}}},
        ),
        ([Write("add", 3, 0, {"tags": frozenset("y")}), Write("cells", 3, 0, {"tags": None})], {}),
        ([Write("insert", 3, 0, {"v": "a"}, ttl=10)], {}),
    ],
)
def test_what_is_seen_of_writes(writes: list[Write], seen: object) -> None:
    assert written(*writes).seen(NOW + 10) == seen


def test_the_ttl_that_was_given_is_told_from_what_is_left() -> None:
    assert [ttl_given(left) for left in (20_000, 19_999, 10_001)] == [20_000] * 3
