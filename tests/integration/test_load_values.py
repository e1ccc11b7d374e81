"""Every CQL type goes in through the loader and comes out as it was."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import datetime as dt
import ipaddress
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from prefect_cassandra.driver.types import Duration
from prefect_cassandra.errors import DataError
from prefect_cassandra.writes.loader import LoadOptions, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.driver.session import Session

ID = uuid.UUID("12345678-1234-4234-8234-123456789abc")
TIME_ID = uuid.UUID("5b6962dd-3f90-11ef-9ca3-0242ac120002")
MOMENT = dt.datetime(2013, 1, 1, 5, 0, 0, 123000, tzinfo=dt.UTC)

SCALARS: list[tuple[str, Any]] = [
    ("ascii", "plain"),
    ("bigint", -(2**63)),
    ("blob", b"\x00\xff"),
    ("boolean", False),
    ("date", dt.date(1969, 12, 31)),
    ("decimal", Decimal("-1.50")),
    ("double", 0.1),
    ("duration", Duration(1, 2, 3)),
    ("float", 0.5),
    ("inet", "2001:db8::1"),
    ("int", 2**31 - 1),
    ("smallint", -(2**15)),
    ("text", "naïve ☃"),
    ("time", dt.time(23, 59, 59, 999999)),
    ("timestamp", MOMENT),
    ("timeuuid", TIME_ID),
    ("tinyint", -128),
    ("uuid", ID),
    ("varint", -(10**30)),
]
NESTED: list[tuple[str, Any]] = [
    ("list<int>", [3, 1, 3]),
    ("set<text>", {"a", "b"}),
    ("map<text, timestamp>", {"a": MOMENT}),
    ("frozen<list<frozen<map<int, text>>>>", [{1: "x"}]),
    ("tuple<int, text>", (1, "x")),
    ("vector<float, 3>", [0.5, 1.0, -2.0]),
    ("address", {"street": "Main", "no": 5}),
]


@pytest.fixture
def make(superuser: Session, keyspace: str, make: Callable[[str], str]) -> Callable[[str], str]:
    superuser.execute(f"CREATE TYPE {keyspace}.address (street text, no int)")
    return make


def rows_of(session: Session, table: str) -> list[dict[str, Any]]:
    return session.execute(f"SELECT * FROM {table}").rows


def test_load_keeps_every_type_from_python_values(
    superuser: Session, make: Callable[[str], str]
) -> None:
    cases = SCALARS + NESTED
    names = [f"c{n}" for n in range(len(cases))]
    columns = ", ".join(f"{n} {kind}" for n, (kind, _) in zip(names, cases, strict=True))
    table = make(f"id int PRIMARY KEY, {columns}")
    row = {"id": 1} | {n: value for n, (_, value) in zip(names, cases, strict=True)}
    load(superuser, table, [row, {"id": 2}])
    by_id = {found["id"]: found for found in rows_of(superuser, table)}
    assert by_id[1] == row
    assert by_id[2] == {"id": 2} | dict.fromkeys(names)


ARROW: list[tuple[str, pa.Array]] = [
    ("ascii", pa.array(["plain"])),
    ("bigint", pa.array([2**63 - 1])),
    ("blob", pa.array([b"\x00\xff"])),
    ("boolean", pa.array([True])),
    ("date", pa.array([dt.date(2024, 2, 29)])),
    ("decimal", pa.array([Decimal("-1.50")])),
    ("double", pa.array([float("inf")])),
    ("duration", pa.array([pa.MonthDayNano([1, 2, 3])])),
    ("float", pa.array([0.5], pa.float32())),
    ("inet", pa.array(["10.0.0.1"])),
    ("int", pa.array([-(2**31)])),
    ("smallint", pa.array([7], pa.uint8())),
    ("text", pa.array(["naïve ☃"]).dictionary_encode()),
    ("time", pa.array([1], pa.time64("us"))),
    ("timestamp", pa.array([MOMENT], pa.timestamp("ns", "Asia/Tokyo"))),
    ("timeuuid", pa.array([TIME_ID], pa.uuid())),
    ("tinyint", pa.array([127])),
    ("uuid", pa.array([ID], pa.uuid())),
    ("uuid", pa.array([str(ID)])),
    ("varint", pa.array([Decimal(10**30)], pa.decimal128(38, 0))),
    ("list<int>", pa.array([[3, 1, 3]])),
    ("set<text>", pa.array([["b", "a"]])),
    (
        "map<text, timestamp>",
        pa.array([[("a", MOMENT)]], pa.map_(pa.string(), pa.timestamp("ms", "UTC"))),
    ),
    ("vector<float, 3>", pa.array([[0.5, 1.0, -2.0]], pa.list_(pa.float32(), 3))),
    ("address", pa.array([{"street": "Main", "no": 5}])),
]
READ_BACK: dict[str, Any] = {
    "duration": Duration(1, 2, 3),
    "time": dt.time(0, 0, 0, 1),
    "uuid": ID,
    "varint": 10**30,
    "timestamp": MOMENT,
    "set<text>": {"a", "b"},
    "map<text, timestamp>": {"a": MOMENT},
}


def test_load_keeps_every_type_from_arrow(superuser: Session, make: Callable[[str], str]) -> None:
    names = [f"c{n}" for n in range(len(ARROW))]
    columns = ", ".join(f"{n} {kind}" for n, (kind, _) in zip(names, ARROW, strict=True))
    table = make(f"id int PRIMARY KEY, {columns}")
    data = pa.table({"id": [1]} | {n: array for n, (_, array) in zip(names, ARROW, strict=True)})
    load(superuser, table, data)
    (found,) = rows_of(superuser, table)
    for name, (kind, array) in zip(names, ARROW, strict=True):
        assert found[name] == READ_BACK.get(kind, array.to_pylist()[0]), kind


def test_load_reads_pandas_gaps_as_missing(superuser: Session, make: Callable[[str], str]) -> None:
    table = make("id int PRIMARY KEY, whole int, number double, word text, moment timestamp")
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "whole": [517.0, np.nan],
            "number": [np.nan, 0.5],
            "word": [None, "x"],
            "moment": pd.to_datetime(["2013-01-01T05:00:00.123Z", None]),
        }
    )
    load(superuser, table, frame)
    assert sorted(rows_of(superuser, table), key=lambda row: row["id"]) == [
        {"id": 1, "whole": 517, "number": None, "word": None, "moment": MOMENT},
        {"id": 2, "whole": None, "number": 0.5, "word": "x", "moment": None},
    ]


def test_load_keeps_nan_from_arrow(superuser: Session, make: Callable[[str], str]) -> None:
    table = make("id int PRIMARY KEY, number double")
    load(superuser, table, pa.table({"id": [1, 2], "number": [float("nan"), None]}))
    found = {row["id"]: row["number"] for row in rows_of(superuser, table)}
    assert np.isnan(found[1])
    assert found[2] is None


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("timestamp", [dt.datetime(2013, 1, 1)], "no time zone"),  # noqa: DTZ001 -- the point
        ("timestamp", [MOMENT.replace(microsecond=1)], "finer than a millisecond"),
        ("int", [float("nan")], "means missing"),
        ("int", [0.5], "0.5"),
        ("int", ["5"], "'5'"),
        ("int", [2**31], "out of"),
        ("inet", [ipaddress.ip_address("::1"), "no address"], "no address"),
        ("timeuuid", [ID], "version 1"),
        ("text", [5], "5"),
        ("list<int>", [[1, None]], "null"),
        ("vector<float, 3>", [[1.0]], "1 elements"),
        ("address", [{"stret": "x"}], "stret"),
    ],
)
def test_load_refuses_a_value_and_names_its_row_and_column(
    superuser: Session,
    make: Callable[[str], str],
    kind: str,
    values: list[Any],
    words: str,
) -> None:
    table = make(f"id int PRIMARY KEY, cell {kind}")
    # Mixed with None so that nothing is known before the values are looked at.
    rows = [{"id": n, "cell": value} for n, value in enumerate([None, *values])]
    with pytest.raises(DataError, match=f"row {len(values)}, column cell: .*{words}"):
        load(superuser, table, rows)
    assert rows_of(superuser, table) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([MOMENT], pa.timestamp("ms")), "cell.*timestamp.*time zone"),
        (pa.array([1.0]), "cell.*timestamp.*double"),
        (pa.array(["2013"]), "cell.*timestamp.*string"),
    ],
)
def test_load_refuses_a_column_of_another_type_before_the_first_write(
    superuser: Session, make: Callable[[str], str], column: pa.Array, words: str
) -> None:
    table = make("id int PRIMARY KEY, cell timestamp")
    with pytest.raises(DataError, match=words):
        load(
            superuser, table, pa.table({"id": [1], "cell": column}), LoadOptions(on_error="reject")
        )
    assert rows_of(superuser, table) == []


def test_keys_that_are_one_for_the_server_are_folded_and_no_others(
    superuser: Session, keyspace: str
) -> None:
    table = f"{keyspace}.spellings"
    superuser.execute(
        f"CREATE TABLE {table} (p decimal, s frozen<set<text>>, c decimal, v int, "
        "PRIMARY KEY ((p, s), c))"
    )
    kind = pa.decimal128(5, 2)
    rows = [
        # In the partition key 1.0 and 1.00 are two, in the clustering key one.
        {"p": Decimal("1.0"), "s": ["b", "a"], "c": Decimal("7.0"), "v": 1},
        {"p": Decimal("1.00"), "s": ["b", "a"], "c": Decimal("7.0"), "v": 2},
        {"p": Decimal("1.0"), "s": ["a", "b"], "c": Decimal("7.00"), "v": 3},
    ]
    report = load(superuser, table, rows)
    found = {
        (row["p"].as_tuple().exponent, row["v"])
        for row in superuser.execute(f"SELECT p, v FROM {table}")
    }
    assert (report.rows, report.merged) == (2, 1)
    assert found == {(-1, 3), (-2, 2)}

    again = pa.table(
        {
            "p": pa.array([Decimal("1.00")] * 2, kind),
            "s": pa.array([["a", "b"], ["b", "a"]]),
            "c": pa.array([Decimal(8)] * 2, kind),
            "v": pa.array([4, 5], pa.int32()),
        }
    )
    assert load(superuser, table, again).merged == 1
    query = f"SELECT v FROM {table} WHERE p = ? AND s = ? AND c = ?"
    assert [
        row["v"] for row in superuser.execute(query, [Decimal("1.00"), {"a", "b"}, Decimal(8)])
    ] == [5]
