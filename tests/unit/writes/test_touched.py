from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.writes.repeatable import read_statement
from prefect_cassandra.writes.touched import Touched, about_rows, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = TableInfo(
    "ks",
    "t",
    (
        ColumnInfo("p", "text", "partition_key"),
        ColumnInfo("c", "int", "clustering"),
        ColumnInfo("s", "text", "static"),
        ColumnInfo("v", "text", "regular"),
    ),
    ("p",),
    ("c",),
)
(CHANGE,) = read_statement("INSERT INTO ks.t (p, c, v) VALUES (?, ?, ?)").changes


def about(row: int | None) -> list[Touched] | None:
    """Return what a row with this key is about; ten of them make a partition."""
    if row is None:
        return None
    partition = (bytes([row // 10]),)
    return [Touched(CHANGE, (partition,), ((*partition, bytes([row])),), ({},), (b"",))]


@pytest.mark.parametrize(
    ("rows", "most", "by_row", "pieces"),
    [
        ([], 5, True, []),
        ([1], 5, True, [(0, 1)]),
        ([1, 2, 3], 5, True, [(0, 3)]),
        ([1, 2, 3], 2, True, [(0, 2), (2, 3)]),
        ([1, 2, 1, 2], 5, True, [(0, 2), (2, 4)]),
        ([1, 1, 1], 5, True, [(0, 1), (1, 2), (2, 3)]),
        # Where a whole partition is at stake, another row of it counts too.
        ([1, 11, 2, 12], 5, False, [(0, 2), (2, 4)]),
        # What is not known stands alone.
        ([None], 5, True, [(0, 1)]),
        ([1, None, 2, 3], 5, True, [(0, 1), (1, 2), (2, 4)]),
        ([None, None, 1], 5, True, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_where_rows_are_cut(
    rows: Sequence[int | None],
    most: int,
    by_row: bool,  # noqa: FBT001 -- a case
    pieces: list[tuple[int, int]],
) -> None:
    assert list(cut(map(about, rows), most, by_row=by_row)) == pieces


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 29)), max_size=40),
    st.integers(1, 8),
    st.booleans(),
)
def test_no_piece_touches_anything_twice_and_none_is_lost(
    rows: list[int | None],
    most: int,
    by_row: bool,  # noqa: FBT001 -- a case
) -> None:
    pieces = list(cut(map(about, rows), most, by_row=by_row))
    borders = [first for first, _ in pieces] + [len(rows)]
    assert [stop for _, stop in pieces] == borders[1:]
    assert borders[0] == 0
    for first, stop in pairwise(borders):
        held = rows[first:stop]
        assert 1 <= len(held) <= most
        assert held == [None] or None not in held
        whole = [row if by_row or row is None else row // 10 for row in held]
        assert len(set(whole)) == len(whole)


@pytest.mark.parametrize(
    ("cql", "rows"),
    [
        ("INSERT INTO ks.t (p, c, v) VALUES (?, ?, ?)", True),
        ("UPDATE ks.t SET v = ? WHERE p = ? AND c = ?", True),
        ("DELETE FROM ks.t WHERE p = ? AND c IN (?, 5)", True),
        ("INSERT INTO ks.t (p, c, s) VALUES (?, ?, ?)", False),
        ("UPDATE ks.t SET s = ? WHERE p = ?", False),
        ("DELETE FROM ks.t WHERE p = ?", False),
        ("DELETE FROM ks.t WHERE p = ? AND c > 5", False),
        ("INSERT INTO ks.t JSON ?", False),
        (
            "BEGIN BATCH DELETE FROM t WHERE p = 1 AND c = 1 DELETE FROM t WHERE p = 1 APPLY BATCH",
            False,
        ),
    ],
)
def test_which_statements_are_about_rows_alone(cql: str, rows: bool) -> None:  # noqa: FBT001
    assert about_rows(read_statement(cql), TABLE) is rows
