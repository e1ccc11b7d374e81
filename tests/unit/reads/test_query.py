from __future__ import annotations

import pytest

from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.query import Selection, range_query
from prefect_cassandra.reads.ranges import TokenRange

TABLE = TableInfo(
    "ks",
    "Days",
    (
        ColumnInfo("Day", "date", "partition_key"),
        ColumnInfo("origin", "text", "partition_key"),
        ColumnInfo("at", "int", "clustering"),
        ColumnInfo("delay", "int", "regular"),
    ),
    ("Day", "origin"),
    ("at",),
)


def test_a_query_asks_for_all_columns_of_a_range_of_tokens() -> None:
    assert range_query(TABLE, Selection()) == (
        'SELECT "Day", "origin", "at", "delay" FROM "ks"."Days" '
        'WHERE token("Day", "origin") > ? AND token("Day", "origin") <= ?'
    )


def test_what_was_chosen_is_in_the_query() -> None:
    chosen = Selection(["at"], "at > ?", [5], ["delay"], ["delay"], 3)
    query = range_query(TABLE, chosen)
    assert query.startswith(
        'SELECT "at", writetime("delay") AS "writetime(delay)", ttl("delay") AS "ttl(delay)" FROM'
    )
    assert query.endswith("<= ? AND at > ? PER PARTITION LIMIT 3 ALLOW FILTERING")
    assert chosen.values(TokenRange(1, 2)) == [1, 2, 5]


def test_named_parameters_stay_named() -> None:
    chosen = Selection(where="at > :low", parameters={"low": 5})
    assert "> :range_start AND" in range_query(TABLE, chosen)
    assert chosen.values(TokenRange(1, 2)) == {"range_start": 1, "range_end": 2, "low": 5}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (Selection(["dely"]), "no column 'dely'"),
        (Selection(["at", "at"]), "twice"),
        (Selection(writetime=["at"]), "primary key"),
        (Selection(ttl=["nothing"]), "no column 'nothing'"),
        (Selection(where="at > 1 LIMIT 5"), "LIMIT"),
        (Selection(where="at > 1 order by at"), "ORDER"),
        (Selection(where="at > 1; DROP TABLE x"), "more than conditions"),
        (Selection(per_partition_limit=0), "0 rows"),
    ],
)
def test_what_cannot_be_read_range_by_range_is_refused(chosen: Selection, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        range_query(TABLE, chosen)


def test_a_text_may_hold_any_word() -> None:
    assert "'no LIMIT; ORDER'" in range_query(TABLE, Selection(where="origin = 'no LIMIT; ORDER'"))
