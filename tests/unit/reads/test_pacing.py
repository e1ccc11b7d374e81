from __future__ import annotations

from itertools import pairwise

from prefect_cassandra.reads.pacing import PageSize, Patience, Step


def test_pages_of_wide_rows_get_few_rows() -> None:
    size = PageSize()
    size.learn(1_000, 10_000_000)
    assert 50 <= size.rows <= 200
    for _ in range(10):
        size.learn(100, 4_000)
    assert size.rows > 1_000


def test_the_first_page_is_small_and_pages_grow_with_what_was_measured() -> None:
    size = PageSize()
    asked = []
    for _ in range(8):
        asked.append(size.rows)
        size.learn(asked[-1], 100 * asked[-1])
    assert asked[0] * (1 << 20) <= 16 << 20  # bytes, of rows of a megabyte
    assert all(before < after <= 4 * before for before, after in pairwise(asked[:6]))
    assert asked[-1] == 10_000


def test_a_few_narrow_rows_do_not_ask_for_thousands_of_wide_ones() -> None:
    size = PageSize()
    size.learn(8, 80)
    assert size.rows <= 32


def test_a_row_larger_than_a_page_is_read_by_itself() -> None:
    size = PageSize()
    size.learn(2, 50_000_000)
    assert size.rows == 1


def test_empty_pages_teach_nothing() -> None:
    size = PageSize()
    before = size.rows
    size.learn(0, 4)
    assert size.rows == before


def test_pages_are_halved_before_the_range_is_cut_and_a_culprit_is_named() -> None:
    patience = Patience()
    steps = [patience.step() for _ in range(40)]
    assert steps[:4] == [Step.SMALLER, Step.SMALLER, Step.SMALLER, Step.SPLIT]
    # Halving and cutting end: nobody waits for ever.
    assert steps[-1] is Step.GIVE_UP
    assert steps.index(Step.GIVE_UP) < 30


def test_a_page_that_comes_restores_patience() -> None:
    patience = Patience()
    for _ in range(3):
        patience.step()
    patience.answered()
    assert patience.step() is Step.SMALLER


def test_pauses_grow_and_stay_bounded() -> None:
    patience = Patience()
    pauses = []
    for _ in range(20):
        patience.step()
        pauses.append(patience.pause)
    assert all(before <= after or after >= 1 for before, after in pairwise(pauses))
    assert max(pauses) <= 2
