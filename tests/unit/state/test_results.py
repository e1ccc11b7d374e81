from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.errors import DataError
from prefect_cassandra.state.access import LONGEST_KEY, check_key
from prefect_cassandra.state.results import Version, next_number

moments = st.integers(min_value=1, max_value=2**62)
versions = st.builds(
    Version, number=moments, writer=st.uuids(), parts=st.integers(0, 512), written=moments
)


@given(now=moments, seen=st.lists(versions, max_size=5))
def test_a_new_version_beats_all_that_were_seen_whatever_the_time(
    now: int, seen: list[Version]
) -> None:
    number = next_number(now, seen)
    assert number >= now
    assert all(number > one.number and number > one.written for one in seen)


def test_a_new_version_is_numbered_by_the_time_where_that_is_enough() -> None:
    old = Version(5, uuid.uuid4(), 0, 7)
    assert next_number(100, []) == 100
    assert next_number(100, [old]) == 100
    assert next_number(7, [old]) == 8


@pytest.mark.parametrize("key", ["k", "a/b c", "é" * 10, "x" * LONGEST_KEY])
def test_a_key_may_be_anything_that_fits(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1), "é" * LONGEST_KEY])
def test_a_key_that_does_not_fit_is_refused(key: str) -> None:
    with pytest.raises(DataError, match="bytes cannot be kept"):
        check_key(key)
