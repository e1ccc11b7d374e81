from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.ledger.blocks import Block
from prefect_cassandra.reads.changes import (
    Changes,
    From,
    _selection,
    commit_changes,
    newest_between,
)
from prefect_cassandra.reads.query import Selection
from support.stamps import NOON, TABLE, asking

KEY = ColumnInfo("k", "int", "partition_key")
VALUE, SET = ColumnInfo("v", "text", "regular"), ColumnInfo("s", "set<int>", "regular")
COUNTER = ColumnInfo("n", "counter", "regular")


def table(*columns: ColumnInfo) -> TableInfo:
    return TableInfo("ks", "t", (KEY, *columns), ("k",), ())


stamps = st.none() | st.integers(1, 9)


@settings(max_examples=60)
@given(st.data(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 8))
def test_the_newest_stamp_between_two_is_that_of_any_cell(
    data: st.DataObject, since: int, upto: int, rows: int
) -> None:
    plain = data.draw(st.lists(stamps, min_size=rows, max_size=rows))
    lists = st.none() | st.lists(stamps, max_size=3)
    many = data.draw(st.lists(lists, min_size=rows, max_size=rows))
    columns = [pa.array(plain, pa.int64()), pa.array(many, pa.list_(pa.int64()))]
    # A batch is often a part of a larger one.
    sliced = [pa.concat_arrays([one, one]).slice(rows) for one in columns]
    wanted = [
        max([one for one in [alone, *(held or [])] if one and since < one <= upto], default=0)
        for alone, held in zip(plain, many, strict=True)
    ]
    assert newest_between(columns, since, upto).tolist() == wanted
    assert newest_between(sliced, since, upto).tolist() == wanted


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "since a stamp or with a cursor"),
        ({"cursor": ""}, "since a stamp or with a cursor"),
        ({"stamp": 0, "cursor": "c"}, "since a stamp or with a cursor"),
        ({"stamp": -1}, "no stamp -1"),
    ],
)
def test_changes_are_read_from_one_place(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        From(**given)


def test_the_key_comes_along_and_everything_else_with_its_stamp() -> None:
    everything = _selection(table(SET, VALUE), Selection())
    assert (everything.columns, everything.writetime) == (("k", "s", "v"), ["s", "v"])
    one = _selection(table(SET, VALUE), Selection(["v", "k"]))
    assert (one.columns, one.writetime) == (("k", "v"), ["v"])


@pytest.mark.parametrize(
    ("info", "wanted", "message"),
    [
        (table(), Selection(), "No column of ks.t"),
        (table(COUNTER), Selection(), "No column of ks.t"),
        (table(VALUE), Selection(["k"]), "No column of ks.t"),
        (table(VALUE), Selection(where="v = 'x'"), "cannot be read with where"),
    ],
)
def test_where_no_change_can_be_seen_none_is_looked_for(
    info: TableInfo, wanted: Selection, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _selection(info, wanted)


def test_changes_without_a_cursor_are_not_committed() -> None:
    held_by = Block(TABLE, NOON, None, asking())
    changes = Changes("ks.t", pa.table({}), 0, NOON - 1, None, held_by)
    session: Any = None  # nobody is asked
    with pytest.raises(ConfigurationError, match="no cursor is to be moved"):
        commit_changes(session, changes)
