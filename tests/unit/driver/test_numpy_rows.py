from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from cassandra import numpy_parser
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver.numpy_rows import _parse, wire_columns
from prefect_cassandra.errors import DataError
from support.wire import cell

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[bytes | None, ...]


def encoded(rows: Sequence[Row]) -> bytes:
    return b"".join(map(cell, chain.from_iterable(rows)))


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[int | None], list[Row]]:
    """Rows in runs of one shape, as tables have them, with breaks in between."""
    widths = draw(st.lists(st.sampled_from([None, 1, 4, 16]), min_size=1, max_size=4))
    rows: list[Row] = []
    for _ in range(draw(st.integers(0, 4))):
        lengths = [
            draw(st.sampled_from([None, 0, width or draw(st.integers(0, 5))])) for width in widths
        ]
        row = tuple(
            None if length is None else bytes(draw(st.integers(0, 255)) for _ in range(length))
            for length in lengths
        )
        rows += [row] * draw(st.sampled_from([1, 2, 130, 300]))
    return widths, rows


@given(runs())
def test_columns_hold_what_the_rows_hold(table: tuple[list[int | None], list[Row]]) -> None:
    widths, rows = table
    columns = wire_columns(encoded(rows), len(rows), widths)
    for place, (width, column) in enumerate(zip(widths, columns, strict=True)):
        column.validate(full=True)
        assert column.type == (pa.binary() if width is None else pa.binary(width))
        # A number of no bytes means nothing; text of no bytes is the empty text.
        sent = [row[place] if width is None else row[place] or None for row in rows]
        assert column.to_pylist() == sent


@given(runs())
def test_both_ways_through_the_rows_agree(table: tuple[list[int | None], list[Row]]) -> None:
    widths, rows = table
    if rows:
        body = encoded(rows)
        parsed = _parse(body, 0, len(rows), widths)
        assert [column.to_pylist() for column in parsed] == [
            column.to_pylist() for column in wire_columns(body, len(rows), widths)
        ]


UNEVEN: list[Row] = [(b"x" * (n % 7), bytes(8)) for n in range(400)]
EVEN: list[Row] = [(b"abc", bytes(8))] * 400


@pytest.mark.parametrize("rows", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("change", [-1, 1], ids=["too few", "too many"])
def test_a_page_without_the_rows_it_announces_is_refused(rows: list[Row], change: int) -> None:
    with pytest.raises(DataError, match="does not hold the"):
        wire_columns(encoded(rows), len(rows) + change, [None, 8])


@pytest.mark.parametrize("rows", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_a_value_of_another_width_is_refused(rows: list[Row]) -> None:
    with pytest.raises(DataError, match="stands where every value has"):
        wire_columns(encoded([*rows, (b"abc", bytes(4)), *rows]), 801, [None, 8])


def test_a_cut_page_is_refused() -> None:
    with pytest.raises(DataError):
        wire_columns(encoded(UNEVEN)[:-1], len(UNEVEN), [None, 8])


def test_the_drivers_own_columns_survive_numpy_2() -> None:
    wire = np.ma.array(np.array([1, 2**40], dtype=">i8"), mask=[False, True])
    column = numpy_parser.make_native_byteorder(wire)
    assert column.dtype.isnative
    assert column.tolist() == [1, None]
