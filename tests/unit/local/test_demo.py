from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ConfigurationError, DataFolderError
from prefect_cassandra.local.demo import DemoResult, Source, TableCount, claim, worst_carriers
from prefect_cassandra.local.project import block_name, deploy, environment_of
from prefect_cassandra.local.state import StackState, read_state, write_state

if TYPE_CHECKING:
    from pathlib import Path


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


def test_claim_empties_the_folder_of_an_earlier_demo(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    claim(folder)
    (folder / "node1").mkdir()
    claim(folder)
    assert [path.name for path in folder.iterdir()] == ["demo"]


def test_claim_leaves_the_data_of_a_stack_alone(tmp_path: Path) -> None:
    state = StackState(cassandra="5.0.9", nodes=1, tls=False, prefect=True, ports={})
    write_state(tmp_path, state)
    with pytest.raises(DataFolderError, match="not a demo"):
        claim(tmp_path)
    assert read_state(tmp_path) == state


def test_deploy_names_the_missing_file_before_it_does_anything(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no keyspaces\.yaml"):
        deploy(None, tmp_path, print)  # type: ignore[arg-type]  # must not get as far as the stack


def test_names_follow_from_keyspace_and_size() -> None:
    assert block_name("weather_api") == "weather-api"
    assert (environment_of(1), environment_of(3)) == ("local", "local-3")
