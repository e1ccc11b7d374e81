"""What an unload keeps beside its files, on a folder without any database."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.reads.destination import Destination
from prefect_cassandra.reads.ranges import Split, TokenRange
from prefect_cassandra.reads.unload_plan import Done, Plan, Progress

if TYPE_CHECKING:
    from pathlib import Path

SPLITS = tuple(Split((TokenRange(n, n + 1),), ("10.0.0.1",)) for n in range(3))
PLAN = Plan(
    table="ks.t",
    query="SELECT k FROM ks.t",
    parameters="",
    columns=(("k", "int"),),
    format="parquet",
    compression="zstd",
    numbers="decimal",
    consistency="",
    run_key="a",
    started="2026-01-01T00:00:00+00:00",
    splits=SPLITS,
    id="0123abcd",
)
LATER = replace(PLAN, id="4567abcd", run_key="b")


def at(folder: Path) -> Progress:
    return Progress(Destination(str(folder)))


def put(folder: Path, plan: Plan, *numbers: int) -> None:
    for number in numbers:
        (folder / plan.file(number)).write_bytes(b"rows")
        at(folder).record(plan, number, Done(plan.file(number), 1, 4, ""))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    at(tmp_path).start(PLAN)
    assert at(tmp_path).plan() == PLAN


def test_files_and_records_of_another_plan_do_not_count(tmp_path: Path) -> None:
    put(tmp_path, PLAN, 0, 1)
    put(tmp_path, LATER, 2)
    assert set(at(tmp_path).done(PLAN)) == {0, 1}
    assert set(at(tmp_path).done(LATER)) == {2}


@pytest.mark.parametrize(
    "change",
    [{"query": "SELECT v FROM ks.t"}, {"consistency": "ALL"}, {"parameters": "00"}],
    ids=str,
)
def test_other_content_cannot_lie_beside_it(change: dict[str, str]) -> None:
    assert PLAN.same_content(replace(LATER, splits=()))
    assert not PLAN.same_content(replace(PLAN, **change))  # type: ignore[arg-type]


def test_only_the_plan_of_the_folder_may_publish(tmp_path: Path) -> None:
    progress = at(tmp_path)
    progress.start(PLAN)
    progress.require(PLAN)
    progress.start(LATER)
    with pytest.raises(ConfigurationError, match="another one took its place"):
        progress.require(PLAN)
    put(tmp_path, LATER, 0, 1, 2)
    progress.finish(LATER, progress.done(LATER))
    assert progress.owner() == LATER.id
    with pytest.raises(ConfigurationError, match="finished or removed"):
        progress.require(LATER)


def test_a_finished_folder_holds_what_the_manifest_lists(tmp_path: Path) -> None:
    progress = at(tmp_path)
    progress.start(LATER)
    put(tmp_path, LATER, 0, 1, 2)
    # Of a process of the plan before, killed when it had just moved its file.
    (tmp_path / PLAN.file(1)).write_bytes(b"old")
    progress.finish(LATER, progress.done(LATER))
    assert names(tmp_path) == {"_manifest.json", *(LATER.file(n) for n in range(3))}


def test_clearing_removes_nothing_of_anybody_else(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(b"")
    assert at(tmp_path).left() == set()
    at(tmp_path).start(PLAN)
    put(tmp_path, PLAN, 0)
    at(tmp_path).clear()
    assert names(tmp_path) == {"mine.parquet"}


class _CutError(Exception):
    pass


class _CutDestination(Destination):
    """Stops working after so many removals."""

    left = 0

    def remove(self, names: list[str]) -> None:
        for name in names:
            if not self.left:
                raise _CutError
            self.left -= 1
            super().remove([name])


@pytest.mark.parametrize("removals", range(4))
@pytest.mark.parametrize("finished", [False, True])
def test_clearing_that_was_cut_off_is_finished_by_the_next(
    tmp_path: Path, removals: int, *, finished: bool
) -> None:
    progress = at(tmp_path)
    progress.start(PLAN)
    put(tmp_path, PLAN, 0, 1, 2)
    if finished:
        progress.finish(PLAN, progress.done(PLAN))
    cut = _CutDestination(str(tmp_path))
    cut.left = removals
    with pytest.raises(_CutError):
        Progress(cut).clear()
    assert PLAN.file(2) in at(tmp_path).left()
    at(tmp_path).clear()
    assert names(tmp_path) == set()
