"""Load a year of flights into query-first tables, month by month, and compute delays on the way."""

from __future__ import annotations

import pyarrow as pa
from prefect import flow, get_run_logger, task, unmapped
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from flows.flights import source
from prefect_cassandra import CassandraCluster, LoadReport, load_table

ALL_MONTHS = list(range(1, 13))
REFERENCE = ["airlines", "airports", "planes"]
RETRY_DELAYS = [2.0, 10.0, 30.0]  # seconds


@task(retries=3, retry_delay_seconds=RETRY_DELAYS, cache_policy=NO_CACHE)
def read_flights() -> pa.Table:
    """Read all flights of the year, once for all months."""
    return source.read_flights(source.data_folder())
