"""The summary of the flights flow."""

from __future__ import annotations

from flows.flights.load import total
from prefect_cassandra import LoadReport


def test_loads_of_one_table_are_added_up_and_no_row_is_forgotten() -> None:
    january = LoadReport(
        "flights.by_tailnum", rows=90, rejected=8, merged=2, requests=5, seconds=1.5
    )
    february = LoadReport("flights.by_tailnum", rows=40, requests=3, retries=1, seconds=0.25)
    assert total([january, february]) == {
        "table": "flights.by_tailnum",
        "source": 140,
        "loaded": 130,
        "merged": 2,
        "rejected": 8,
        "requests": 8,
        "retries": 1,
        "seconds": 1.75,
    }
