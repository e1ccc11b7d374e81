"""Files into a real table: by the loader, and by the command line as people type it."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_cassandra.errors import ConfigurationError, DataError
from prefect_cassandra.writes.files import Files
from prefect_cassandra.writes.loader import LoadOptions, load
from prefect_cassandra.writes.rejects import RejectFile
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.driver.session import Session

    from .conftest import RunningNode

PROGRAM = Path(sys.executable).with_name("prefect-cassandra")
SECONDS = 60

# A cell of CSV and the same value as CQL writes it.
VALUES = {
    "ascii": ("plain", "'plain'"),
    "bigint": ("-9223372036854775808", "-9223372036854775808"),
    "blob": ("0x00ffCAFE", "0x00ffcafe"),
    "boolean": ("True", "true"),
    "date": ("0001-01-01", "'0001-01-01'"),
    "decimal": ("-12345678901234567890123456789.0100", "-12345678901234567890123456789.0100"),
    "double": ("-Infinity", "-Infinity"),
    "duration": ("P1Y2M3DT4H5M6.000000007S", "14mo3d4h5m6s7ns"),
    "float": ("0.1", "0.1"),
    "inet": ("2001:db8::1", "'2001:db8::1'"),
    "int": ("2147483647", "2147483647"),
    "smallint": ("-32768", "-32768"),
    "text": ('"""quoted""\nnext line, ☃"', "'\"quoted\"\nnext line, ☃'"),
    "time": ("23:59:59.999999999", "'23:59:59.999999999'"),
    "timestamp": ("2013-01-01 00:00:00.001-05:00", "'2013-01-01T05:00:00.001Z'"),
    "timeuuid": ("8ac6d1dc-d72e-11ef-9cd2-0242ac120002",) * 2,
    "tinyint": ("127", "127"),
    "uuid": ("F47AC10B-58CC-4372-A567-0E02B2C3D479", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
    "varint": ("123456789012345678901234567890", "123456789012345678901234567890"),
    "list<frozen<map<text, decimal>>>": ('"[{""a"": 1.10}, {}]"', "[{'a': 1.10}, {}]"),
    "set<uuid>": (
        '"[""f47ac10b-58cc-4372-a567-0e02b2c3d479""]"',
        "{f47ac10b-58cc-4372-a567-0e02b2c3d479}",
    ),
    "map<int, text>": ('"{""7"": ""x""}"', "{7: 'x'}"),
    "frozen<map<blob, time>>": ('"[[""0x07"", ""01:00:00""]]"', "{0x07: '01:00:00'}"),
    "tuple<int, text>": ('"[1, null]"', "(1, null)"),
    "vector<float, 3>": ('"[0.5, 1, -1.5]"', "[0.5, 1.0, -1.5]"),
    "frozen<pair>": ('"{""b"": ""x""}"', "{a: null, b: 'x'}"),
}


@pytest.fixture
def table(make: Callable[[str], str]) -> str:
    return make("p text, n int, v double, PRIMARY KEY (p, n)")


def rows_of(session: Session, table: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in session.execute(f"SELECT p, n, v FROM {table}"))


def write(folder: Path, content: str, name: str = "a.csv") -> str:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_a_cell_of_every_type_is_what_cql_takes_it_for(
    superuser: Session, make: Callable[[str], str], keyspace: str, tmp_path: Path
) -> None:
    superuser.execute(f"CREATE TYPE {keyspace}.pair (a int, b text)")
    columns = {f"c{number}": kind for number, kind in enumerate(VALUES)}
    table = make(
        "p text PRIMARY KEY, " + ", ".join(f"{name} {kind}" for name, kind in columns.items())
    )
    cells = ",".join(VALUES[kind][0] for kind in columns.values())
    path = write(tmp_path, f"p,{','.join(columns)}\nfile,{cells}\nempty{',' * len(columns)}\n")
    report = load(superuser, table, Files(path))
    literals = ", ".join(VALUES[kind][1] for kind in columns.values())
    superuser.execute(f"INSERT INTO {table} (p, {', '.join(columns)}) VALUES ('cql', {literals})")
    rows = {row.pop("p"): row for row in superuser.execute(f"SELECT * FROM {table}")}
    assert report.rows == 2
    assert rows["file"] == rows["cql"]
    assert set(rows["empty"].values()) == {None}


def test_json_lines_are_read_like_cells(
    superuser: Session, make: Callable[[str], str], tmp_path: Path
) -> None:
    table = make("p text PRIMARY KEY, d decimal, t timestamp, m map<text, int>, b boolean")
    path = write(
        tmp_path,
        '{"p": "x", "d": 1.10000000000000000001, "t": "2013-01-01T00:00:00Z", "b": true}\n\n'
        '{"p": "y", "m": {"k": 1}, "d": "2.50"}\n',
        "a.jsonl",
    )
    assert load(superuser, table, Files(path)).rows == 2
    rows = {row["p"]: row for row in superuser.execute(f"SELECT p, d, m, b FROM {table}")}
    assert str(rows["x"]["d"]) == "1.10000000000000000001"
    assert rows["x"]["b"] is True
    assert dict(rows["y"]["m"]) == {"k": 1}
    assert str(rows["y"]["d"]) == "2.50"


def test_a_folder_of_parquet_is_one_load(superuser: Session, table: str, tmp_path: Path) -> None:
    for number in range(3):
        part = pa.table({"p": [f"p{number}"] * 10, "n": range(10), "v": [0.5] * 10})
        pq.write_table(part, tmp_path / f"{number}.parquet")
    (tmp_path / "_SUCCESS").touch()
    report = load(superuser, table, Files(str(tmp_path)))
    assert report.rows == 30
    assert len(rows_of(superuser, table)) == 30


def test_nothing_is_written_when_a_later_file_does_not_fit(
    superuser: Session, table: str, tmp_path: Path
) -> None:
    write(tmp_path, "p,n,v\nx,1,1\n", "1.csv")
    write(tmp_path, "p,n,value\nx,1,1\n", "2.csv")
    with pytest.raises(DataError, match="no column 'value'"):
        load(superuser, table, Files(str(tmp_path)))
    assert rows_of(superuser, table) == []


def test_a_bad_cell_is_named_by_file_row_and_column(
    superuser: Session, table: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "p,n,v\nx,1,1\nx,two,1\n")
    with pytest.raises(DataError, match=r"a\.csv, row 1, column n: 'two' is not a whole number"):
        load(superuser, table, Files(path))
    assert rows_of(superuser, table) == []


BAD = 'p,n,v\nx,1,1\nx,two,2\n,3,3\nx,4\n"x",99999999999,5\nx,6,6\n'


def test_rejected_rows_can_be_mended_and_loaded_again(
    superuser: Session, table: str, tmp_path: Path
) -> None:
    path = write(tmp_path, BAD)
    rejected = tmp_path / "rejected.csv"
    with RejectFile(str(rejected), Files(path)) as sink:
        report = load(
            superuser, table, Files(path), LoadOptions(on_error="reject", reject_sink=sink)
        )
        assert not rejected.exists()
    assert (report.rows, report.rejected) == (2, 4)
    with rejected.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["reject_row"], row["reject_column"]) for row in rows) == [
        ("1", "n"),
        ("2", "p"),
        ("3", ""),
        ("4", "n"),
    ]
    by_row = {row["reject_row"]: row for row in rows}
    assert by_row["3"]["reject_line"] == "x,4"
    assert by_row["4"]["n"] == "99999999999"
    mended = rejected.read_text(encoding="utf-8").replace('"two"', '"2"')
    mended = mended.replace('"99999999999"', '"5"').replace(',"3","3",', '"x","3","3",', 1)
    lines = [line for line in mended.splitlines() if "x,4" not in line]
    again = load(superuser, table, Files(write(tmp_path, "\n".join(lines) + "\n", "mended.csv")))
    assert again.rows == 3
    assert [n for _, n, _ in rows_of(superuser, table)] == [1, 2, 3, 5, 6]


def test_rejected_json_keeps_every_digit(superuser: Session, table: str, tmp_path: Path) -> None:
    line = '{"p": "x", "n": "one", "v": 1.000000000000000000001}'
    path = write(tmp_path, f"{line}\n[1]\n", "a.jsonl")
    with RejectFile(str(tmp_path / "r.jsonl")) as sink:
        options = LoadOptions(on_error="reject", reject_sink=sink)
        assert load(superuser, table, Files(path), options).rejected == 2
    first, second = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    assert first.startswith(line[:-1])
    assert json.loads(first)["reject_reason"] == "'one' is not a whole number"
    assert json.loads(second)["reject_line"] == "[1]"


def test_a_reject_file_is_there_even_when_the_load_fails(
    superuser: Session, table: str, tmp_path: Path
) -> None:
    rejected = tmp_path / "rejected.csv"
    path = write(tmp_path, BAD)
    sink = RejectFile(str(rejected))
    options = LoadOptions(on_error="reject", reject_limit=2, reject_sink=sink)
    with sink, pytest.raises(DataError, match="2 are allowed"):
        load(superuser, table, Files(path), options)
    assert rejected.read_text(encoding="utf-8").count("\n") > 3
    with pytest.raises(ConfigurationError, match="already"):
        RejectFile(str(rejected))
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def command(node: RunningNode, *words: str) -> list[str]:
    config = node.config()
    assert config.login is not None
    return [
        str(PROGRAM),
        *words,
        *("--contact-points", *config.contact_points),
        *("--port", str(config.port)),
        *("--login-folder", str(config.login.folder)),
    ]


def run(node: RunningNode, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(node, *words), capture_output=True, text=True, check=False, timeout=SECONDS
    )


def test_the_command_loads_and_says_what_it_did(
    node: RunningNode, superuser: Session, table: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "a;n;v;z\nx;1;NA;no\n")
    words = ("--delimiter", ";", "--map", "a=p", "--skip", "z", "--null", "NA")
    checked = run(node, "load", path, table, *words, "--dry-run")
    assert checked.returncode == 0, checked.stderr
    assert "nothing was written" in checked.stdout
    assert rows_of(superuser, table) == []
    done = run(node, "load", path, table, *words, "--output", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 1
    assert rows_of(superuser, table) == [("x", 1, None)]


def test_the_command_ends_with_1_after_rejects_and_with_2_after_too_many(
    node: RunningNode, table: str, tmp_path: Path
) -> None:
    path, rejected = write(tmp_path, BAD), tmp_path / "rejected.csv"
    done = run(node, "load", path, table, "--reject-file", str(rejected))
    assert done.returncode == 1, done.stderr
    assert "2 rows" in done.stdout
    assert "row 1, column n: 'two' is not a whole number" in done.stderr
    assert rejected.exists()
    failed = run(node, "load", path, table, "--on-error", "reject", "--reject-limit", "0")
    assert failed.returncode == 2
    assert "Error PC300" in failed.stderr


def test_an_interrupted_load_says_how_far_it_came_and_keeps_its_rejects(
    node: RunningNode, superuser: Session, table: str, tmp_path: Path
) -> None:
    path, rejected = tmp_path / "long.csv", tmp_path / "rejected.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("p,n,v\nbad,bad,0\n")
        file.writelines(f"p{n % 1000},{n},0.5\n" for n in range(2_000_000))
    running = subprocess.Popen(
        command(node, "load", str(path), table, "--reject-file", str(rejected)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: len(rows_of(superuser, f"{table} LIMIT 1")), within=SECONDS)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=SECONDS)
    assert running.returncode == 130, err
    assert table in out
    assert "Interrupted" in err
    assert "bad" in rejected.read_text(encoding="utf-8")
