"""The chart as helm, the schema and the generator see it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from chart.rendering import CHART, PROFILES, helm, template
from support.snippets import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))


def test_lint_finds_nothing(profile: str) -> None:
    options = [option for file in PROFILES[profile] for option in ("--values", file)]
    done = helm("lint", "--strict", "--kube-version", "1.34.0", CHART, *options)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


def test_generated_files_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "charts" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def closed(node: Any, path: str) -> Iterator[tuple[str, bool]]:
    """Say for each object with named properties whether it refuses others."""
    if isinstance(node, list):
        for place, item in enumerate(node):
            yield from closed(item, f"{path}/{place}")
    if isinstance(node, dict):
        if "properties" in node and path.rpartition("/")[2] != "properties":
            yield path, node.get("additionalProperties") is False
        for key, value in node.items():
            yield from closed(value, f"{path}/{key}")


def test_schema_is_closed_everywhere() -> None:
    found = dict(closed(SCHEMA, ""))
    assert len(found) > 25
    assert [path for path, shut in found.items() if not shut] == []


TYPOS: dict[str, dict[str, Any]] = {
    "at '': additional properties 'casandra'": {"casandra": {}},
    "at '/cassandra': additional properties 'replica'": {"cassandra": {"replica": 3}},
    "at '/server/auth': additional properties 'secret'": {"server": {"auth": {"secret": "x"}}},
    "at '/worker/resources/limits': additional properties 'mem'": {
        "worker": {"resources": {"limits": {"mem": "1Gi"}}}
    },
    "at '/workPool/queues/0': additional properties 'prio'": {
        "workPool": {"queues": [{"name": "default", "prio": 1}]}
    },
    "at '/keyspaces/flights': additional properties 'replicas'": {
        "keyspaces": {"flights": {"replicas": 3}}
    },
    "at '/cassandra/replicas': got string, want integer": {"cassandra": {"replicas": "three"}},
    "at '/server/logLevel': value must be one of": {"server": {"logLevel": "LOUD"}},
    "at '/images/platform/digest'": {"images": {"platform": {"digest": "sha256:short"}}},
    "at '/workPool/queues/0/name'": {"workPool": {"queues": [{"name": "Not A Name"}]}},
    "at '/keyspaces'": {"keyspaces": {"Flights": {}}},
}


@pytest.mark.parametrize("message", TYPOS)
def test_typo_is_refused_with_its_path(message: str) -> None:
    done = template(values=TYPOS[message])
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("extra", [{"global": {"region": "west"}}, {"enabled": True}])
def test_values_of_a_parent_chart_are_accepted(extra: dict[str, Any]) -> None:
    assert template(values=extra).returncode == 0
