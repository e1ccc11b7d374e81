"""Adding one to a file of integers: what is read, refused and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.logging import disable_run_logger

from flows.values import etl

if TYPE_CHECKING:
    from pathlib import Path


def a_file(folder: Path, *lines: str) -> str:
    path = folder / "numbers.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def read(path: str) -> list[int]:
    with disable_run_logger():
        return etl.extract.fn(path)


def test_every_line_is_read(tmp_path: Path) -> None:
    assert read(a_file(tmp_path, "value", "1", "-2", "+3", " 4 ")) == [1, -2, 3, 4]


def test_a_header_alone_is_an_empty_file(tmp_path: Path) -> None:
    assert read(a_file(tmp_path, "value")) == []


@pytest.mark.parametrize(
    "line", ["seven", "", "1.0", "1,2", "1_000", "0x10", "٣", "99999999999999999999"]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = a_file(tmp_path, "value", "1", line, "3")
    with pytest.raises(etl.BadLineError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}, line 3: ")


def test_the_largest_value_has_room_for_one_more(tmp_path: Path) -> None:
    assert read(a_file(tmp_path, "value", str(2**63 - 2))) == [2**63 - 2]
    with pytest.raises(etl.BadLineError, match="does not fit 64 bits"):
        read(a_file(tmp_path, "value", str(2**63 - 1)))


@pytest.mark.parametrize("lines", [[], ["1", "2"], ["value,other"]])
def test_a_missing_header_is_named(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(etl.BadLineError, match="line 1: the header is"):
        read(a_file(tmp_path, *lines))


def test_the_result_stands_beside_the_input_and_nothing_else(tmp_path: Path) -> None:
    written = etl.write_file.fn(str(tmp_path / "numbers.csv"), [2, 3])
    assert written == tmp_path / "numbers.plus-one.csv"
    assert written.read_text().split() == ["value", "2", "3"]
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.plus-one.csv"]


def test_the_file_can_go_elsewhere(tmp_path: Path) -> None:
    written = etl.write_file.fn("somewhere/numbers.csv", [2], str(tmp_path))
    assert written == tmp_path / "numbers.plus-one.csv"


def test_a_write_that_breaks_off_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "numbers.csv")
    etl.write_file.fn(path, [2])

    def full(_descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(etl.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        etl.write_file.fn(path, [3, 4])
    assert etl.output_path(path).read_text().split() == ["value", "2"]
    assert [file.name for file in tmp_path.iterdir()] == ["numbers.plus-one.csv"]


def test_the_cache_key_follows_the_content_not_the_clock(tmp_path: Path) -> None:
    path = a_file(tmp_path, "value", "1")
    first = etl.content_key(None, {"path": path})  # type: ignore[arg-type]  # it looks at the path only
    a_file(tmp_path, "value", "1")
    assert etl.content_key(None, {"path": path}) == first  # type: ignore[arg-type]  # the same
    a_file(tmp_path, "value", "2")
    assert etl.content_key(None, {"path": path}) != first  # type: ignore[arg-type]  # the same


def test_a_missing_file_has_no_cache_key(tmp_path: Path) -> None:
    assert etl.content_key(None, {"path": str(tmp_path / "none")}) is None  # type: ignore[arg-type]  # it looks at the path only


def test_rows_carry_the_line_they_stand_on() -> None:
    assert etl.as_table("a.csv", [5, 6], [6, 7]).to_pylist() == [
        {"file": "a.csv", "line": 2, "value": 5, "plus_one": 6},
        {"file": "a.csv", "line": 3, "value": 6, "plus_one": 7},
    ]


def test_the_sample_is_readable() -> None:
    assert len(read("flows/values/sample.csv")) == 24
