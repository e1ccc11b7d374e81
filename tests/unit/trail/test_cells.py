from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.cqltype import parse
from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.errors import ConfigurationError, DataError
from prefect_cassandra.trail.cells import Written, _elements, _grouped, require_key, typed_key

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = (
    ColumnInfo("origin", "text", "partition_key"),
    ColumnInfo("day", "date", "partition_key"),
    ColumnInfo("flight", "int", "clustering"),
    ColumnInfo("delay", "double", "regular"),
)
PLAIN = TableInfo("ks", "t", COLUMNS, ("origin", "day"), ("flight",))
STATIC = TableInfo(
    "ks", "s", (*COLUMNS, ColumnInfo("s", "int", "static")), ("origin", "day"), ("flight",)
)


def test_texts_become_values_of_the_keys_types() -> None:
    found = typed_key(PLAIN, {"origin": "JFK", "day": "2013-07-04", "flight": "17"})
    assert found == {"origin": "JFK", "day": date(2013, 7, 4), "flight": 17}


@pytest.mark.parametrize(
    ("table", "texts", "error", "message"),
    [
        (PLAIN, {"orign": "JFK"}, ConfigurationError, "'orign' is no column of the primary key"),
        (PLAIN, {"delay": "1"}, ConfigurationError, "'delay' is no column of the primary key"),
        (PLAIN, {"origin": "JFK"}, ConfigurationError, "day, flight is missing"),
        (PLAIN, {"origin": "JFK", "day": "2013-07-04"}, ConfigurationError, "flight is missing"),
        (STATIC, {"day": "2013-07-04"}, ConfigurationError, "origin, flight is missing"),
        (
            *(PLAIN, {"origin": "JFK", "day": "4 July", "flight": "1"}, DataError),
            "day: '4 July' is not a date",
        ),
    ],
)
def test_what_names_no_row_is_refused(
    table: TableInfo, texts: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        typed_key(table, texts)


def test_a_partition_is_enough_where_there_are_static_columns() -> None:
    assert require_key(STATIC, {"origin": 1, "day": 2}) is False
    assert require_key(STATIC, {"origin": 1, "day": 2, "flight": 3}) is True


def test_elements_of_one_stamp_are_together_the_newest_first() -> None:
    found = _grouped([5, 9, None, 5], [None, 60, None, None], ["a", "b", "c", "d"])
    assert found == (Written(9, 60, ("b",)), Written(5, None, ("a", "d")))


@pytest.mark.parametrize(
    ("kind", "text", "names"),
    [
        ("set<text>", '["a","b"]', ["a", "b"]),
        ("map<text, int>", '[["x",1],["y",2]]', ["x", "y"]),
        ("list<int>", "[7,7]", [0, 1]),
        ("set<int>", None, []),
    ],
)
def test_what_elements_are_called(kind: str, text: str | None, names: Sequence[Any]) -> None:
    assert list(_elements(parse(kind), text)) == names
