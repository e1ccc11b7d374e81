"""The file of rejected rows: what it holds of each kind of input; whole or not there."""

from __future__ import annotations

import csv
import json
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.driver.types import Duration
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.writes.files import Files
from prefect_cassandra.writes.rejects import ADDED, RejectFile
from support.rows import chunks_of, rows_of, table_of, unreadable_of

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.driver.tables import TableInfo

TABLE = table_of(p="text", n="int", b="blob")


def reject(data: object, table: TableInfo, path: str, files: Files | None = None) -> None:
    """Reject every row of the input."""
    with RejectFile(path, files) as sink:
        for chunk in chunks_of(data, table):
            why = chunk.unreadable()
            sink.take(
                [
                    chunk.reject(place, *why.get(place, ("n", "no reason")))
                    for place in range(chunk.size)
                ],
                chunk,
            )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_values_from_memory_are_written_as_a_load_reads_them(tmp_path: Path) -> None:
    table = table_of(p="text", o="text")
    values = [
        b"\x01",
        Decimal("1.10"),
        date(2013, 1, 31),
        datetime(2013, 1, 31, tzinfo=UTC),
        uuid.UUID(int=1),
        Duration(1, 2, 3),
        Duration(0, -2, 0),
        {"k": [Decimal(1)]},
        {1: b"\x02"},
        (1, None),
        True,
        1.5,
        None,
    ]
    reject([{"p": "x", "o": value} for value in values], table, str(tmp_path / "r.jsonl"))
    assert [line["o"] for line in lines(tmp_path / "r.jsonl")] == [
        "0x01",
        "1.10",
        "2013-01-31",
        "2013-01-31T00:00:00+00:00",
        str(uuid.UUID(int=1)),
        "1mo2d3ns",
        "-0mo2d0ns",
        {"k": ["1"]},
        [[1, "0x02"]],
        [1, None],
        True,
        1.5,
        None,
    ]


def test_arrow_values_finer_than_pythons_are_written(tmp_path: Path) -> None:
    table = pa.table({"p": ["x"], "n": pa.array([1], pa.timestamp("ns", "UTC"))})
    reject(table, TABLE, str(tmp_path / "r.csv"))
    assert "1970-01-01" in (tmp_path / "r.csv").read_text()
    assert "000000001" in (tmp_path / "r.csv").read_text()


def test_cells_that_are_no_utf8_come_out_as_they_went_in(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"p,n\nx\xff,1\n")
    files = Files(str(tmp_path / "a.csv"))
    reject(files, TABLE, str(tmp_path / "r.csv"), files)
    assert b'"x\xff","1"' in (tmp_path / "r.csv").read_bytes()


def test_columns_of_all_files_are_in_one_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("p,n\nx,1\n")
    (tmp_path / "b.csv").write_text("b,p\n0x01,y\n")
    reject(Files(f"{tmp_path}/*.csv"), TABLE, str(tmp_path / "r.csv"))
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["p", "n", "b", *ADDED]
    assert [(row["p"], row["n"], row["b"]) for row in rows] == [("x", "1", ""), ("y", "", "0x01")]


def test_without_rejects_there_is_no_file(tmp_path: Path) -> None:
    with RejectFile(str(tmp_path / "r.csv")):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["r.txt", "r", "there.csv"])
def test_a_name_that_cannot_be_used_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "there.csv").touch()
    with pytest.raises(ConfigurationError):
        RejectFile(str(tmp_path / name))


def test_the_file_can_be_far_away() -> None:
    reject([{"p": "x", "n": 1}], TABLE, "memory://rejects/r.jsonl")
    (line,) = fsspec.filesystem("memory").cat("/rejects/r.jsonl").decode().splitlines()
    assert json.loads(line)["p"] == "x"


def test_a_far_file_is_opened_with_the_options_of_the_input_of_the_same_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[tuple[str, Any]] = []

    def file_system(url: str, options: Any) -> tuple[Any, str]:
        opened.append((url, dict(options)))
        return fsspec.filesystem("memory"), "/options/r.csv"

    monkeypatch.setattr("prefect_cassandra.writes.rejects.file_system", file_system)
    files = Files("memory://in/a.csv", storage_options={"endpoint": "x"})
    for path, chosen in (("memory://r.csv", None), ("s3://b/r.csv", None), ("s3://b/r.csv", {})):
        RejectFile(path, files, storage_options=chosen)
    RejectFile("s3://b/r.csv", files, storage_options={"anon": True})
    assert [options for _, options in opened] == [{"endpoint": "x"}, {}, {}, {"anon": True}]


def test_a_far_file_that_is_there_is_kept() -> None:
    fsspec.filesystem("memory").pipe("/kept/r.csv", b"mine")
    with pytest.raises(ConfigurationError, match=r"a reject file memory://kept/r\.csv already"):
        RejectFile("memory://kept/r.csv")
    RejectFile("memory://kept/r.csv", replace=True)


CELL = st.one_of(
    st.none(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=20), st.sampled_from(["", "NA"]))
@settings(max_examples=40, deadline=None)
def test_what_was_rejected_is_read_again_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, str | None]], null: str
) -> None:
    folder, table = tmp_path_factory.mktemp("again"), table_of(p="text", v="text")
    text = "".join(
        ";".join(null if one is None else "'" + one.replace("'", "''") + "'" for one in row) + "\n"
        for row in rows
    )
    (folder / "a.csv").write_text(f"p;v\n{text}", encoding="utf-8", newline="")
    files = Files(str(folder / "a.csv"), delimiter=";", quote="'", null_marks=[null])
    reject(files, table, str(folder / "r.csv"), files)
    again = Files(str(folder / "r.csv"), delimiter=";", quote="'", null_marks=[null])
    chunks = chunks_of(again, table)
    assert [(row["p"], row["v"]) for row in rows_of(chunks)] == rows
    assert not unreadable_of(chunks)
