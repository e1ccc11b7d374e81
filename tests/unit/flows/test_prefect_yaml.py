"""The deployments: each names a flow that exists, with parameters that it takes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow

FILE = Path("flows/prefect.yaml")
DECLARED = yaml.safe_load(FILE.read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {each["name"]: each for each in DECLARED["deployments"]}


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    path, name = deployment["entrypoint"].split(":")
    flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert isinstance(flow, Flow)
    return flow


def test_every_example_is_deployed() -> None:
    assert set(DEPLOYMENTS) == {
        "values",
        "flights",
        "weather-api",
        "failing",
        "sensor-series",
        "sensor-part",
        "load-part",
        "unload-part",
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_has_a_flow_that_takes_its_parameters(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    flow = flow_of(deployment)
    assert flow.name == name
    flow.validate_parameters(deployment["parameters"])
    assert set(deployment["parameters"]) <= set(flow.parameters.properties)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_says_where_it_runs_and_what_it_is_for(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert deployment["work_pool"]["name"] == "local"
    assert deployment["work_pool"]["work_queue_name"] in {"default", "loads"}
    assert deployment["description"]
    assert deployment["version"]
    assert "example" in deployment["tags"]


def test_only_the_small_example_runs_by_itself() -> None:
    active = [
        name
        for name, deployment in DEPLOYMENTS.items()
        for schedule in deployment.get("schedules", [])
        if schedule["active"]
    ]
    assert active == ["values"]


def test_months_outside_the_year_are_refused() -> None:
    flow = flow_of(DEPLOYMENTS["flights"])
    with pytest.raises(Exception, match="less than or equal to 12"):
        flow.validate_parameters({"months": [13]})


def test_flows_import_nothing_but_the_public_package() -> None:
    lines = [
        line.strip()
        for path in Path("flows").rglob("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith(("from prefect_cassandra", "import prefect_cassandra"))
    ]
    assert len(lines) >= 3
    assert {line.split(" import ")[0] for line in lines} == {"from prefect_cassandra"}
