from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.kube.pool import (
    Pool,
    Queue,
    decide,
    described,
    differences,
    read_wanted,
    template_hash,
)

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE: dict[str, Any] = {
    "variables": {"properties": {"image": {"default": "flows:1"}}},
    "job_configuration": {"job_manifest": {"spec": {"backoffLimit": 0, "args": [1, 2]}}},
}
QUEUES = (Queue("default", 1), Queue("heavy", 2, 4))
WANTED = Pool("cassandra", TEMPLATE, QUEUES, description=described(TEMPLATE))


def changed(template: dict[str, Any], image: str) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(template))
    copy["variables"]["properties"]["image"]["default"] = image
    return copy


def test_a_new_pool_is_made_with_its_queues_but_the_one_that_prefect_makes() -> None:
    changes = decide(WANTED, None)
    assert [(one.what, one.queue and one.queue.name) for one in changes] == [
        ("create", None),
        ("queue", "heavy"),
    ]


def test_a_pool_that_is_as_wanted_is_left_alone() -> None:
    assert decide(WANTED, WANTED) == []


def test_a_new_template_of_ours_is_an_update_and_no_drift() -> None:
    newer = changed(TEMPLATE, "flows:2")
    wanted = replace(WANTED, template=newer, description=described(newer))
    (change,) = decide(wanted, WANTED)
    assert change.what == "template"
    assert not change.is_drift
    assert change.text.endswith("updated: variables.properties.image.default")


@pytest.mark.parametrize("newer", [False, True])
def test_a_template_that_somebody_else_changed_is_drift(*, newer: bool) -> None:
    live = replace(WANTED, template=changed(TEMPLATE, "theirs"))
    template = changed(TEMPLATE, "flows:2") if newer else TEMPLATE
    wanted = replace(WANTED, template=template, description=described(template))
    (change,) = decide(wanted, live)
    assert change.is_drift
    assert "somebody else" in change.text


def test_a_pool_that_was_not_ours_is_taken_over_without_calling_it_drift() -> None:
    live = replace(WANTED, template=changed(TEMPLATE, "theirs"), description="by hand")
    assert [one.is_drift for one in decide(WANTED, live)] == [False]


def test_a_description_that_lost_its_note_gets_it_again() -> None:
    (change,) = decide(WANTED, replace(WANTED, description=""))
    assert change.what == "template"
    assert not change.is_drift


def test_limits_and_priorities_are_put_right() -> None:
    live = replace(WANTED, limit=3, queues=(Queue("default", 1), Queue("heavy", 1)))
    assert [one.text for one in decide(WANTED, live)] == [
        "concurrency limit 3 -> None",
        "queue heavy: priority 1 -> 2, concurrency limit None -> 4",
    ]


def test_a_queue_that_is_not_wanted_stays() -> None:
    assert decide(WANTED, replace(WANTED, queues=(*QUEUES, Queue("theirs", 3)))) == []


def test_a_pool_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="of type 'process'"):
        decide(WANTED, replace(WANTED, type="process"))


def test_hash_does_not_depend_on_the_order_of_keys() -> None:
    turned = dict(reversed(TEMPLATE.items()))
    assert template_hash(turned) == template_hash(TEMPLATE)
    assert WANTED.noted_hash == template_hash(TEMPLATE)


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": 1}, {"b": 1}, ["a", "b"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a[1]"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a"]),
        (1, 2, ["."]),
    ],
)
def test_differences_name_the_paths(old: Any, new: Any, paths: list[str]) -> None:
    assert list(differences(old, new)) == paths


def test_wanted_is_read_from_the_charts_files(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(TEMPLATE))
    pool = {
        "name": "cassandra",
        "concurrencyLimit": None,
        "queues": [{"name": "default"}, {"name": "heavy", "priority": 2, "concurrencyLimit": 4}],
    }
    (tmp_path / "p.json").write_text(json.dumps(pool))
    wanted = read_wanted(tmp_path / "t.json", tmp_path / "p.json")
    assert wanted.queues == (Queue("default"), Queue("heavy", 2, 4))
    assert wanted.noted_hash == template_hash(TEMPLATE)


@pytest.mark.parametrize(
    ("template", "pool", "said"),
    [
        ("{}", '{"name": "x"}', "no base job template"),
        ("{", '{"name": "x"}', "cannot be read as JSON"),
        ("[]", '{"name": "x"}', "holds no JSON object"),
        (json.dumps(TEMPLATE), "{}", "does not describe a work pool"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, template: str, pool: str, said: str) -> None:
    (tmp_path / "t.json").write_text(template)
    (tmp_path / "p.json").write_text(pool)
    with pytest.raises(ConfigurationError, match=said):
        read_wanted(tmp_path / "t.json", tmp_path / "p.json")
