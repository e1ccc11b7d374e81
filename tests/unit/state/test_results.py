from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore

from prefect_cassandra.errors import DataError
from prefect_cassandra.schema.tables import RECORDS, RESULT_TABLES
from prefect_cassandra.state.access import LONGEST_KEY, check_key
from prefect_cassandra.state.results import (
    LARGEST,
    MEBIBYTE,
    Results,
    Version,
    _too_large,
    next_number,
)
from support.snippets import ROOT

KEEPING = ROOT / "docs/how-to/keep-results-in-cassandra.md"

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


class Recorded:
    """A session whose table holds some versions; keeps what was written to it."""

    def __init__(self, versions: list[dict[str, Any]]) -> None:
        self.versions = versions
        self.written: list[tuple[str, list[Any], int]] = []

    def clock(self) -> int:
        return 100

    def execute(self, cql: str, parameters: Any, **options: Any) -> list[dict[str, Any]]:
        if cql.startswith("SELECT"):
            return self.versions
        self.written.append((cql.split(maxsplit=1)[0], list(parameters), options["timestamp"]))
        return []


def test_all_older_versions_leave_one_tombstone_that_later_ones_cover() -> None:
    found = [
        {"version": number, "writer": uuid.uuid4(), "parts": 0, "written": number + 9}
        for number in (150, 140, 130)
    ]
    session: Any = Recorded(found)
    Results(session).write("k", b"new")
    (insert, values, at), *deletes = session.written
    assert (insert, values[5], at) == ("INSERT", 160, 160)
    assert deletes == [("DELETE", ["k", 150], 160)], "nothing that was not seen, nor the new one"


def test_tombstones_of_records_go_after_a_day_and_not_before_hints_have_ended() -> None:
    (grace,) = re.findall(r"gc_grace_seconds = (\d+)", RESULT_TABLES[RECORDS])
    assert 3 * 3600 < int(grace) <= 86_400


def test_who_has_too_large_a_result_is_told_how_large_it_may_be_before_prefect_packs_it() -> None:
    pickled = bytes(3_000_000)
    packed = ResultStore(result_storage=LocalFileSystem()).create_result_record(pickled, key="k")
    assert len(packed.serialize()) / len(pickled) == pytest.approx(1.37, abs=0.005)
    error = _too_large("k", 2 * LARGEST)
    assert "1.37 times" in error.hint
    assert "compressed/pickle" in error.hint
    assert f"{LARGEST / 1.37 / MEBIBYTE:.0f} MiB" in KEEPING.read_text()


@pytest.mark.parametrize("key", ["k", "a/b c", "é" * 10, "x" * LONGEST_KEY])
def test_a_key_may_be_anything_that_fits(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1), "é" * LONGEST_KEY])
def test_a_key_that_does_not_fit_is_refused(key: str) -> None:
    with pytest.raises(DataError, match="bytes cannot be kept"):
        check_key(key)
