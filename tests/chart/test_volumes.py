"""Volumes that are there already, and what is said about values that do not suit them.

What is there is asked by `lookup`, which answers nothing here: in a copy of the chart the answers
are written in its place. tests/e2e asks a real cluster the same.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from chart.rendering import CHART, helm, with_registry

if TYPE_CHECKING:
    from pathlib import Path

LOOKUP = re.compile(r'lookup "\S+" "(\w+)" \$namespace \$name')
VOLUMES = "templates/_volumes.tpl"
BOUND = {"status": {"phase": "Bound"}}
NODES = "StatefulSet/pc-cassandra"
ONE_RACK = {"racks": ["rack1"]}


def workload(replicas: int, size: str, storage_class: str = "") -> dict[str, Any]:
    """Return a live StatefulSet, as far as the chart looks at it."""
    spec: dict[str, Any] = {"resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"spec": {"replicas": replicas, "volumeClaimTemplates": [{"spec": spec}]}}


def claims(*states: dict[str, Any]) -> dict[str, Any]:
    """Return the claims of Cassandra's nodes, from the first on."""
    return {
        f"PersistentVolumeClaim/data-pc-cassandra-{ordinal}": state
        for ordinal, state in enumerate(states)
    }


RUNNING = {
    NODES: workload(3, "20Gi"),
    "StatefulSet/pc-postgres": workload(1, "8Gi", "slow"),
    **claims(BOUND, BOUND, BOUND),
}
SUITABLE = {"postgres": {"storage": {"storageClass": "slow"}}}


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A copy of the chart whose questions about volumes are answered from `cluster.json`."""
    copy = tmp_path / "chart"
    shutil.copytree(CHART, copy)
    text = (copy / VOLUMES).read_text("utf-8")
    answer = r'get (include "cluster" . | fromJson) (printf "\1/%s" $name)'
    text, count = LOOKUP.subn(answer, text)
    assert count == text.count('include "cluster"') == 3
    assert "lookup" not in re.sub(r"\{\{/\*.*?\*/\}\}", "", text, flags=re.DOTALL)
    (copy / VOLUMES).write_text(text, "utf-8")
    return copy


def said(chart: Path, there: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """Return the problems that are found, none when the chart renders."""
    answers = f'{{{{- define "cluster" -}}}}\n{json.dumps(there)}\n{{{{- end -}}}}\n'
    (chart / "templates" / "_cluster.tpl").write_text(answers, "utf-8")
    place = ("--namespace", "prefect", "--kube-version", "1.34.0")
    given = json.dumps(with_registry(values))
    done = helm("template", "pc", chart, *place, "--values", "-", given=given)
    found = re.findall(r"^  - (.+)$", done.stderr, re.MULTILINE)
    assert bool(found) == (done.returncode != 0), done.stderr
    return found


@pytest.mark.parametrize(
    ("there", "values"),
    [
        ({}, {}),
        (RUNNING, SUITABLE),
        (RUNNING, SUITABLE | {"cassandra": {"replicas": 5}}),
        (RUNNING, SUITABLE | {"cassandra": {"storage": {"size": "20480Mi"}}}),
        (RUNNING, SUITABLE | {"cassandra": {"storage": {"size": "21474836480"}}}),
        # After an uninstall: the same again, and what never got a volume or is on its way out.
        (claims(BOUND, BOUND, BOUND), {}),
        (
            claims({"status": {"phase": "Pending"}}, {"status": {"phase": "Pending"}}),
            {"cassandra": ONE_RACK | {"replicas": 1}},
        ),
        (
            claims(BOUND, BOUND | {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            {"cassandra": ONE_RACK | {"replicas": 1}},
        ),
    ],
)
def test_values_that_suit_are_accepted(
    chart: Path, there: dict[str, Any], values: dict[str, Any]
) -> None:
    assert said(chart, there, values) == []


@pytest.mark.parametrize(
    ("there", "values", "problem", "fix"),
    [
        (
            RUNNING,
            {"cassandra": {"replicas": 2}} | SUITABLE,
            "cassandra.replicas: is 2 and 3 nodes are running",
            "`kubectl -n prefect exec pc-cassandra-2 -- nodetool decommission`",
        ),
        (
            {NODES: workload(1, "20Gi"), **claims(BOUND)},
            {},
            "cassandra.replicas: is 3 and there are the rows of 1",
            "install a new release with at least 3 nodes",
        ),
        (
            RUNNING,
            {"cassandra": {"storage": {"size": "30Gi"}}} | SUITABLE,
            "cassandra.storage.size: is 30Gi and the claims were made for 20Gi",
            "`kubectl -n prefect delete statefulset pc-cassandra --cascade=orphan`",
        ),
        (
            RUNNING,
            {"cassandra": {"storage": {"storageClass": "fast"}}} | SUITABLE,
            'cassandra.storage.storageClass: is "fast" and the claims were made with ""',
            "set it back",
        ),
        (
            RUNNING,
            {"postgres": {"storage": {"storageClass": "slow", "size": "9Gi"}}},
            "postgres.storage.size: is 9Gi and the claims were made for 8Gi",
            "`kubectl -n prefect delete statefulset pc-postgres --cascade=orphan`",
        ),
        (
            RUNNING,
            {},
            'postgres.storage.storageClass: is "" and the claims were made with "slow"',
            "set it back",
        ),
        (
            claims(BOUND, BOUND, BOUND),
            {"cassandra": ONE_RACK | {"replicas": 1}},
            "cassandra.replicas: is 1 and there are the volumes of 3 nodes",
            "set 3. Delete the claim of a node that was decommissioned",
        ),
        (
            claims(BOUND),
            {},
            "cassandra.replicas: is 3 and there are the rows of 1",
            "Set it back",
        ),
        (
            RUNNING | claims(BOUND, BOUND, BOUND, BOUND),
            SUITABLE,
            "cassandra.replicas: is 3 and there are the volumes of 4 nodes",
            "data-pc-cassandra-3",
        ),
    ],
)
def test_values_that_would_lose_rows_or_fail_are_refused(
    chart: Path, there: dict[str, Any], values: dict[str, Any], problem: str, fix: str
) -> None:
    (line,) = said(chart, there, values)
    assert line.startswith(problem)
    assert fix in line
    assert not re.search(r"<nil>|%!|map\[", line)


def test_nothing_is_said_of_volumes_that_are_not_used(chart: Path) -> None:
    values = {"postgres": {"external": {"existingSecret": "theirs"}}}
    assert said(chart, RUNNING, values) == []
