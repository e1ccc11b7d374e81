"""Names of work: the same when a run is run again, another for other work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from prefect_cassandra.reads.unload import UnloadOptions
from prefect_cassandra.tasks.keys import content_digest, part_key, unload_key

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = UUID("12345678-1234-4234-8234-123456789abc")


def test_a_part_has_the_same_name_in_every_process() -> None:
    assert part_key("run", 3, "f/d", {"b": [1], "a": "x"}) == "run-3-45b9c4eccaff2c89"
    assert part_key("run", 3, "f/d", {"a": "x", "b": (1,)}) == "run-3-45b9c4eccaff2c89"


@pytest.mark.parametrize(
    "other",
    [
        ("run", 4, "f/d", {"a": 1}),
        ("other", 3, "f/d", {"a": 1}),
        ("run", 3, "f/e", {"a": 1}),
        ("run", 3, "f/d", {"a": "1"}),
        ("run", 3, "f/d", {"a": 1, "b": None}),
    ],
    ids=["place", "run", "deployment", "value", "more"],
)
def test_other_parts_have_other_names(other: tuple[str, int, str, dict[str, Any]]) -> None:
    assert part_key(*other) != part_key("run", 3, "f/d", {"a": 1})


def test_a_digest_is_of_values_that_json_does_not_know_too() -> None:
    assert content_digest(RUN) == content_digest(str(RUN))


def attempt(*calls: Callable[[], str]) -> list[str]:
    """Return what calls return inside one attempt of a flow run."""
    run = FlowRun.model_construct(id=RUN)
    with FlowRunContext.model_construct(flow_run=run, task_run_dynamic_keys={}):
        return [call() for call in calls]


def test_an_unload_has_a_name_in_its_run_only() -> None:
    assert unload_key("ks.t", "out", UnloadOptions()) == ""


def test_an_unload_has_the_same_name_in_each_attempt_of_its_flow_run() -> None:
    def call() -> str:
        return unload_key("ks.t", "out", UnloadOptions(columns=["a"]))

    def again() -> str:
        return unload_key("ks.t", "out", UnloadOptions(columns=("a",), in_flight=9))

    first = attempt(call, call)
    assert first == attempt(again, again)
    # The second one of a run is not the first, which may be there already.
    assert first[0] != first[1]
    assert first[0].startswith(f"flow-run/{RUN}/unload/")


@pytest.mark.parametrize(
    ("table", "url", "chosen"),
    [
        ("ks.u", "out", {}),
        ("ks.t", "in", {}),
        ("ks.t", "out", {"where": "a < 3"}),
        ("ks.t", "out", {"consistency": "ALL"}),
        ("ks.t", "out", {"format": "csv"}),
    ],
)
def test_other_unloads_of_a_run_have_other_names(
    table: str, url: str, chosen: dict[str, Any]
) -> None:
    names = attempt(
        lambda: unload_key("ks.t", "out", UnloadOptions()),
        lambda: unload_key(table, url, UnloadOptions(**chosen)),
    )
    assert len(set(names)) == 2


def test_no_secret_is_in_the_name() -> None:
    options = UnloadOptions(storage_options={"key": "secret"})
    assert attempt(lambda: unload_key("ks.t", "s3://me:pass@bucket", options)) == attempt(
        lambda: unload_key("ks.t", "s3://me:pass@bucket", UnloadOptions())
    )
    (name,) = attempt(lambda: unload_key("ks.t", "s3://me:pass@bucket", options))
    assert "pass" not in name
