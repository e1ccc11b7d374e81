from __future__ import annotations

import gc
import uuid
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from prefect.context import FlowRunContext, TaskRunContext

from prefect_cassandra.tasks import provenance
from prefect_cassandra.tasks.provenance import default_key

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = uuid.uuid4()


@contextmanager
def flow_attempt(*, detached: bool = False) -> Iterator[None]:
    """Stand in one attempt of a flow run; Prefect counts from the beginning in each."""
    with FlowRunContext.model_construct(
        flow_run=SimpleNamespace(id=RUN), task_run_dynamic_keys={}, detached=detached
    ):
        yield


@contextmanager
def task_attempt(run: uuid.UUID | None = None, attempt: int = 1) -> Iterator[None]:
    """Stand in one attempt of a task run."""
    task_run = SimpleNamespace(id=run or uuid.uuid4(), run_count=attempt)
    with TaskRunContext.model_construct(task_run=task_run):
        yield


def keys(*names: str) -> list[str]:
    found = [default_key(name) for name in names]
    return [(key or "").removeprefix(f"flow-run/{RUN}/") for key in found]


def test_a_write_outside_of_a_run_has_no_key() -> None:
    assert default_key("t") is None
    with flow_attempt():
        assert default_key("t") is None


@pytest.mark.parametrize("detached", [False, True])
def test_each_attempt_of_a_task_writes_under_the_same_keys(detached: bool) -> None:  # noqa: FBT001
    task, found = uuid.uuid4(), []
    with flow_attempt(detached=detached):
        for attempt in (1, 2):
            with task_attempt(task, attempt):
                found.append(keys("t", "u", "t", "t"))
    assert found[0] == found[1]
    assert len(set(found[0])) == 4


def test_a_task_has_a_place_for_each_name_it_writes() -> None:
    with flow_attempt():
        with task_attempt():
            assert keys("A", "B") == ["A/0", "B/0"]
        with task_attempt():
            # The place of A would be free by now if tasks were counted and not what they write.
            assert keys("B", "A", "B") == ["B/1", "A/1", "B/1/1"]
    with flow_attempt(), task_attempt():
        assert keys("B") == ["B/0"]


def test_what_says_one_thing_after_another_and_again_has_a_key_for_each() -> None:
    with flow_attempt():
        found = []
        for names in (("log", "idle"), ("running",), ("idle",)):
            with task_attempt():
                found += keys(*names)
    assert found == ["log/0", "idle/0", "running/0", "idle/1"]


def test_a_running_task_may_repeat_itself_however_much_it_writes_between() -> None:
    names = [f"n{number}" for number in range(10_001)]
    with flow_attempt(), task_attempt():
        keys(*names)
        assert keys("n0") == ["n0/0/1"]


def test_what_a_task_wrote_is_forgotten_with_its_attempt() -> None:
    gc.collect()
    before = len(provenance._repeats)
    with flow_attempt():
        for _ in range(10):
            with task_attempt():
                keys("t")
    gc.collect()
    assert len(provenance._repeats) <= before + 1
