"""What the loader promises about missing values, bad rows, duplicates, order and failures."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest

from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.errors import ConfigurationError, DataError, StatementError
from prefect_cassandra.reads.scan import count_rows
from prefect_cassandra.writes.loader import LoadOptions, _Load, aload, load
from prefect_cassandra.writes.report import LoadReport, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect_cassandra.driver.session import Session


@pytest.fixture
def table(make: Callable[[str], str]) -> str:
    return make("p text, c int, a int, dep_delay double, PRIMARY KEY (p, c)")


def rows_of(session: Session, table: str) -> list[dict[str, Any]]:
    return sorted(session.execute(f"SELECT * FROM {table}"), key=lambda row: (row["p"], row["c"]))


def row(p: str, c: int, a: int | None = None, dep_delay: float | None = None) -> dict[str, Any]:
    return {"p": p, "c": c, "a": a, "dep_delay": dep_delay}


def test_load_leaves_cells_without_a_value_by_default(superuser: Session, table: str) -> None:
    load(superuser, table, [row("x", 1, 5, 0.5)])
    load(superuser, table, [row("x", 1, None, 1.5)])
    assert rows_of(superuser, table) == [row("x", 1, 5, 1.5)]


def test_load_deletes_cells_without_a_value_in_null_mode(superuser: Session, table: str) -> None:
    load(superuser, table, [row("x", 1, 5, 0.5)])
    load(superuser, table, [row("x", 1, None, 1.5)], LoadOptions(mode="null"))
    assert rows_of(superuser, table) == [row("x", 1, None, 1.5)]


def test_load_writes_some_columns_of_a_table(superuser: Session, table: str) -> None:
    load(superuser, table, [row("x", 1, 5, 0.5)])
    load(superuser, table, pa.table({"c": [1], "a": [6], "p": ["x"]}))
    assert rows_of(superuser, table) == [row("x", 1, 6, 0.5)]


def test_load_reports_every_row(superuser: Session, table: str) -> None:
    data = [row("x", 1, 1), row("x", 1, 2), row("y", 2, 3), {"p": None, "c": 3}]
    report = load(superuser, table, data, LoadOptions(on_error="reject"))
    assert (report.rows, report.merged, report.rejected, report.requests) == (2, 1, 1, 1)
    assert report.rejects == (Reject(3, "p", "a key column needs a value"),)
    assert report.table == table
    assert report.seconds > 0
    assert report.rows_per_second == pytest.approx(report.rows / report.seconds)


@pytest.mark.parametrize(("mode", "left"), [("unset", 1), ("null", None)])
def test_load_merges_a_repeated_key_as_two_writes_would(
    superuser: Session, table: str, mode: Any, left: int | None
) -> None:
    data = [row("x", 1, 1, 0.5), row("x", 1, None, 1.5)]
    load(superuser, table, data, LoadOptions(mode=mode))
    assert rows_of(superuser, table) == [row("x", 1, left, 1.5)]


def test_load_lets_the_last_row_win_across_chunks(
    superuser: Session, make: Callable[[str], str]
) -> None:
    table = make("p int, c int, a int, PRIMARY KEY (p, c)")
    apart = 10_000
    rng = random.Random(3)  # noqa: S311 -- reproducible, not secret
    for _ in range(20):
        first, last = rng.sample(range(1_000_000), 2)
        # Parts of an iterator are not put in order by key: the two versions stay this far apart.
        rows = [(-1, 0, first), *((n // 50, n, n) for n in range(apart)), (-1, 0, last)]
        data = [dict(zip("pca", row, strict=True)) for row in rows]
        load(superuser, table, iter([data[:1], data[1:-1], data[-1:]]), LoadOptions(in_flight=256))
        found = superuser.execute(f"SELECT a FROM {table} WHERE p = -1 AND c = 0").one()
        assert found == {"a": last}


def test_load_lets_the_last_row_win_when_requests_overtake_each_other(
    superuser: Session, table: str
) -> None:
    info = superuser.table(*table.split("."))
    rows = [row("x", 1, n, None) for n in range(20)]
    parts = [[one] for one in rows]
    requests = list(_Load(superuser, info, LoadOptions()).requests(parts))
    assert len(requests) == 20
    Pump(superuser, 1).run(reversed(requests))
    assert rows_of(superuser, table) == [row("x", 1, 19)]


def test_load_leaves_out_and_names_rows_without_a_key(superuser: Session, table: str) -> None:
    frame = pd.DataFrame({"p": ["x", None, ""], "c": [1.0, 2.0, 3.0], "a": [1, 2, 3]})
    report = load(superuser, table, frame, LoadOptions(on_error="reject"))
    assert rows_of(superuser, table) == [row("x", 1, 1)]
    assert [(reject.row, reject.column) for reject in report.rejects] == [(1, "p"), (2, "p")]


def test_load_counts_row_numbers_through_all_batches(superuser: Session, table: str) -> None:
    def batches() -> Iterator[pa.Table]:
        for start in range(0, 12_000, 4_000):
            yield pa.table(
                {
                    "p": ["x"] * 4_000,
                    "c": [None if n == 9_000 else n for n in range(start, start + 4_000)],
                }
            )

    report = load(superuser, table, batches(), LoadOptions(on_error="reject"))
    assert report.rejects == (Reject(9_000, "c", "a key column needs a value"),)
    assert report.rows == 11_999


def test_load_sends_nothing_of_a_bad_chunk(superuser: Session, table: str) -> None:
    data = pa.table({"p": ["x"] * 6_000, "c": [*range(5_500), None, *range(499)]})
    with pytest.raises(DataError, match="row 5500, column c: a key column needs a value") as error:
        load(superuser, table, data)
    assert "5,000 rows" in "".join(error.value.__notes__)
    assert count_rows(superuser, *table.split(".")) == 5_000


def test_load_stops_beyond_the_reject_limit(superuser: Session, table: str) -> None:
    data = [{"p": None, "c": n} for n in range(3)]
    with pytest.raises(DataError, match="3 rows were rejected, 2 are allowed; the first: row 0"):
        load(superuser, table, data, LoadOptions(on_error="reject", reject_limit=2))
    report = load(superuser, table, data, LoadOptions(on_error="reject", reject_limit=3))
    assert report.rejected == 3


def test_load_names_a_hundred_rejects_and_counts_all(superuser: Session, table: str) -> None:
    data = [{"p": None, "c": n} for n in range(150)]
    report = load(superuser, table, data, LoadOptions(on_error="reject"))
    assert (report.rejected, len(report.rejects)) == (150, 100)


@pytest.mark.parametrize("on_error", ["fail", "reject"])
@pytest.mark.parametrize(
    ("data", "words", "hint"),
    [
        ({"p": ["x"], "c": [1], "dep_dely": [1.0]}, "no column 'dep_dely'", "'dep_delay'"),
        ({"p": ["x"], "C": [1]}, "no column 'C'", "'c'"),
        ({"p": ["x"], "c": [1], "zzz": [1]}, "no column 'zzz'", "Its columns are"),
        ({"p": ["x"], "a": [1]}, "key column c", "whole primary key"),
        ({"p": ["x"], "c": ["1"]}, "column c .* is int; the data holds string", "Cast"),
    ],
)
def test_load_refuses_a_schema_mistake_before_the_first_write(  # noqa: PLR0913, PLR0917 -- cases
    superuser: Session, table: str, data: dict[str, Any], words: str, hint: str, on_error: Any
) -> None:
    good = pa.table({"p": ["good"], "c": [1]})
    with pytest.raises(DataError, match=words) as caught:
        load(superuser, table, [good, pa.table(data)], LoadOptions(on_error=on_error))
    assert hint in caught.value.hint
    assert rows_of(superuser, table) == []


def test_load_finds_the_key_in_the_index(superuser: Session, table: str) -> None:
    frame = pd.DataFrame({"p": ["x"], "c": [1]}).set_index("c")
    with pytest.raises(DataError, match="key column c") as caught:
        load(superuser, table, frame)
    assert "reset_index" in caught.value.hint


def test_load_refuses_counters(superuser: Session, make: Callable[[str], str]) -> None:
    table = make("p text PRIMARY KEY, n counter")
    with pytest.raises(DataError, match="counters"):
        load(superuser, table, [{"p": "x", "n": 1}])


def test_load_names_the_closest_table(superuser: Session, table: str) -> None:
    with pytest.raises(StatementError, match="There is no table") as caught:
        load(superuser, table[:-1] + "_", [])
    assert table.split(".")[1] in caught.value.hint


def test_load_takes_the_keyspace_for_a_bare_name(superuser: Session, table: str) -> None:
    keyspace, name = table.split(".")
    assert load(superuser, name, [row("x", 1)], keyspace=keyspace).rows == 1
    with pytest.raises(ConfigurationError, match="which keyspace"):
        load(superuser, name, [row("x", 1)])


def test_load_keeps_names_that_need_quotes(superuser: Session, keyspace: str) -> None:
    columns = '"Day" text PRIMARY KEY, "a""b" int, "select" int'
    superuser.execute(f'CREATE TABLE {keyspace}."ByDay" ({columns})')
    report = load(superuser, f'{keyspace}."ByDay"', [{"Day": "x", 'a"b': 1, "select": 2}])
    assert report.rows == 1
    found = superuser.execute(f'SELECT * FROM {keyspace}."ByDay"').one()
    assert found == {"Day": "x", 'a"b': 1, "select": 2}


def test_load_of_static_columns_needs_no_clustering_key(
    superuser: Session, make: Callable[[str], str]
) -> None:
    table = make("p text, c int, s int static, a int, PRIMARY KEY (p, c)")
    load(superuser, table, [{"p": "x", "s": 7}])
    assert superuser.execute(f"SELECT p, c, s FROM {table}").rows == [{"p": "x", "c": None, "s": 7}]
    with pytest.raises(DataError, match="key column c"):
        load(superuser, table, [{"p": "x", "s": 7, "a": 1}])


@pytest.mark.parametrize(
    "data", [[], pa.table({"p": pa.array([], pa.string()), "c": pa.array([], pa.int32())})]
)
def test_load_of_nothing_writes_nothing(superuser: Session, table: str, data: Any) -> None:
    assert load(superuser, table, data).rows == 0


@pytest.mark.parametrize(
    "options",
    [{"mode": "nul"}, {"on_error": "ignore"}, {"consistency": "QUORAM"}, {"in_flight": 0}],
)
def test_load_refuses_unknown_options(superuser: Session, table: str, options: Any) -> None:
    with pytest.raises(ConfigurationError):
        load(superuser, table, [row("x", 1)], LoadOptions(**options))
    assert rows_of(superuser, table) == []


def test_load_sends_wide_rows_in_small_batches(
    superuser: Session, make: Callable[[str], str]
) -> None:
    table = make("p text, c int, body blob, PRIMARY KEY (p, c)")
    data = pa.table({"p": ["x"] * 40, "c": range(40), "body": [b"x" * 20_000] * 40})
    report = load(superuser, table, data)
    assert report.requests == 14, "three rows of 20,000 bytes fit into 64 KiB"
    assert count_rows(superuser, *table.split(".")) == 40


async def test_aload_leaves_the_event_loop_free(superuser: Session, table: str) -> None:
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    data = pa.table({"p": ["x"] * 20_000, "c": range(20_000)})
    report = await aload(superuser, table, data)
    ticking.cancel()
    assert report.rows == 20_000
    assert turns > 100


async def test_aload_sends_nothing_after_its_task_was_cancelled(
    superuser: Session, table: str
) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless() -> Iterator[pa.Table]:
        for start in range(0, 10**9, 100):
            loop.call_soon_threadsafe(started.set)
            yield pa.table({"p": ["x"] * 100, "c": range(start, start + 100)})

    work = asyncio.create_task(aload(superuser, table, endless()))
    await started.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    keyspace, name = table.split(".")
    assert count_rows(superuser, keyspace, name) == count_rows(superuser, keyspace, name)


def test_load_tells_its_progress(superuser: Session, table: str) -> None:
    seen: list[LoadReport] = []
    data = [row("x", n) for n in range(1_200)]
    report = load(superuser, table, data, progress=seen.append, progress_every=0)
    assert [told.rows for told in seen][-1] == report.rows == 1_200
    assert len(seen) == report.requests == 3


def test_load_sends_scattered_rows_of_a_partition_together(superuser: Session, table: str) -> None:
    total = 20_000
    data = pa.table({"p": [str(n % 400) for n in range(total)], "c": range(total)})
    report = load(superuser, table, data)
    assert report.rows == total
    assert report.requests == 400, "50 rows of a partition share a request"


def test_load_arrives_whole(superuser: Session, make: Callable[[str], str]) -> None:
    table = make("p int, c int, a bigint, b double, t text, PRIMARY KEY (p, c)")
    total = 100_000
    rng = random.Random(5)  # noqa: S311 -- reproducible, not secret
    data = pa.table(
        {
            "p": [rng.randrange(3_000) for _ in range(total)],
            "c": range(total),
            "a": [rng.randrange(-(2**63), 2**63) for _ in range(total)],
            "b": [None if rng.random() < 0.3 else rng.random() for _ in range(total)],
            "t": [f"text {rng.random()}" for _ in range(total)],
        }
    )
    report = load(superuser, table, data)
    assert report.rows == total
    assert count_rows(superuser, *table.split(".")) == total
    for sample in rng.sample(range(total), 100):
        expected = data.slice(sample, 1).to_pylist()[0]
        key = [expected["p"], expected["c"]]
        found = superuser.execute(f"SELECT * FROM {table} WHERE p = ? AND c = ?", key).one()
        assert found == expected


def test_load_lets_small_partitions_share_requests(
    superuser: Session, make: Callable[[str], str]
) -> None:
    table = make("p int PRIMARY KEY, a int")
    report = load(superuser, table, pa.table({"p": range(1_000), "a": range(1_000)}))
    assert (report.rows, report.requests) == (1_000, 100)
    assert count_rows(superuser, *table.split(".")) == 1_000
    assert superuser.execute(f"SELECT a FROM {table} WHERE p = 777").one() == {"a": 777}


@pytest.mark.parametrize(("mode", "left"), [("unset", 2), ("null", None)])
def test_load_leaves_the_last_value_of_a_static_column(
    superuser: Session, make: Callable[[str], str], mode: Any, left: int | None
) -> None:
    table = make("p text, c int, s int static, PRIMARY KEY (p, c)")
    data = [{"p": "x", "c": c, "s": s} for c, s in ((1, 9), (2, 2), (3, None))]
    load(superuser, table, data, LoadOptions(mode=mode))
    assert [found["s"] for found in superuser.execute(f"SELECT s FROM {table}")] == [left] * 3


def test_load_writes_nothing_in_a_dry_run(superuser: Session, table: str) -> None:
    data = [row("x", 1, 1), row("x", 1, 2), {"p": None, "c": 3}]
    report = load(superuser, table, data, LoadOptions(on_error="reject", dry_run=True))
    assert (report.rows, report.merged, report.rejected) == (1, 1, 1)
    assert report.dry_run
    assert report.bytes > 0
    assert rows_of(superuser, table) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"p": "x" * 65_536, "c": 1}, "column p: 65,536 bytes are more than"),
        ({"p": "x", "c": 1, "body": b"x" * (9 << 20)}, "column body: the row has 9,437"),
    ],
)
def test_load_refuses_what_is_too_large_for_the_server(
    superuser: Session, make: Callable[[str], str], data: dict[str, Any], words: str
) -> None:
    table = make("p text, c int, body blob, PRIMARY KEY (p, c)")
    with pytest.raises(DataError, match=words):
        load(superuser, table, [{"p": "x", "c": 2}, data])
    assert rows_of(superuser, table) == []


def test_load_takes_the_largest_values_the_server_takes(
    superuser: Session, make: Callable[[str], str]
) -> None:
    table = make("p text, c int, body blob, PRIMARY KEY (p, c)")
    body = b"x" * (7 << 20)
    load(superuser, table, [{"p": "x" * 65_535, "c": 1, "body": body}])
    assert superuser.execute(f"SELECT body FROM {table}").one() == {"body": body}
