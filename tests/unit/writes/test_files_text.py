"""CSV files: cells, nulls, quotes, broken rows, row numbers."""

from __future__ import annotations

import bz2
import gzip
import itertools
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.errors import ConfigurationError, DataError
from prefect_cassandra.writes.files import Files
from prefect_cassandra.writes.formats import text
from support.rows import chunks_of, rows_of, table_of, unreadable_of

if TYPE_CHECKING:
    from pathlib import Path

ZONE = "a time needs its zone, as in 2013-01-01T05:00:00Z"
TABLE = table_of(p="text", n="int", d="decimal", t="timestamp")


def write(folder: Path, content: str | bytes, name: str = "a.csv") -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_cells_get_the_types_of_the_table(tmp_path: Path) -> None:
    path = write(tmp_path, 'p,n,d,t\nx,1,1.10,2013-01-01T05:00:00Z\n"y, ""z""\nw",,,\n')
    assert rows_of(chunks_of(Files(path), TABLE)) == [
        {"p": "x", "n": 1, "d": Decimal("1.10"), "t": datetime(2013, 1, 1, 5, tzinfo=UTC)},
        {"p": 'y, "z"\nw', "n": None, "d": None, "t": None},
    ]


def test_an_empty_cell_is_missing_and_a_quoted_one_is_empty_text(tmp_path: Path) -> None:
    path = write(tmp_path, 'p,n\n,1\n"",""\n')
    assert rows_of(chunks_of(Files(path), TABLE)) == [{"p": None, "n": 1}, {"p": "", "n": None}]


def test_null_marks_replace_the_empty_cell(tmp_path: Path) -> None:
    path = write(tmp_path, 'p,n\nNA,NA\n,\n"NA",1\n')
    assert rows_of(chunks_of(Files(path, null_marks=["NA"]), TABLE)) == [
        {"p": None, "n": None},
        {"p": "", "n": None},
        {"p": "NA", "n": 1},
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_line_ends_and_marks_of_other_machines_do_not_matter(
    tmp_path: Path, start: str, end: str
) -> None:
    lines = (end or "\n").join(["p,n", "x,1", "y,2"])
    path = write(tmp_path, f"{start}{lines}{end}")
    assert rows_of(chunks_of(Files(path), TABLE)) == [{"p": "x", "n": 1}, {"p": "y", "n": 2}]


def test_columns_are_renamed_skipped_and_named(tmp_path: Path) -> None:
    path = write(tmp_path, "x;1;no\n")
    files = Files(path, delimiter=";", names=["a", "n", "z"], rename={"a": "p"}, skip=["z"])
    assert rows_of(chunks_of(files, TABLE)) == [{"p": "x", "n": 1}]


@pytest.mark.parametrize("option", [{"rename": {"q": "p"}}, {"skip": ["q"]}])
def test_a_column_that_is_not_there_cannot_be_renamed_or_skipped(
    tmp_path: Path, option: dict[str, Any]
) -> None:
    path = write(tmp_path, "p,n\nx,1\n")
    with pytest.raises(ConfigurationError, match="has no column 'q'"):
        chunks_of(Files(path, **option), TABLE)


@pytest.mark.parametrize("header", ["p,p\n", "p,a\n"])
def test_two_columns_for_one_are_refused(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, header + "x,1\n")
    rename = {"a": "p"} if "a" in header else {}
    with pytest.raises(DataError, match="two columns for p"):
        chunks_of(Files(path, rename=rename), TABLE)


def test_rows_of_other_lengths_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, 'p,n\nx,1\ny\n\n"z\nz",2\nq,3,4\nw,5\n')
    chunks = chunks_of(Files(path), TABLE)
    assert unreadable_of(chunks) == {
        1: ("", "it has 1 cells, 2 are expected"),
        3: ("", "it has 3 cells, 2 are expected"),
    }
    good = {
        position: row
        for position, row in zip(
            itertools.chain.from_iterable(chunk.positions for chunk in chunks),
            rows_of(chunks),
            strict=True,
        )
        if row["p"]
    }
    assert {position: row["p"] for position, row in good.items()} == {
        0: "x",
        2: "z\nz",
        4: "w",
    }


def test_a_file_of_broken_rows_alone_names_them_all(tmp_path: Path) -> None:
    path = write(tmp_path, "p,n\nx\ny\n")
    assert set(unreadable_of(chunks_of(Files(path), TABLE))) == {0, 1}


def test_cells_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, b"p,n,d,t\nx,one,1,\n\xff,2,1,\nz,3,1.2.3,\nw,4,4,2013-01-01T05:00\n")
    assert unreadable_of(chunks_of(Files(path), TABLE)) == {
        0: ("n", "'one' is not a whole number"),
        1: ("p", "byte 1 of b'\\xff' is not UTF-8"),
        2: ("d", "'1.2.3' is not a decimal number"),
        3: (
            "t",
            "'2013-01-01T05:00' has no time zone: " + ZONE,
        ),
    }


@pytest.mark.parametrize("rows", ['x,1\n"y,2\nz,3\n', '"y,2\nz,3\n', 'x,1\ny,"2\nz,3\n'])
def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path, rows: str) -> None:
    path = write(tmp_path, f"p,n\n{rows}")
    with pytest.raises(DataError, match=r"a\.csv: a quote opened in or after row 0 is not closed"):
        chunks_of(Files(path), TABLE)


def test_quotes_inside_of_cells_are_nothing_special(tmp_path: Path) -> None:
    path = write(tmp_path, 'p,n\n5" pipe,1\n"two\nlines",2\nlast,3\n')
    assert [row["p"] for row in rows_of(chunks_of(Files(path), TABLE))] == [
        '5" pipe',
        "two\nlines",
        "last",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not even a header"),
        ("p,n\nx,1\n".encode("utf-16"), "UTF-16"),
        (b"p\xff,n\nx,1\n", "header of .* is not UTF-8"),
    ],
)
def test_files_that_are_no_utf8_text_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        chunks_of(Files(write(tmp_path, content)), TABLE)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_header_alone_is_no_rows(tmp_path: Path, end: str) -> None:
    assert chunks_of(Files(write(tmp_path, f"p,n{end}")), TABLE) == []


def packed(name: str, content: bytes) -> bytes:
    match name:
        case "gz":
            # Two members, as tools that append to a packed file leave them.
            return gzip.compress(content[:7]) + gzip.compress(content[7:])
        case "bz2":
            return bz2.compress(content)
    compressed: bytes = pa.compress(content, {"zst": "zstd"}[name], asbytes=True)
    return compressed


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst"])
def test_packed_files_are_unpacked_as_they_are_read(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, packed(suffix, b"p,n\nx,1\ny,2\n"), f"a.csv.{suffix}")
    assert rows_of(chunks_of(Files(path), TABLE)) == [{"p": "x", "n": 1}, {"p": "y", "n": 2}]


def test_a_packed_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"p,n\n" + b"".join(b"x,%d\n" % n for n in range(300_000)))
    path = write(tmp_path, whole[:-9], "a.csv.gz")
    with pytest.raises(DataError, match=r"a\.csv\.gz is broken: Truncated"):
        chunks_of(Files(path), TABLE)


def test_a_row_that_is_larger_than_a_block_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "BLOCK_BYTES", 64)
    rows = [("x" * (500 if n == 20 else 5), n) for n in range(40)]
    path = write(tmp_path, "p,n\n" + "".join(f"{p},{n}\n" for p, n in rows))
    chunks = chunks_of(Files(path), TABLE)
    assert [(row["p"], row["n"]) for row in rows_of(chunks)] == rows
    assert [place for chunk in chunks for place in chunk.positions] == [*range(40)]


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(CELL, CELL.map(lambda cell: cell or None)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_read_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str | None]]
) -> None:
    def quoted(cell: str | None) -> str:
        return "" if cell is None else '"' + cell.replace('"', '""') + '"'

    lines = "".join(f"{quoted(p)},{quoted(v)}\r\n" for p, v in rows)
    path = write(tmp_path_factory.mktemp("csv"), f"p,v\r\n{lines}")
    before = text.BLOCK_BYTES
    text.BLOCK_BYTES = 24
    try:
        chunks = chunks_of(Files(path), table_of(p="text", v="text"))
    finally:
        text.BLOCK_BYTES = before
    assert [(row["p"], row["v"]) for row in rows_of(chunks)] == rows
    assert not unreadable_of(chunks)


def test_dates_out_of_a_column_with_one_bad_cell_stay_dates(tmp_path: Path) -> None:
    table = table_of(p="text", d="date")
    path = write(tmp_path, "p,d\nx,2013-01-31\ny,2013-02-30\n")
    (chunk,) = chunks_of(Files(path), table)
    assert rows_of([chunk])[0]["d"] == date(2013, 1, 31)
    assert set(chunk.unreadable()) == {1}
