from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.writes.undo_rows import (
    NEVER,
    ColumnTimes,
    decide,
    decide_static,
    only,
    times_of,
    written_stamps,
)

OURS = 104
SECOND = 108
SLOTS = np.array([OURS, SECOND], np.int64)
OLDER, LATER = 50, 500
NOBODY = np.empty(0, np.int64)


def simple(*written: int | None) -> ColumnTimes:
    return times_of(pa.array(written, pa.int64()), SLOTS)


def test_a_cell_has_one_write_time_and_a_collection_one_for_each_element() -> None:
    found = simple(OURS, None, OLDER, LATER, SECOND)
    assert found.ours.tolist() == [OURS, 0, 0, 0, SECOND]
    assert found.lowest_other.tolist() == [NEVER, NEVER, OLDER, LATER, NEVER]
    several: list[Any] = [[OURS, OURS], None, [], [OLDER, OURS], [OURS, LATER], [None, SECOND]]
    found = times_of(pa.array(several, pa.list_(pa.int64())), SLOTS)
    assert found.ours.tolist() == [OURS, 0, 0, OURS, OURS, SECOND]
    assert found.lowest_other.tolist() == [NEVER, NEVER, NEVER, OLDER, LATER, NEVER]
    assert found.mixed.tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize(
    ("cells", "remove", "clear", "gone"),
    [
        # Only this load wrote the row.
        ((OURS, OURS), OURS, (0, 0), True),
        ((OURS, None), OURS, (0, 0), True),
        # Two chunks of it: one tombstone above both.
        ((OURS, SECOND), SECOND, (0, 0), True),
        # An older cell would be hidden by a row tombstone.
        ((OURS, OLDER), 0, (OURS, 0), False),
        ((SECOND, OLDER), 0, (SECOND, 0), False),
        # A later one is not; the marker goes with the row's tombstone.
        ((OURS, LATER), OURS, (0, 0), False),
        # Nothing of ours.
        ((OLDER, LATER), 0, (0, 0), False),
        ((None, None), 0, (0, 0), False),
    ],
)
def test_a_row_is_removed_or_loses_cells(
    cells: tuple[int | None, int | None], remove: int, clear: tuple[int, int], *, gone: bool
) -> None:
    made = decide([simple(cells[0]), simple(cells[1])], NOBODY)
    assert made.remove.tolist() == [remove]
    assert tuple(int(one[0]) for one in made.clear) == clear
    assert made.gone.tolist() == [gone]


def test_an_update_left_no_marker_so_its_cells_are_cleared_one_by_one() -> None:
    made = decide([simple(OURS, SECOND), simple(OURS, None)], np.array([OURS], np.int64))
    assert made.remove.tolist() == [0, SECOND]
    assert [one.tolist() for one in made.clear] == [[OURS, 0], [OURS, 0]]
    assert made.gone.tolist() == [True, True]


def test_the_marker_of_an_insert_goes_although_updates_have_overwritten_all_of_its_cells() -> None:
    updated = np.array([SECOND], np.int64)
    made = decide([simple(SECOND, SECOND)], updated, marked_from=OURS)
    assert made.remove.tolist() == [SECOND, SECOND]
    # Later than the update, it cannot have left a marker that is no cell's.
    assert decide([simple(SECOND)], updated, marked_from=SECOND).remove.tolist() == [0]


def test_elements_beside_older_ones_are_not_cleared_with_the_whole_collection() -> None:
    tags = times_of(pa.array([[OLDER, OURS]], pa.list_(pa.int64())), SLOTS)
    made = decide([tags, simple(OURS)], NOBODY)
    assert [one.tolist() for one in made.clear] == [[0], [OURS]]
    assert made.remove.tolist() == [0]


def test_static_cells_are_cleared_and_never_a_row() -> None:
    made = decide_static([simple(OURS, OLDER, None)])
    assert made.clear[0].tolist() == [OURS, 0, 0]
    assert not made.remove.any()
    assert not made.gone.any()


WRITTEN = st.sampled_from([None, OLDER, OURS, SECOND, LATER, OURS + 1, OURS + 2])


@given(rows=st.lists(st.lists(WRITTEN, min_size=3, max_size=3), min_size=1, max_size=20))
def test_nothing_of_others_is_ever_hidden(rows: list[list[int | None]]) -> None:
    columns = [simple(*cells) for cells in zip(*rows, strict=True)]
    made = decide(columns, NOBODY)
    for number, row in enumerate(rows):
        tombstone = made.remove[number] + 1 if made.remove[number] else 0
        for column, cell in enumerate(row):
            cleared = made.clear[column][number]
            hidden = max(tombstone, cleared + 1 if cleared else 0)
            if cell in SLOTS.tolist():
                assert cell is not None
                assert hidden == 0 or hidden > cell
                assert hidden, "a cell of ours stays"
            elif cell is not None:
                # OURS + 1 and OURS + 2 are another undoing's own.
                assert cell > hidden or cell in {OURS + 1, OURS + 2}


def test_rows_that_another_chunk_wrote_last_are_left_to_it() -> None:
    columns = [simple(OURS, OURS, None), simple(None, SECOND, None)]
    found = only(columns, np.array([OURS], np.int64), SLOTS)
    assert [one.ours.tolist() for one in found] == [[OURS, 0, 0], [0, 0, 0]]
    assert decide(found, NOBODY).remove.tolist() == [OURS, 0, 0]
    # And in the rows of this one, the cells that another one wrote.
    second = np.array([SECOND], np.int64)
    found = only([simple(OURS, OURS, None), simple(None, SECOND, None)], second, second)
    assert [one.ours.tolist() for one in found] == [[0, 0, 0], [0, SECOND, 0]]


def test_the_different_write_times_of_columns() -> None:
    plain = pa.array([OURS, None, OLDER, OURS], pa.int64())
    several = pa.array([[LATER, OLDER], None, []], pa.list_(pa.int64()))
    assert written_stamps([plain, several]).tolist() == [OLDER, OURS, LATER]
    assert written_stamps([pa.nulls(2, pa.int64())]).tolist() == []
