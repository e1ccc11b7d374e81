from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.reads.far_dates import FIRST_DAY, LAST_DAY, day_of, spelled


@given(st.integers(-(2**31), 2**31 - 1) | st.integers(-1_000_000, 4_000_000))
def test_a_day_is_spelled_as_others_do_and_found_again(day: int) -> None:
    text = spelled(day)
    # NumPy has no sign before a positive year, and its minus counts as a digit.
    known = str(np.datetime64(day, "D"))
    sign, rest = ("-", known[1:]) if known.startswith("-") else ("+", known)
    year, _, of_year = rest.partition("-")
    assert text == f"{sign}{int(year):04}-{of_year}"
    assert day_of(text) == day


def test_the_years_without_a_sign_are_1_to_9999() -> None:
    assert (spelled(FIRST_DAY), spelled(LAST_DAY)) == ("+0001-01-01", "+9999-12-31")


@pytest.mark.parametrize(
    "text",
    [
        "2013-01-31",
        "+2013-02-29",
        "+2013-13-01",
        "+2013-00-10",
        "+2013-1-31",
        "+12345-04-31",
        "",
        "+",
    ],
)
def test_what_is_no_day_with_a_sign_is_none(text: str) -> None:
    assert day_of(text) is None
