"""Which files are meant, in which format, and what of them a load sees first."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_cassandra.errors import ConfigurationError, DataError, UnreachableError
from prefect_cassandra.writes.files import Files
from prefect_cassandra.writes.finding import found, reading
from prefect_cassandra.writes.formats import columnar, json_lines
from prefect_cassandra.writes.read_ahead import read_ahead
from prefect_cassandra.writes.sources import parts
from support.rows import chunks_of, rows_of, table_of, unreadable_of
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = table_of(p="text", n="int", d="decimal")
ROWS = [{"p": "x", "n": 1}, {"p": "y", "n": None}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of CSV, and what lies about beside them."""
    for name in ("b.csv", "a.csv", "deep/c.csv.gz", "_SUCCESS", ".hidden.csv", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("p,n\n")
    (tmp_path / "_unload").mkdir()
    (tmp_path / "_unload" / "d.csv").touch()
    return tmp_path


def names(files: Files) -> list[str]:
    return [Path(file.path).name for file in found(files)]


def test_a_folder_a_glob_and_a_list_of_both_are_files(folder: Path) -> None:
    assert names(Files(str(folder))) == ["a.csv", "b.csv", "c.csv.gz"]
    assert names(Files(f"{folder}/*.csv")) == ["a.csv", "b.csv"]
    assert names(Files([f"{folder}/b.csv", f"{folder}/deep"])) == ["b.csv", "c.csv.gz"]
    assert names(Files(f"{folder}/notes.txt", format="csv")) == ["notes.txt"]
    assert names(Files(f"file://{folder}/a.csv")) == ["a.csv"]


def test_a_hidden_folder_that_is_named_is_meant(folder: Path) -> None:
    (folder / "_unload" / ".e.csv").touch()
    for asked in ("_unload", "_unload/*.csv", "_un*/*.csv"):
        assert names(Files(f"{folder}/{asked}")) == ["d.csv"], asked
    assert names(Files(f"{folder}/.h*.csv")) == [".hidden.csv"]
    assert names(Files(f"{folder}/**/*.csv")) == ["a.csv", "b.csv"]


def test_a_name_with_the_marks_of_a_glob_is_a_name_where_there_is_such_a_file(
    tmp_path: Path,
) -> None:
    for name in ("a[1].csv", "a1.csv", "in [2013]/b.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names(Files(f"{tmp_path}/a[1].csv")) == ["a[1].csv"]
    assert names(Files(f"{tmp_path}/in [2013]")) == ["b.csv"]
    assert names(Files(f"{tmp_path}/a[0-9].csv")) == ["a1.csv"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"urls": "nowhere"}, "no file to load at .*nowhere"),
        ({"urls": "*.parquet"}, "no file to load at"),
        ({"urls": []}, "There is no file to load"),
        ({"urls": "notes.txt"}, "does not tell its format"),
        ({"urls": "a.zip"}, "packed in a form that is not read"),
    ],
)
def test_what_is_no_input_is_refused(folder: Path, change: dict[str, Any], said: str) -> None:
    (folder / "a.zip").touch()
    urls = change["urls"]
    with pytest.raises(ConfigurationError, match=said):
        found(Files(f"{folder}/{urls}" if isinstance(urls, str) else urls))


def test_files_of_several_formats_need_a_choice(folder: Path) -> None:
    (folder / "z.jsonl").touch()
    with pytest.raises(ConfigurationError, match="several formats: csv, json"):
        found(Files(str(folder)))


@pytest.mark.parametrize(
    ("url", "said"),
    [("s3://bucket/a.csv", "package"), ("nonsense://a.csv", "cannot be opened")],
)
def test_stores_that_are_not_known_are_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        found(Files(url))


@pytest.mark.parametrize(
    "wrong",
    [{"delimiter": "::"}, {"quote": ""}, {"format": "xml"}, {"names": "a"}, {"null_marks": "NA"}],
)
def test_options_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Files("a.csv", **wrong)


def test_a_store_far_away_is_read_like_a_folder() -> None:
    far = fsspec.filesystem("memory")
    far.pipe("/bucket/a.csv", b"p,n\nx,1\n")
    far.pipe("/bucket/b.csv", b"p,n\ny,\n")
    assert rows_of(chunks_of(Files("memory://bucket"), TABLE)) == ROWS
    pieces = Files("memory://bucket").split(9)
    assert [row for piece in pieces for row in rows_of(chunks_of(piece, TABLE))] == ROWS
    assert len(pieces) == 2


def test_split_deals_bytes_out_evenly_and_loses_no_file(tmp_path: Path) -> None:
    sizes = [100, 1, 50, 50, 99, 1, 0]
    for number, size in enumerate(sizes):
        (tmp_path / f"{number}.csv").write_bytes(b"x" * size)
    pieces = Files(str(tmp_path), null_marks=["NA"]).split(3)
    dealt = [[Path(url).stat().st_size for url in piece.urls] for piece in pieces]
    assert sorted(map(sum, dealt)) == [100, 100, 101]
    assert sorted(Path(url).name for piece in pieces for url in piece.urls) == sorted(
        f"{number}.csv" for number in range(len(sizes))
    )
    assert {tuple(piece.null_marks) for piece in pieces} == {("NA",)}


def test_the_columns_of_every_file_come_before_the_first_row(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("p,n\nx,1\n")
    sizes = [part.size for part in parts(Files(str(tmp_path)), TABLE)]
    assert sizes == [0, 0, 1, 1]


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_columns_of_columnar_files_keep_their_types(tmp_path: Path, suffix: str) -> None:
    table = pa.table({"q": ["x", "y"], "n": pa.array([1, None], pa.int32()), "z": [[1], [2]]})
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path, row_group_size=1)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=1)
    chunks = chunks_of(Files(str(path), rename={"q": "p"}, skip=["z"]), TABLE)
    assert rows_of(chunks) == ROWS
    assert [place for chunk in chunks for place in chunk.positions] == [0, 1]
    assert {chunk.columns["n"].type for chunk in chunks} == {pa.int32()}  # type: ignore[union-attr]


def test_wide_rows_of_parquet_come_fewer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "wide.parquet"
    rows = [b"%06d" % n * 5_000 for n in range(3_000)]
    pq.write_table(pa.table({"p": rows}), path, use_dictionary=False)
    sizes = [part.size for part in parts(Files(str(path)), table_of(p="blob"))]
    assert sum(sizes) == 3_000
    assert max(sizes) * 30_000 < 2 * columnar._PART_BYTES


def test_what_is_small_in_parquet_and_large_in_memory_comes_in_small_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columnar, "_PART_BYTES", 1 << 20)
    monkeypatch.setattr(columnar, "_STEP_BYTES", 1 << 16)
    path = tmp_path / "repeated.parquet"
    # The second text has 10 kB, and stands in the file once.
    repeated = pa.array(["x" * 20] * 1_000 + ["y" * 10_000] * 1_000)
    whole = pa.table({"p": repeated, "n": pa.array(range(2_000), pa.int32())})
    pq.write_table(whole, path, row_group_size=1_000)
    assert path.stat().st_size < 50_000
    table = table_of(p="text", n="int")
    sizes = []
    for chunk in chunks_of(Files(str(path)), table):
        sizes.append(chunk.nbytes)
        assert chunk.columns["p"][0].as_py()[0] == "xy"[chunk.columns["n"][0].as_py() // 1_000]
    assert max(sizes) <= 1 << 20
    assert sum(part.size for part in parts(Files(str(path)), table)) == 2_000


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("p,n\nx,1\n")
    with pytest.raises(DataError, match="cannot be read"):
        chunks_of(Files(str(tmp_path / name)), TABLE)


def test_packed_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet.gz").touch()
    with pytest.raises(DataError, match="parquet inside of gzip"):
        chunks_of(Files(str(tmp_path / "a.parquet.gz")), TABLE)


@pytest.mark.parametrize("block", [20, 1 << 20])
def test_lines_of_json_are_rows_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(json_lines, "BLOCK_BYTES", block)
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"p": "x", "n": 1}\r\n\n{"p": "\xe2\x98\x83", "d": 1.10}\n[1]\n{"p": 1\n'
        b'{"p": "y", "q": 1}\n{"p": "z\xff"}\n{"n": 2, "p": "last"}'
    )
    chunks = chunks_of(Files(str(path), skip=["nowhere"]), TABLE)
    unreadable = unreadable_of(chunks)
    assert {row: column for row, (column, _) in unreadable.items()} == {2: "", 3: "", 4: "q", 5: ""}
    assert "not a JSON object" in unreadable[2][1]
    assert "not JSON" in unreadable[3][1]
    assert unreadable[4][1] == "ks.t has no such column"
    assert "not UTF-8" in unreadable[5][1]
    good = [row for place, row in enumerate(rows_of(chunks)) if place not in unreadable]
    assert [(row["p"], row["n"]) for row in good] == [("x", 1), ("☃", None), ("last", 2)]
    assert str(good[1]["d"]) == "1.10"


@pytest.mark.parametrize("end", ["", "\n", '\n{"p": "y"}', "\n\n"])
def test_a_first_row_of_json_may_be_longer_than_the_first_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(json_lines, "_LOOKED_AT_BYTES", 16)
    path = tmp_path / "a.jsonl"
    path.write_text('\ufeff\n\n{"p": "' + "x" * 100 + '", "n": 1}' + end)
    rows = rows_of(chunks_of(Files(str(path)), TABLE))
    assert rows[0] == {"p": "x" * 100, "n": 1}
    assert len(rows) == 1 + end.count("y")


def test_a_first_row_of_json_that_nobody_can_have_meant_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "_LOOKED_AT_BYTES", 16)
    monkeypatch.setattr(json_lines, "_LONGEST_ROW", 64)
    (tmp_path / "a.json").write_text('{"p": "' + "x" * 100 + '"}')
    with pytest.raises(DataError, match="the first row has more than"):
        chunks_of(Files(str(tmp_path / "a.json")), TABLE)


def test_json_that_is_no_lines_of_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[\n{"p": "x"},\n{"p": "y"}\n]\n')
    with pytest.raises(DataError, match="one JSON object a line"):
        chunks_of(Files(str(tmp_path / "a.json")), TABLE)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("x"), ConfigurationError),
        (PermissionError("x"), ConfigurationError),
        (ConnectionResetError("x"), UnreachableError),
        (pa.ArrowInvalid("x"), DataError),
        (OSError("Truncated compressed stream"), DataError),
    ],
)
def test_errors_of_reading_name_the_file(error: Exception, kind: type[Exception]) -> None:
    def fail() -> None:
        with reading("far.csv"):
            raise error

    with pytest.raises(kind, match=r"far\.csv"):
        fail()


def test_errors_show_no_login() -> None:
    url = "ftp://me:secret@host/a.csv"
    with pytest.raises(UnreachableError) as caught, reading(url):
        raise OSError(f"no answer from {url}")
    assert "ftp://host/a.csv" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_read_ahead_gives_everything_and_then_the_error() -> None:
    def pieces() -> Iterator[int]:
        yield from range(5)
        raise DataError("row 5")

    got: list[int] = []

    def take() -> None:
        got.extend(read_ahead(pieces()))

    with pytest.raises(DataError, match="row 5"):
        take()
    assert got == [0, 1, 2, 3, 4]


def test_read_ahead_holds_a_bounded_number_and_ends_with_its_reader() -> None:
    made: list[int] = []
    closed = threading.Event()

    def pieces() -> Iterator[int]:
        try:
            for number in range(1_000):
                made.append(number)
                yield number
        finally:
            closed.set()

    reader = read_ahead(pieces(), ahead=2)
    assert next(reader) == 0
    eventually(lambda: len(made) == 4, within=10)
    reader.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert len(made) == 4
