from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver.encoded import FixedCells, VariedCells
from prefect_cassandra.ledger.chunks import digest_of
from prefect_cassandra.writes import stamped
from prefect_cassandra.writes.sources import CHUNK_ROWS, Origin, arrow_part, parts
from prefect_cassandra.writes.stamped import StampedChunks, _buffers, _rows_known

if TYPE_CHECKING:
    from collections.abc import Sequence


class Recorded:
    """Knows how many rows the first chunks had in an earlier attempt."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes

    def recorded_rows(self, number: int) -> int | None:
        return self.sizes[number] if number < len(self.sizes) else None


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamped, "_MOST_ROWS", CHUNK_ROWS)


def cut(sizes: Sequence[int], *recorded: int) -> list[list[int]]:
    """Return the rows of each chunk of an input that comes in pieces of these sizes."""
    starts = np.cumsum([0, *sizes[:-1]]).tolist() if sizes else []
    pieces = [
        arrow_part(pa.table({"k": pa.array(range(start, start + size))}))
        for start, size in zip(starts, sizes, strict=True)
    ]
    chunks = StampedChunks(Recorded(*recorded))  # type: ignore[arg-type]  # all it asks for
    found = []
    for _, chunk in chunks.cut(pieces, ()):
        chunks._number += 1
        assert list(chunk.positions) == chunk.columns["k"].to_pylist()
        found.append(list(chunk.positions))
    return found


@pytest.mark.parametrize(
    ("pieces", "recorded", "sizes"),
    [
        ([], [], []),
        ([10], [], [10]),
        ([2 * CHUNK_ROWS + 1], [], [CHUNK_ROWS, CHUNK_ROWS, 1]),
        # Small pieces are put together, a long one may end in a short chunk.
        ([CHUNK_ROWS - 1, 5], [], [CHUNK_ROWS, 4]),
        ([10, 10, 10], [], [30]),
        ([0, 10, 0], [], [10]),
        # What an earlier attempt recorded is cut there, whatever the pieces are now.
        ([30], [10, 7], [10, 7, 13]),
        ([5, 5, 5, 5, 5, 5], [10, 7], [10, 7, 13]),
        ([9, 21], [10, 7], [10, 7, 13]),
        ([12], [10, 7], [10, 2]),
        # A piece without rows has no types either.
        ([1, 0, 1], [2], [2]),
        ([CHUNK_ROWS * 2], [7], [7, CHUNK_ROWS, CHUNK_ROWS - 7]),
    ],
)
def test_where_an_input_is_cut(pieces: list[int], recorded: list[int], sizes: list[int]) -> None:
    assert [len(chunk) for chunk in cut(pieces, *recorded)] == sizes


@given(
    st.lists(st.integers(0, 40), max_size=8),
    st.lists(st.integers(0, 40), max_size=8),
    st.lists(st.integers(1, 25), max_size=5),
)
def test_the_pieces_do_not_matter_where_chunks_are_recorded(
    one: list[int], other: list[int], recorded: list[int]
) -> None:
    rows = min(sum(one), sum(other))
    recorded = recorded or [1]
    shares = [[row for chunk in cut(sizes, *recorded) for row in chunk] for sizes in (one, other)]
    assert shares == [list(range(sum(one))), list(range(sum(other)))]
    whole = [n for n, end in enumerate(np.cumsum(recorded).tolist()) if end <= rows]
    assert [cut(one, *recorded)[n] for n in whole] == [cut(other, *recorded)[n] for n in whole]


def test_pieces_of_other_types_or_other_files_are_not_put_together() -> None:
    text, number = pa.table({"k": ["a"]}), pa.table({"k": [1]})
    chunks = StampedChunks(Recorded())  # type: ignore[arg-type]  # all it asks for
    mixed = chunks.cut(parts([text, text, number]), ())
    assert [chunk.size for _, chunk in mixed] == [2, 1]
    files = [
        arrow_part(text, Origin("one", range(1), {"k": pa.array(["1"])}, None, {0: ("k", "bad")})),
        arrow_part(text, Origin("one", range(1, 2), {"k": pa.array(["2"])})),
        arrow_part(text, Origin("two", range(1), {"k": pa.array(["3"])})),
    ]
    (_, first), (_, second) = chunks.cut(files, ())
    assert first.origin == Origin("one", [0, 1], first.origin.cells, None, {0: ("k", "bad")})  # type: ignore[union-attr]
    assert first.origin.cells["k"].to_pylist() == ["1", "2"]  # type: ignore[union-attr]
    assert first.unreadable() == {0: ("k", "bad")}
    assert (second.size, second.origin.file) == (1, "two")  # type: ignore[union-attr]


def digest(*cells: Any) -> bytes:
    return digest_of("", _buffers(cells))


def varied(*values: bytes | None) -> VariedCells:
    return VariedCells(pa.array(values, pa.large_binary()))


def test_a_digest_is_of_the_content_and_not_of_the_buffers() -> None:
    whole = varied(b"a", b"bc", None, b"")
    assert digest(VariedCells(whole.array[1:3])) == digest(varied(b"bc", None))
    native = np.array([1, 2], "<i4")
    assert digest(FixedCells(native, np.dtype(">i4"))) == digest(
        FixedCells(native.astype(">i4"), np.dtype(">i4"))
    )
    missing = np.array([False, True])
    one = FixedCells(np.array([1, 2], "<i4"), np.dtype(">i4"), missing)
    other = FixedCells(np.array([1, 99], "<i4"), np.dtype(">i4"), missing)
    assert digest(one) == digest(other)


@given(*[st.lists(st.none() | st.binary(max_size=2), max_size=4)] * 2)
def test_digests_differ_where_the_content_does(one: list[Any], other: list[Any]) -> None:
    assert (digest(varied(*one)) == digest(varied(*other))) == (one == other)


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (pa.scalar(1), 25_000),
        (pa.scalar("x" * 412), 10_082),
        (pa.scalar("x" * 10_000), CHUNK_ROWS),
    ],
)
def test_chunks_are_large_where_rows_are_narrow(
    monkeypatch: pytest.MonkeyPatch, value: pa.Scalar, rows: int
) -> None:
    monkeypatch.setattr(stamped, "_MOST_ROWS", 25_000)
    part = arrow_part(pa.table({"k": pa.repeat(value, 2_000)}))
    assert stamped._rows_worth_a_record(part) == rows
    (plain,) = parts([{"k": 1}])
    assert stamped._rows_worth_a_record(plain) == CHUNK_ROWS


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (pa.table({"k": [1, 2]}), 2),
        (pd.DataFrame({"k": [1, 2, 3]}), 3),
        ([{"k": 1}], 1),
        (iter([pa.table({"k": [1]})]), None),
        (list, None),
    ],
)
def test_rows_are_known_where_they_lie_in_memory(data: object, rows: int | None) -> None:
    assert _rows_known(data) == rows
