from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from prefect_cassandra.driver.encoded import VariedCells
from prefect_cassandra.writes.before_images import (
    Image,
    Keyed,
    _complete,
    from_bytes,
    seconds_left,
    to_bytes,
)
from prefect_cassandra.writes.row_reader import Cell, FoundRows
from prefect_cassandra.writes.undo_images import decide_imaged
from prefect_cassandra.writes.undo_rows import NEVER, ColumnTimes

SECOND = 1_000_000


def keyed(rows: int) -> Keyed:
    keys = [VariedCells(pa.array([bytes([n]) for n in range(rows)], pa.large_binary()))]
    one = Cell(
        pa.array([None if n % 3 else b"\0" * n for n in range(rows)], pa.binary()),
        pa.array([None if n % 3 else n for n in range(rows)], pa.int64()),
        pa.nulls(rows, pa.int32()),
    )
    many = Cell(
        pa.nulls(rows, pa.binary()),
        pa.array([[n, None] for n in range(rows)], pa.list_(pa.int64())),
        pa.array([[9, None]] * rows, pa.list_(pa.int32())),
    )
    there = pa.array([n % 2 == 0 for n in range(rows)], pa.bool_())
    return Keyed(keys, FoundRows(there, {"v": one, "written v": many}))


@pytest.mark.parametrize("rows", [0, 1, 7])
@pytest.mark.parametrize("statics", [True, False])
def test_an_image_comes_back_as_it_was(rows: int, *, statics: bool) -> None:
    image = Image(keyed(rows), keyed(2) if statics else None, 17)
    found = from_bytes(to_bytes(image), 17)
    assert (found.statics is None) is not statics
    assert found.rows is not None
    assert len(found.rows) == rows
    assert found.rows.keys[0].array.equals(keyed(rows).keys[0].array)
    assert found.rows.found.there.equals(keyed(rows).found.there)
    for name, cell in keyed(rows).found.cells.items():
        again = found.rows.found.cells[name]
        assert again.value.equals(cell.value)
        assert again.written.equals(cell.written)
        assert again.ttl.equals(cell.ttl)


def test_of_several_images_the_first_that_is_whole_counts() -> None:
    def part(owner: str, number: int, parts: int, taken_at: int) -> dict[str, Any]:
        return {"owner": owner, "part": number, "parts": parts, "taken_at": taken_at}

    cut = [part("a", 1, 2, 5)]
    first = [part("b", 1, 2, 7), part("b", 0, 2, 7)]
    late = [part("c", 0, 1, 9)]
    assert _complete([*cut, *late, *first]) == [first[1], first[0]]
    assert _complete([*cut, *late]) == late
    assert _complete(cut) == []
    assert _complete([]) == []


def test_seconds_left_are_counted_from_the_image_on() -> None:
    ttl = pa.array([None, 100, 30, 31], pa.int32())
    assert seconds_left(ttl, 0, 30 * SECOND).tolist() == [0, 70, -1, 1]
    elements = pa.array([[10, 100], [10, None], [], None, [5]], pa.list_(pa.int32()))
    # The longest of the elements; and for ever, if one of them is.
    assert seconds_left(elements, 0, 30 * SECOND).tolist() == [70, 0, 0, 0, -1]
    # A node's clock that is behind does not make it longer.
    assert seconds_left(ttl, 30 * SECOND, 0).tolist() == [0, 100, 30, 31]


OURS, BLIND, OLDER, LATER = 104, 204, 50, 500
WITHOUT_IMAGE = np.array([BLIND], np.int64)


@pytest.mark.parametrize(
    ("times", "known", "expected"),
    [
        # Stamp of ours and of others; whether it was and is there; removed at, what is seen to,
        # gone.
        ((OURS, NEVER), (False, True), (OURS, "", True)),
        ((OURS, NEVER), (True, True), (0, "all", False)),
        # Somebody wrote with an older stamp meanwhile: a row tombstone would hide it.
        ((OURS, OLDER), (False, True), (0, "all", False)),
        ((OURS, LATER), (False, True), (OURS, "", False)),
        # Only a marker, or nothing of ours any more below later cells.
        ((0, NEVER), (False, True), (OURS, "", True)),
        ((0, LATER), (False, True), (OURS, "", False)),
        ((0, NEVER), (True, True), (0, "", False)),
        ((0, NEVER), (False, False), (0, "", False)),
        # Another chunk that is undone wrote the row last, and sees to it.
        ((OURS + 4, NEVER), (False, True), (0, "", False)),
        # It has no image: this one knows whether the row was new, and what its own cells held.
        ((BLIND, NEVER), (False, True), (BLIND, "", True)),
        ((BLIND, NEVER), (True, True), (0, "own", False)),
        ((BLIND, OLDER), (False, True), (0, "own", False)),
    ],
)
def test_a_row_returns_to_what_its_image_says(
    times: tuple[int, int], known: tuple[bool, bool], expected: tuple[int, str, bool]
) -> None:
    ours, other = times
    before, present = known
    column = ColumnTimes(np.array([ours], np.int64), np.array([other], np.int64))
    found = decide_imaged([column], OURS, np.array([before]), np.array([present]), WITHOUT_IMAGE)
    seen_to = "all" if found.mine[0] and not found.remove[0] and ours else ""
    seen_to = "own" if found.partly[0] else seen_to
    assert (int(found.remove[0]), seen_to, bool(found.gone[0])) == expected


def test_a_table_of_keys_alone_has_rows_too() -> None:
    before, present = np.array([True, False]), np.array([True, True])
    found = decide_imaged([], OURS, before, present, WITHOUT_IMAGE)
    assert found.remove.tolist() == [0, OURS]
    assert found.gone.tolist() == [False, True]
