"""Load a year of flights into query-first tables, month by month, and compute delays on the way.

Every stage is a task; reading, computing and loading are mapped over the months. Loads are upserts
by a key that was checked to be unique, so a stage that is retried, or a run that was killed and is
retried, ends with the same rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
from prefect import flow, get_run_logger, task, unmapped
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.flights import source
from prefect_cassandra import CassandraCluster, load_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect_cassandra import LoadReport

RETRY_DELAYS = [2.0, 10.0, 30.0]  # seconds

Months = Annotated[list[Annotated[int, Field(ge=1, le=12)]], Field(min_length=1)]
ALL_MONTHS = list(range(1, 13))
REFERENCE = ["planes", "airports", "airlines"]
# An aircraft flies a few times a month. `load_table` sends the rows of a partition together, so a
# quarter of a year takes less than half of the requests that its three months would.
MONTHS_TOGETHER = 3

load = load_table.with_options(retries=3, retry_delay_seconds=RETRY_DELAYS)


# Tables travel in memory: hashing them for a cache key would cost more than reading them again.
@task(retries=3, retry_delay_seconds=RETRY_DELAYS, cache_policy=NO_CACHE)
def read_flights() -> pa.Table:
    """Read the flights of the whole year, once for all months."""
    return source.read_flights(source.data_folder())


@task(task_run_name="flights of month {month}", cache_policy=NO_CACHE)
def month_of(year: pa.Table, month: int) -> pa.Table:
    """Cut out one month and give its columns the types of the tables."""
    return source.month_of(year, month)


@task(cache_policy=NO_CACHE)
def join(months: list[pa.Table]) -> pa.Table:
    """Put the flights of several months into one table."""
    return pa.concat_tables(months)


@task(retries=3, retry_delay_seconds=RETRY_DELAYS, cache_policy=NO_CACHE)
def read_weather(months: list[int]) -> pa.Table:
    """Read the weather of the given months."""
    return source.read_weather(source.data_folder(), months)


@task(
    task_run_name="read {name}",
    retries=3,
    retry_delay_seconds=RETRY_DELAYS,
    cache_policy=NO_CACHE,
)
def read_reference(name: str) -> pa.Table:
    """Read planes, airports or airlines."""
    return source.read_reference(source.data_folder(), name)


@task(cache_policy=NO_CACHE)
def delays_of(month: pa.Table) -> pa.Table:
    """Compute mean delays and counts by carrier for one month."""
    return source.delays_of(month)


@task(cache_policy=NO_CACHE)
def name_rejects(months: list[pa.Table], rejected: int) -> None:
    """Name every flight that `by_tailnum` cannot hold, in the log and in an artifact.

    Raises:
        RuntimeError: More rows were rejected than can be explained by a missing tail number.
    """
    nameless = [row for month in months for row in source.without_tailnum(month)]
    if len(nameless) != rejected:
        raise RuntimeError(
            f"{rejected} flights were rejected, but {len(nameless)} have no tail number"
        )
    if nameless:
        get_run_logger().warning(
            "%s flights have no tail number and are not in flights.by_tailnum, the first: %s",
            len(nameless),
            nameless[0],
        )
    create_table_artifact(
        nameless, key="flights-rejected", description="Flights without a tail number"
    )


def total(reports: Iterable[LoadReport]) -> dict[str, Any]:
    """Return one line of the summary for the loads of one table."""
    loads = list(reports)
    return {
        "table": loads[0].table,
        "source": sum(load.rows + load.merged + load.rejected for load in loads),
        "loaded": sum(load.rows for load in loads),
        "merged": sum(load.merged for load in loads),
        "rejected": sum(load.rejected for load in loads),
        "requests": sum(load.requests for load in loads),
        "retries": sum(load.retries for load in loads),
        # Loads run side by side, so this is more than the time that passed.
        "seconds": round(sum(load.seconds for load in loads), 2),
    }


@flow(
    name="flights",
    task_runner=ThreadPoolTaskRunner(max_workers=3),  # type: ignore[arg-type]  # Prefect's is invariant
)
def flights(months: Months = ALL_MONTHS, cluster: str = "flights") -> list[dict[str, Any]]:
    """Load the flights of some months, their weather, and planes, airports and airlines.

    Args:
        months: Months of 2013 to load, 1 to 12.
        cluster: Name of the `CassandraCluster` block to write to.

    Returns:
        One line per table: rows read, loaded, merged and rejected, requests, seconds. The artifact
        `flights-load` holds the same.
    """
    months = sorted(set(months))
    database = CassandraCluster.load(cluster)
    everywhere = unmapped(database)

    slices = month_of.map(unmapped(read_flights.submit()), months)
    by_day = load.map(everywhere, "flights.by_origin_day", slices)
    together = [
        join.submit(slices[first : first + MONTHS_TOGETHER])
        for first in range(0, len(slices), MONTHS_TOGETHER)
    ]
    by_aircraft = load.map(everywhere, "flights.by_tailnum", together, on_error="reject")
    delays = load.map(everywhere, "flights.delays_by_carrier_month", delays_of.map(slices))
    weather = load.submit(database, "flights.weather_by_origin_day", read_weather.submit(months))
    reference = [
        load.submit(database, f"flights.{name}", read_reference.submit(name)) for name in REFERENCE
    ]

    summary = [total(loads.result()) for loads in (by_day, by_aircraft, delays)]
    summary += [total([single.result()]) for single in (weather, *reference)]
    create_table_artifact(summary, key="flights-load", description="Rows per table")
    name_rejects(slices.result(), summary[1]["rejected"])
    return summary


if __name__ == "__main__":
    flights()
