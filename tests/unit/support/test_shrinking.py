from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from support.shrinking import smallest

if TYPE_CHECKING:
    from collections.abc import Sequence


@settings(max_examples=40)
@given(st.lists(st.integers(0, 40), unique=True, max_size=20), st.data())
def test_what_is_left_is_what_the_failure_needs(steps: list[int], data: st.DataObject) -> None:
    needed = set(data.draw(st.lists(st.sampled_from(steps)))) if steps else set()
    left = smallest(steps, lambda case: needed <= set(case), tries=10_000)
    assert left == [step for step in steps if step in needed]


def test_it_gives_up_in_time_and_returns_a_case_that_fails() -> None:
    runs = 0

    def fails(case: Sequence[int]) -> bool:
        nonlocal runs
        runs += 1
        return {3, 17} <= set(case)

    left = smallest(range(20), fails, tries=6)
    assert runs == 6
    assert {3, 17} <= set(left)
