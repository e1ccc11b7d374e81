"""Load a sensor series by several flow runs, each in a Job of its own, and say how fast it was."""

from __future__ import annotations

from datetime import date
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.sensors import series
from prefect_cassandra import (
    CassandraCluster,
    load_part,
    load_table,
    report_part,
    run_parts,
    unload_part,
)

# The flows of the package that load some of many files, and unload some of a table; they are
# deployed from here, with the login of this domain.
__all__ = ["load_part", "sensor_part", "sensor_series", "unload_part"]

TABLE = "sensors.by_day"
PART = "sensor-part/sensor-part"
RETRY_DELAYS = [2.0, 10.0, 30.0]  # seconds
START = date(2026, 1, 1)

load = load_table.with_options(retries=3, retry_delay_seconds=RETRY_DELAYS)

Positive = Annotated[int, Field(ge=1)]


@flow(name="sensor-part")
def sensor_part(  # noqa: PLR0913 -- what the series is made of
    first: int,
    sensors: Positive,
    days: Positive,
    start: date,
    *,
    seed: int = 1,
    cluster: str = "sensors",
) -> None:
    """Load the readings of some sensors: one part of `sensor-series`.

    Args:
        first: Number of the first sensor.
        sensors: How many sensors.
        days: How many days.
        start: The first day, in UTC.
        seed: Another seed gives other readings.
        cluster: Name of the `CassandraCluster` block to write to.
    """
    # A function, not an iterator: a retry reads the series again from its start.
    data = partial(series.readings, first, sensors, days, start, seed)
    report_part(load(CassandraCluster.load(cluster), TABLE, data))


@flow(name="sensor-series")
def sensor_series(  # noqa: PLR0913 -- what the series is made of
    sensors: Positive = 100,
    days: Positive = 7,
    start: date = START,
    *,
    jobs: Positive = 2,
    seed: int = 1,
    cluster: str = "sensors",
) -> dict[str, Any]:
    """Load a reading a minute of many sensors, the sensors dealt out to several flow runs.

    Args:
        sensors: How many sensors; each gives 1,440 rows a day.
        days: How many days.
        start: The first day, in UTC.
        jobs: How many flow runs.
        seed: Another seed gives other readings.
        cluster: Name of the `CassandraCluster` block to write to.

    Returns:
        Rows in all, seconds of the slowest part, and rows a second; the artifact `sensor-series`
        has a line for each part.
    """
    jobs = min(jobs, sensors)
    borders = [sensors * job // jobs for job in range(jobs + 1)]
    common = {"days": days, "start": start.isoformat(), "seed": seed, "cluster": cluster}
    told = run_parts(
        PART,
        [{"first": low, "sensors": high - low, **common} for low, high in pairwise(borders)],
    )
    lines = [{key: one[key] for key in ("table", "rows", "retries", "seconds")} for one in told]
    create_table_artifact(lines, key="sensor-series", description="Rows of each part")
    rows, seconds = sum(one["rows"] for one in told), max(one["seconds"] for one in told)
    return {"rows": rows, "seconds": round(seconds, 2), "rows_per_second": round(rows / seconds)}
