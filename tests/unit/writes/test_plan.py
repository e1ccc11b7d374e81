from __future__ import annotations

import pyarrow as pa
import pytest

from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.plan import make_plan
from prefect_cassandra.writes.sources import Part, parts

TABLE = TableInfo(
    "ks",
    "By Day",
    (
        ColumnInfo("origin", "text", "partition_key"),
        ColumnInfo("day", "date", "partition_key"),
        ColumnInfo("no", "int", "clustering"),
        ColumnInfo("dep_delay", "double", "regular"),
        ColumnInfo('odd"name', "int", "regular"),
    ),
    ("origin", "day"),
    ("no",),
)


def part(**types: pa.DataType) -> Part:
    (found,) = parts(pa.schema(list(types.items())).empty_table())
    return found


KEYS = {"no": pa.int32(), "day": pa.date32(), "origin": pa.string()}


def test_plan_puts_key_columns_first_and_quotes_every_name() -> None:
    plan = make_plan(part(**{'odd"name': pa.int32()}, **KEYS), TABLE)
    assert [column.name for column in plan.columns] == ["origin", "day", "no", 'odd"name']
    assert (plan.partition, plan.key) == (2, 3)
    assert plan.insert == (
        'INSERT INTO "ks"."By Day" ("origin", "day", "no", "odd""name") VALUES (?, ?, ?, ?)'
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dep_dely", "Did you mean 'dep_delay'?"),
        ("DEP_DELAY", "Did you mean 'dep_delay'?"),
        ("zzz", "Its columns are origin, day, no"),
    ],
)
def test_plan_suggests_the_closest_column(name: str, hint: str) -> None:
    with pytest.raises(DataError, match=f"ks.By Day has no column '{name}'") as caught:
        make_plan(part(**KEYS, **{name: pa.float64()}), TABLE)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("missing", ["origin", "day", "no"])
def test_plan_asks_for_the_whole_primary_key(missing: str) -> None:
    kept = {name: kind for name, kind in KEYS.items() if name != missing}
    with pytest.raises(DataError, match=f"key column {missing} of"):
        make_plan(part(**kept, dep_delay=pa.float64()), TABLE)


def test_plan_refuses_a_type_that_cannot_fit() -> None:
    with pytest.raises(DataError, match=r"column dep_delay of ks.By Day is double.*string"):
        make_plan(part(**KEYS, dep_delay=pa.string()), TABLE)
