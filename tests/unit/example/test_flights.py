from __future__ import annotations

import pytest

from prefect_cassandra.example.flights import DemoResult, Source, TableCount, worst_carriers


def test_source_counts_real_flights_by_itself() -> None:
    assert Source().expected == {
        "by_origin_day": (336_776, 0),
        "by_tailnum": (336_776, 2_512),
        "weather_by_origin_day": (26_115, 0),
        "planes": (3_322, 0),
        "airports": (1_458, 0),
        "airlines": (16, 0),
        "delays_by_carrier_month": (185, 0),
    }


@pytest.mark.parametrize(
    ("source", "unkeyed", "found", "exact"),
    [
        (10, 0, 10, True),
        (10, 2, 8, True),
        (10, 2, 10, False),
        (10, 0, 9, False),
        (10, 0, 11, False),
    ],
)
def test_a_count_is_exact_only_without_difference(
    source: int, unkeyed: int, found: int, *, exact: bool
) -> None:
    table = TableCount("flights", source, unkeyed, found, 1.0)
    assert table.is_exact is exact
    assert DemoResult((table,), (), (), "").is_exact is exact


def test_worst_carriers_weigh_months_by_the_flights_that_arrived() -> None:
    months = [
        {"carrier": "AA", "flights": 12, "cancelled": 1, "diverted": 1, "mean_arr_delay": 1.0},
        {"carrier": "AA", "flights": 90, "cancelled": 0, "diverted": 0, "mean_arr_delay": 11.0},
        {"carrier": "UA", "flights": 5, "cancelled": 0, "diverted": 0, "mean_arr_delay": 10.5},
        # Nothing of it arrived, so there is no mean at all.
        {"carrier": "OO", "flights": 3, "cancelled": 2, "diverted": 1, "mean_arr_delay": None},
    ]
    worst = worst_carriers(months, {"UA": "United"}, count=2)
    assert [(row["carrier"], row["name"], row["flights"]) for row in worst] == [
        ("UA", "United", 5),
        ("AA", "", 100),
    ]
    assert worst[1]["mean_arr_delay"] == pytest.approx(10.0)
