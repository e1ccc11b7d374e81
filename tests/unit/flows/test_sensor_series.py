"""The series: the same readings however the sensors are dealt out."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from flows.sensors import series

START = date(2026, 1, 1)


def test_readings_do_not_depend_on_how_the_sensors_are_cut() -> None:
    whole = pa.concat_tables(series.readings(0, 4, 2, START, 1))
    cut = [table for first in (0, 2) for table in series.readings(first, 2, 2, START, 1)]
    assert pa.concat_tables(cut).equals(whole)
    assert not pa.concat_tables(series.readings(0, 4, 2, START, 2)).equals(whole)


def test_a_day_has_a_reading_a_minute() -> None:
    (table,) = series.readings(7, 1, 2, START, 1)
    assert table.num_rows == 2 * series.MINUTES
    assert pc.count_distinct(table["at"]).as_py() == table.num_rows
    days = table["at"].cast(pa.date32(), safe=False)
    assert days.equals(table["day"])
    assert set(table["sensor"].to_pylist()) == {"sensor-000007"}
