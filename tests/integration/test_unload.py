"""Tables go into files and come back as they were, whatever happens in between."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import datetime as dt
import json
import random
import signal
import subprocess
import sys
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from cassandra.util import Date, Time

from prefect_cassandra.driver.types import Duration
from prefect_cassandra.errors import ConfigurationError, DataError
from prefect_cassandra.reads.destination import Destination
from prefect_cassandra.reads.unload import (
    UnloadOptions,
    finish_unload,
    plan_unload,
    unload,
    unload_splits,
)
from prefect_cassandra.writes.files import Files
from prefect_cassandra.writes.loader import load
from support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.reads.report import UnloadReport

    from .conftest import RunningNode

ID = uuid.UUID("12345678-1234-4234-8234-123456789abc")
TIME_ID = uuid.UUID("5b6962dd-3f90-11ef-9ca3-0242ac120002")
MOMENT = dt.datetime(2013, 1, 1, 5, 0, 0, 123000, tzinfo=dt.UTC)
FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
LAST = dt.datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=dt.UTC)
WIDE = "☃" * (1 << 20)
NASTY = 'a "quoted", text\r\nwith \\N, tabs\t and 𝄞'
INF, NAN = float("inf"), float("nan")

# Each column's values stand in rows of their own; short columns go on with null.
EDGES: dict[str, list[Any]] = {
    "ascii": ["", "plain", "~", "NULL"],
    "bigint": [-(2**63), 2**63 - 1, 0, -1],
    "blob": [b"", b"\x00\xff", bytes(range(256)), bytes(1 << 20)],
    "boolean": [False, True],
    "date": [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1970, 1, 1)],
    "decimal": [Decimal("-1.50"), Decimal(10) ** 60, Decimal("1e-60"), Decimal(0)],
    "double": [NAN, INF, -INF, -0.0, 5e-324, 1.7976931348623157e308, 0.1],
    "duration": [Duration(1, 2, 3), Duration(0, 0, 0), Duration(-(2**31) + 1, -1, -(2**63) + 1)],
    "float": [NAN, INF, -INF, -0.0, 2.0**-149, 3.4028234663852886e38],
    "inet": ["2001:db8::1", "0.0.0.0", "255.255.255.255", "::"],  # noqa: S104 -- a value
    "int": [-(2**31), 2**31 - 1],
    "smallint": [-(2**15), 2**15 - 1],
    "text": ["", NASTY, WIDE, "0", "\x00"],
    "time": [Time(0), Time(86_399_999_999_999), dt.time(12, 30)],
    "timestamp": [FIRST, LAST, MOMENT],
    "timeuuid": [TIME_ID],
    "tinyint": [-128, 127, 0],
    "uuid": [ID, uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)],
    "varint": [-(10**90), 2**63, 0, -1],
    "list<int>": [[3, 1, 3], [-(2**31)]],
    "set<text>": [{"", "b", NASTY}],
    "map<text, timestamp>": [{"": FIRST, NASTY: LAST}],
    "frozen<list<text>>": [[], [""], [NASTY, ""]],
    "frozen<map<uuid, frozen<set<date>>>>": [{}, {ID: {dt.date(2013, 1, 1)}}],
    "frozen<list<frozen<map<int, blob>>>>": [[{1: b""}, {}], [{2: b"\x00"}]],
    "list<duration>": [[Duration(1, 0, 0)]],
    "list<float>": [[NAN, -0.0], [INF, 0.1]],
    "tuple<int, text, frozen<list<decimal>>>": [(1, "x", [Decimal("1.50")]), (None, None, None)],
    "vector<float, 3>": [[0.5, NAN, -INF]],
    "vector<text, 2>": [["", NASTY]],
    "address": [{"street": "Main", "no": 5, "moved": MOMENT}, {"street": None, "no": 1}],
    "frozen<address>": [{"street": "", "no": None, "moved": LAST}],
}
COLUMNS = {f"c{place}": kind for place, kind in enumerate(EDGES)}


@pytest.fixture
def edges(superuser: Session, keyspace: str) -> str:
    """A table with every type, filled by the driver alone; the last row has the key only."""
    superuser.execute(f"CREATE TYPE {keyspace}.address (street text, no int, moved timestamp)")
    table = f"{keyspace}.edges"
    create(superuser, table)
    names = ", ".join(COLUMNS)
    insert = f"INSERT INTO {table} (k, {names}) VALUES (?{', ?' * len(COLUMNS)})"
    rows = 1 + max(map(len, EDGES.values()))
    for row in range(rows):
        values = [cells[row] if row < len(cells) else None for cells in EDGES.values()]
        superuser.execute(insert, [f"{row} 'k'", *values])
    return table


def create(session: Session, table: str) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    session.execute(f"CREATE TABLE {table} (k text PRIMARY KEY, {columns})")


def cells(session: Session, table: str) -> dict[str, bytes]:
    """Return each row as the server sends it, by its key."""
    keys = [row["k"] for row in session.execute(f"SELECT k FROM {table}")]
    query = f"SELECT * FROM {table} WHERE k = ?"
    return {key: b"".join(page.body for page in session.pages(query, [key])) for key in keys}


@pytest.mark.parametrize("file_format", ["parquet", "csv", "arrow"])
def test_every_type_comes_back_cell_by_cell(
    superuser: Session, edges: str, tmp_path: Path, file_format: Any
) -> None:
    options = UnloadOptions(format=file_format, numbers="text", splits=3)
    report = unload(superuser, edges, str(tmp_path / "out"), options)
    copy = f"{edges}_copy"
    create(superuser, copy)

    load(superuser, copy, Files(str(tmp_path / "out")))

    before, after = cells(superuser, edges), cells(superuser, copy)
    assert report.rows == len(before) == 1 + max(map(len, EDGES.values()))
    assert set(after) == set(before)
    for key in before:
        assert after[key] == before[key], f"row {key}"


def test_values_beyond_pythons_types_are_kept_in_arrow_and_parquet(
    superuser: Session, keyspace: str, tmp_path: Path
) -> None:
    table = f"{keyspace}.far"
    superuser.execute(f"CREATE TABLE {table} (k int PRIMARY KEY, at timestamp, day date)")
    far = [(1, -(2**63), Date(-(2**31))), (2, 2**63 - 1, Date(2**31 - 1))]
    for k, moment, day in far:
        superuser.execute(f"INSERT INTO {table} (k, at, day) VALUES ({k}, {moment}, ?)", [day])
    unload(superuser, table, str(tmp_path / "out"))
    found = read(tmp_path / "out").sort_by("k")
    assert found["at"].cast(pa.int64()).to_pylist() == [moment for _, moment, _ in far]
    assert found["day"].cast(pa.int32()).to_pylist() == [-(2**31), 2**31 - 1]

    unload(superuser, table, str(tmp_path / "csv"), UnloadOptions(format="csv", splits=1))
    (file,) = (tmp_path / "csv").glob("part-00000-*.csv")
    assert "-292275055-05-16 16:47:04.192Z" in file.read_text()


def test_days_of_every_year_come_back_from_csv(
    superuser: Session, keyspace: str, tmp_path: Path
) -> None:
    first, copy = f"{keyspace}.days", f"{keyspace}.days_copy"
    for table in (first, copy):
        superuser.execute(
            f"CREATE TABLE {table} (k text PRIMARY KEY, day date, days frozen<list<date>>)"
        )
    for k, day in enumerate([-(2**31), 2**31 - 1, -719_163, 2_932_897, 0]):
        insert = f"INSERT INTO {first} (k, day, days) VALUES (?, ?, ?)"
        superuser.execute(insert, [str(k), Date(day), [Date(day), Date(0)]])
    unload(superuser, first, str(tmp_path / "out"), UnloadOptions(format="csv", splits=1))
    load(superuser, copy, Files(str(tmp_path / "out")))
    assert cells(superuser, copy) == cells(superuser, first)
    assert len(cells(superuser, copy)) == 5


def test_a_number_of_too_many_digits_is_refused_and_leaves_no_file(
    superuser: Session, keyspace: str, tmp_path: Path
) -> None:
    table = f"{keyspace}.digits"
    superuser.execute(f"CREATE TABLE {table} (k int PRIMARY KEY, n varint)")
    superuser.execute(f"INSERT INTO {table} (k, n) VALUES (1, ?)", [10**50])
    with pytest.raises(DataError, match=r"column n.*1000"):
        unload(superuser, table, str(tmp_path / "out"), UnloadOptions(splits=1))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_unload"]
    assert [path.name for path in (tmp_path / "out" / "_unload").iterdir()] == ["plan.json"]


@pytest.fixture
def series(superuser: Session, keyspace: str) -> str:
    """20,000 rows in partitions of 100."""
    table = f"{keyspace}.series"
    superuser.execute(
        f"CREATE TABLE {table} (sensor text, ts bigint, v double, PRIMARY KEY (sensor, ts))"
    )
    count = 20_000
    rows = pa.table(
        {
            "sensor": [f"s{n // 100}" for n in range(count)],
            "ts": range(count),
            "v": np.random.default_rng(1).random(count),
        }
    )
    load(superuser, table, rows)
    return table


def read(folder: Path) -> pa.Table:
    return ds.dataset(folder, format="parquet").to_table()


def test_the_manifest_tells_what_is_in_the_files(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    seen = []
    report = unload(superuser, series, str(tmp_path), UnloadOptions(splits=5), progress=seen.append)
    manifest = json.loads((tmp_path / "_manifest.json").read_text())
    assert report.complete
    assert (
        report.rows == manifest["rows"] == sum(one["rows"] for one in manifest["files"]) == 20_000
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "_manifest.json",
        *(one["file"] for one in manifest["files"]),
    }
    for one in manifest["files"]:
        assert (tmp_path / one["file"]).stat().st_size == one["bytes"]
        assert ds.dataset(tmp_path / one["file"]).count_rows() == one["rows"]
    assert sorted(read(tmp_path)["ts"].to_pylist()) == list(range(20_000))


def test_columns_conditions_and_write_times_are_in_the_files(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    options = UnloadOptions(
        columns=["ts"], where="ts < ?", parameters=[50], writetime=["v"], per_partition_limit=7
    )
    unload(superuser, series, str(tmp_path), options)
    found = read(tmp_path)
    assert found.schema.names == ["ts", "writetime(v)"]
    assert sorted(found["ts"].to_pylist()) == list(range(7))
    assert found["writetime(v)"].null_count == 0


def test_a_finished_unload_is_kept_unless_it_may_be_overwritten(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    url = str(tmp_path / "out")
    first = unload(superuser, series, url, UnloadOptions(run_key="a", splits=2))
    with pytest.raises(ConfigurationError, match="holds an unload of"):
        unload(superuser, series, url)
    again = unload(superuser, series, url, UnloadOptions(run_key="a", splits=2))
    assert (again.rows, again.resumed) == (first.rows, first.files)

    fewer = UnloadOptions(run_key="b", where="ts < 10", overwrite=True, splits=1)
    assert unload(superuser, series, url, fewer).rows == 10
    assert read(tmp_path / "out").num_rows == 10


def test_a_folder_with_files_of_someone_else_is_refused(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    (tmp_path / "part-00000.parquet").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"part-00000\.parquet"):
        unload(superuser, series, str(tmp_path), UnloadOptions(overwrite=True))
    assert (tmp_path / "part-00000.parquet").read_text() == "mine"


def test_what_is_refused_throws_nothing_away(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    unload(superuser, series, str(tmp_path), UnloadOptions(splits=2))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"notes\.txt"):
        unload(superuser, series, str(tmp_path), UnloadOptions(overwrite=True))
    (tmp_path / "notes.txt").unlink()
    assert read(tmp_path).num_rows == 20_000


def test_an_unfinished_unload_of_another_query_is_refused(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    plan_unload(superuser, series, str(tmp_path), UnloadOptions(splits=2))
    with pytest.raises(ConfigurationError, match="another query"):
        unload(superuser, series, str(tmp_path), UnloadOptions(columns=["ts"]))


def test_several_processes_can_share_an_unload(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    url = str(tmp_path)
    count = plan_unload(superuser, series, url, UnloadOptions(splits=6))
    parts = [unload_splits(superuser, url, range(n, count, 3)) for n in range(3)]
    with_manifest = finish_unload(url)
    assert sum(part.rows for part in parts) == with_manifest.rows == 20_000
    assert read(tmp_path).num_rows == 20_000


def test_an_unload_without_all_its_files_is_not_finished(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    url = str(tmp_path)
    count = plan_unload(superuser, series, url, UnloadOptions(splits=3))
    unload_splits(superuser, url, range(count))
    (file,) = tmp_path.glob("part-00001-*.parquet")
    file.unlink()
    with pytest.raises(ConfigurationError, match="1 of 3 files are missing"):
        finish_unload(url)
    assert unload(superuser, series, url).resumed == 2


@pytest.mark.parametrize(
    "chosen",
    [{"columns": ["ts"]}, {"format": "csv"}, {"consistency": "ALL"}],
    ids=lambda chosen: next(iter(chosen)),
)
def test_splits_are_unloaded_as_planned_or_not_at_all(
    superuser: Session, series: str, tmp_path: Path, chosen: dict[str, Any]
) -> None:
    plan_unload(superuser, series, str(tmp_path), UnloadOptions(splits=2))
    with pytest.raises(ConfigurationError, match="another query, consistency or format"):
        unload_splits(superuser, str(tmp_path), [0], UnloadOptions(**chosen))
    assert not list(tmp_path.glob("part-*"))


def test_a_split_that_was_not_planned_is_refused(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    plan_unload(superuser, series, str(tmp_path), UnloadOptions(splits=2))
    with pytest.raises(ConfigurationError, match="no split 2: its 2 splits count from 0"):
        unload_splits(superuser, str(tmp_path), [0, 1, 2])


def test_parameters_are_compared_by_value_not_by_spelling(
    superuser: Session, series: str, tmp_path: Path
) -> None:
    def chosen(*parameters: Any) -> UnloadOptions:
        return UnloadOptions(splits=2, where="ts < ? AND v <= ?", parameters=parameters)

    count = plan_unload(superuser, series, str(tmp_path), chosen(50, 1.0))
    # As they are after a journey through JSON.
    same = UnloadOptions(where="ts < ? AND v <= ?", parameters=[50, 1])
    assert unload_splits(superuser, str(tmp_path), range(count), same).rows == 50
    with pytest.raises(ConfigurationError, match="another query"):
        plan_unload(superuser, series, str(tmp_path), chosen(51, 1.0))


def test_a_process_of_an_earlier_unload_leaves_nothing_in_the_folder(
    superuser: Session, series: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = str(tmp_path)
    count = plan_unload(superuser, series, url, UnloadOptions(splits=4))
    later = UnloadOptions(splits=3, where="ts < 10", overwrite=True)
    seen: list[UnloadReport] = []

    def overtaken(_report: UnloadReport) -> None:
        # In the middle of its first file: another unload takes the folder and ends.
        if not seen:
            seen.append(unload(superuser, series, url, later))

    slow = UnloadOptions(in_flight=1)
    monkeypatch.setattr("prefect_cassandra.reads.split_files._PROGRESS_SECONDS", 0.0)
    with pytest.raises(ConfigurationError, match="no longer where this unload"):
        unload_splits(superuser, url, range(count), slow, progress=overtaken)
    assert seen[0].complete
    manifest = json.loads((tmp_path / "_manifest.json").read_text())
    assert {path.name for path in tmp_path.glob("part-*")} == {
        one["file"] for one in manifest["files"]
    }
    assert read(tmp_path).num_rows == manifest["rows"] == 10


def test_an_overwrite_that_was_cut_off_is_finished_by_the_next(
    superuser: Session, series: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unload(superuser, series, str(tmp_path), UnloadOptions(splits=4))
    removed: list[str] = []

    def remove(_folder: Destination, names: list[str]) -> None:
        for name in names:
            if len(removed) == 3:
                raise ConnectionError(name)
            (tmp_path / name).unlink()
            removed.append(name)

    fewer = UnloadOptions(where="ts < 10", splits=1, overwrite=True)
    with monkeypatch.context() as patch:
        patch.setattr(Destination, "remove", remove)
        with pytest.raises(ConnectionError):
            unload(superuser, series, str(tmp_path), fewer)
    assert removed[0] == "_manifest.json"
    assert len(list(tmp_path.glob("part-*"))) == 2

    with pytest.raises(ConfigurationError, match="holds other files"):
        unload(superuser, series, str(tmp_path))
    assert unload(superuser, series, str(tmp_path), fewer).rows == 10
    assert read(tmp_path).num_rows == 10


def test_any_file_system_takes_an_unload(superuser: Session, series: str) -> None:
    import fsspec  # noqa: PLC0415 -- only here

    url = f"memory://unload-{uuid.uuid4().hex}"
    report = unload(superuser, series, url, UnloadOptions(splits=3, format="csv"))
    files = fsspec.filesystem("memory")
    names = sorted(path.rpartition("/")[2] for path in files.find(url))
    assert [name[:10] for name in names] == ["_manifest.", *(f"part-0000{n}" for n in range(3))]
    assert report.bytes == sum(files.size(f"{url}/{name}") for name in names[1:])


_CHILD = """
import sys
from pathlib import Path
from prefect_cassandra.driver.config import ClusterConfig, Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.reads.unload import UnloadOptions, unload
host, port, login, table, url = sys.argv[1:]
session = Session(ClusterConfig((host,), int(port), login=Login(folder=Path(login))))
session.connect()
print("connected", flush=True)
unload(session, table, url, UnloadOptions(splits=150, in_flight=3))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_unload_killed_again_and_again_ends_as_if_it_had_never_been(
    superuser: Session, node: RunningNode, series: str, tmp_path: Path
) -> None:
    config = node.config()
    assert config.login is not None
    folder = tmp_path / "killed"
    command = [
        sys.executable, "-c", _CHILD, config.contact_points[0], str(config.port),
        str(config.login.folder), series, str(folder),
    ]  # fmt: skip
    points = random.Random(20)  # noqa: S311 -- where to kill, the same every time
    kills = 0
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            before = len(list(folder.rglob("done-*.json")))
            wanted = before + points.choice([0, 1, 2, 3])
            if wanted > before:
                eventually(
                    lambda wanted=wanted, child=child: (
                        len(list(folder.rglob("done-*.json"))) >= wanted or child.poll() is not None
                    ),
                    within=60,
                )
            kills += child.poll() is None
            child.send_signal(signal.SIGKILL)
    assert kills >= 4
    report = unload(superuser, series, str(folder), UnloadOptions(splits=150))
    unload(superuser, series, str(tmp_path / "whole"), UnloadOptions(splits=150))

    assert report.complete
    order = [("sensor", "ascending"), ("ts", "ascending")]
    assert read(folder).sort_by(order).equals(read(tmp_path / "whole").sort_by(order))
    killed, whole = (
        json.loads((tmp_path / name / "_manifest.json").read_text()) for name in ("killed", "whole")
    )
    assert [one["sha256"] for one in killed["files"]] == [one["sha256"] for one in whole["files"]]
    assert not (folder / "_unload").exists()
