"""The values flow from end to end: file, table, cache, and nothing half-done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.values import etl

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from prefect.client.schemas.objects import State

    from prefect_cassandra.driver.session import Session

pytestmark = pytest.mark.usefixtures("deployed")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a file of five numbers; its folder makes it a partition of its own."""
    return written(tmp_path, 10, -20, 30, 0, 7)


def written(folder: Path, *values: object) -> str:
    path = folder / "numbers.csv"
    path.write_text("".join(f"{value}\n" for value in ("value", *values)))
    return str(path)


def stored(superuser: Session, path: str) -> list[tuple[int, int, int]]:
    rows = superuser.execute(
        "SELECT line, value, plus_one FROM values_demo.by_file WHERE file = ?", [path]
    )
    return [(row["line"], row["value"], row["plus_one"]) for row in rows]


def task_states(flow_run_id: UUID | None) -> dict[str, list[str]]:
    """Return the names of the states that each task of a run ended in."""
    assert flow_run_id is not None
    found: dict[str, list[str]] = {}
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
        )
    for run in runs:
        found.setdefault(run.name.rsplit("-", 1)[0], []).append(run.state_name or "")
    return found


def run(path: str) -> State[int]:
    return etl.values(path, chunk_size=2, return_state=True)


def test_numbers_arrive_in_the_file_and_in_the_table(path: str, superuser: Session) -> None:
    assert etl.values(path, chunk_size=2) == 5
    assert etl.output_path(path).read_text().split() == ["value", "11", "-19", "31", "1", "8"]
    assert stored(superuser, path) == [
        (2, 10, 11),
        (3, -20, -19),
        (4, 30, 31),
        (5, 0, 1),
        (6, 7, 8),
    ]


def test_the_second_run_takes_the_extract_from_the_cache(path: str) -> None:
    first, second = run(path), run(path)
    assert task_states(first.state_details.flow_run_id)["extract"] == ["Completed"]
    assert task_states(second.state_details.flow_run_id)["extract"] == ["Cached"]
    # Five numbers in chunks of two.
    assert task_states(second.state_details.flow_run_id)["add_one"] == ["Completed"] * 3


def test_a_changed_file_is_read_again(path: str, tmp_path: Path, superuser: Session) -> None:
    etl.values(path)
    assert etl.values(written(tmp_path, 1, 2)) == 2
    assert stored(superuser, path) == [(2, 1, 2), (3, 2, 3)]


def test_a_bad_line_is_named_and_nothing_is_written(tmp_path: Path, superuser: Session) -> None:
    path = written(tmp_path, 1, "seven", 3)
    with pytest.raises(etl.BadLineError, match=r"numbers\.csv, line 3: 'seven' is not"):
        etl.values(path)
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.csv"]
    assert stored(superuser, path) == []
