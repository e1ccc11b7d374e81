"""The tasks inside real flows, on a real node and a real Prefect server."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from prefect import flow, runtime, task, unmapped
from prefect.cache_policies import INPUTS
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from prefect_cassandra import (
    LoadReport,
    UnloadReport,
    acassandra_execute,
    acassandra_query,
    aload_table,
    cassandra_execute,
    cassandra_execute_many,
    cassandra_query,
    claim,
    load_table,
    unload_table,
)
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import ConfigurationError, ContentChangedError, DataError
from prefect_cassandra.schema import apply
from support.blocks import cluster_block
from support.prefect_server import DROPPED_SOCKETS, prefect_server  # noqa: F401 -- a fixture
from support.schema import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect_cassandra import CassandraCluster

    from .conftest import RunningNode

pytestmark = [pytest.mark.usefixtures("prefect_server"), DROPPED_SOCKETS]

ROWS = [{"p": "a", "n": 1}, {"p": "a", "n": 2}]


@pytest.fixture
def cluster(node: RunningNode) -> CassandraCluster:
    return cluster_block(node.config())


@pytest.fixture
def table(cluster: CassandraCluster, keyspace: str) -> str:
    name = f"{keyspace}.numbers"
    cluster.execute(f"CREATE TABLE {name} (p text, n int, PRIMARY KEY (p, n))")
    return name


def test_a_flow_loads_queries_and_executes(
    cluster: CassandraCluster, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    @flow
    def work() -> tuple[LoadReport, list[dict[str, Any]], pa.Table, bool | None, bool | None]:
        report = load_table(cluster, table, ROWS)
        query = f"SELECT p, n FROM {table} WHERE p = ?"
        rows = cassandra_query(cluster, query, ["a"])
        arrow = cassandra_query(cluster, query, ["none"], as_table=True)
        insert = f"INSERT INTO {table} (p, n) VALUES (:p, :n)"
        done = cassandra_execute(cluster, insert, {"p": "b", "n": 1})
        condition = f"{insert} IF NOT EXISTS"
        applied = cassandra_execute(cluster, condition, {"p": "b", "n": 1}, stamped=False)
        return report, rows, arrow, done, applied

    with caplog.at_level(logging.INFO, "prefect.task_runs"):
        report, rows, arrow, done, applied = work()
    assert (report.table, report.rows) == (table, 2)
    assert rows == ROWS
    assert arrow.schema == pa.schema([("p", pa.string()), ("n", pa.int32())])
    assert arrow.num_rows == 0
    assert (done, applied) == (None, False)
    logged = [
        record.getMessage() for record in caplog.records if record.name == "prefect.task_runs"
    ]
    assert any(line.startswith(f"{table}: 2 rows in ") for line in logged)
    assert any(line.startswith("2 rows in ") for line in logged)
    assert any(line.startswith("Not applied") for line in logged)


async def test_an_asynchronous_flow_loads_queries_and_executes(
    cluster: CassandraCluster, table: str
) -> None:
    @flow
    async def work() -> tuple[LoadReport, list[dict[str, Any]], pa.Table, bool | None]:
        report = await aload_table(cluster, table, pd.DataFrame(ROWS))
        query = f"SELECT p, n FROM {table}"
        rows = await acassandra_query(cluster, query, fetch_size=1)
        arrow = await acassandra_query(cluster, query, as_table=True, fetch_size=1)
        insert = f"INSERT INTO {table} (p, n) VALUES ('b', 1) IF NOT EXISTS"
        return report, rows, arrow, await acassandra_execute(cluster, insert, stamped=False)

    report, rows, arrow, applied = await work()
    assert report.rows == 2
    assert rows == arrow.to_pylist() == ROWS
    assert applied is True


async def test_blocking_tasks_work_inside_an_asynchronous_flow(
    cluster: CassandraCluster, table: str
) -> None:
    @flow
    async def work() -> int:
        load_table(cluster, table, ROWS)
        return len(cassandra_query(cluster, f"SELECT n FROM {table}"))

    assert await work() == 2


def test_runs_are_named_after_table_and_statement(
    cluster: CassandraCluster, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    @flow
    def work() -> None:
        load_table(cluster, table, ROWS)
        cassandra_query(cluster, f"SELECT n FROM {table}")

    with caplog.at_level(logging.INFO, "prefect.task_runs"):
        work()
    names = {getattr(record, "task_run_name", None) for record in caplog.records}
    assert names >= {f"load {table}", f"SELECT n FROM {table}"}


def test_a_large_frame_and_an_iterator_pass_through_prefect_untouched(
    cluster: CassandraCluster, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    monkeypatch.setattr("prefect_cassandra.tasks.loading._refuse_spent_iterator", seen.append)

    def batches() -> Iterator[pa.Table]:
        for start in range(0, 30, 10):
            yield pa.table({"p": ["b"] * 10, "n": range(start, start + 10)})

    frame = pd.DataFrame({"p": ["a"] * 336_776, "n": range(336_776)})
    generator = batches()

    @flow
    def work() -> tuple[int, int]:
        # Only the way through Prefect is under test; the frame itself stays unwritten.
        refused = load_table(cluster, f"{table}_missing", frame, return_state=True)
        assert refused.is_failed()
        return load_table(cluster, table, generator).rows, len(frame)

    assert work() == (30, 336_776)
    assert seen[0] is frame
    assert seen[1] is generator


def test_loads_run_side_by_side_on_threads(cluster: CassandraCluster, table: str) -> None:
    parts = [pa.table({"p": [str(n)] * 200, "n": range(200)}) for n in range(4)]

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
    def work() -> int:
        reports = load_table.map(unmapped(cluster), table, parts)
        return sum(report.rows for report in reports.result())

    assert work() == 800
    assert cluster.fetch_all(f"SELECT COUNT(*) FROM {table}") == [(800,)]


def test_loads_run_in_processes_of_their_own(cluster: CassandraCluster, table: str) -> None:
    parts = [pa.table({"p": [str(n)] * 20, "n": range(20)}) for n in range(2)]
    cluster.fetch_one("SELECT key FROM system.local")  # a live session, which must stay here

    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def work() -> int:
        reports = load_table.map(unmapped(cluster), table, parts)
        return sum(report.rows for report in reports.result())

    assert work() == 40
    assert cluster.fetch_all(f"SELECT COUNT(*) FROM {table}") == [(40,)]


def test_a_retry_refuses_an_iterator_that_was_read_already(
    cluster: CassandraCluster, keyspace: str
) -> None:
    table = f"{keyspace}.late"

    def batches() -> Iterator[pa.Table]:
        yield pa.table({"p": ["b"]})
        cluster.execute(f"CREATE TABLE IF NOT EXISTS {table} (p text PRIMARY KEY)")
        raise RuntimeError("the source broke")

    cluster.execute(f"CREATE TABLE {table} (p text PRIMARY KEY)")

    @flow
    def work(data: object) -> object:
        return load_table.with_options(retries=1)(cluster, table, data, return_state=True)

    with pytest.raises(ConfigurationError, match="read only once"):
        work(batches()).result()  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="the source broke"):
        work(batches).result()  # type: ignore[attr-defined]


@pytest.fixture
def kept(node: RunningNode, tmp_path: Path) -> tuple[CassandraCluster, str]:
    """Return a cluster with a ledger, as a flow's role, and a table of its own."""
    config = node.config()
    with closing(Session(config)) as superuser:
        ground = Ground.make(config, superuser, tmp_path)
        ground.write("0001_tables", "t", "t_claimed", "t_other")
        apply(ground.config, ground.installation)
    return cluster_block(ground.role("flow")), f"{ground.keyspace}.t"


def test_a_retry_sends_only_what_is_missing_and_the_ledger_knows_the_run(
    kept: tuple[CassandraCluster, str],
) -> None:
    cluster, table = kept
    whole = pa.table({"k": pa.array(range(25_005), pa.int32()), "v": ["x"] * 25_005})
    attempts: list[str] = []

    def batches() -> Iterator[pa.Table]:
        yield whole.slice(0, 25_000)
        if not attempts:
            attempts.append(str(runtime.task_run.id))
            raise RuntimeError("the source broke")
        yield whole.slice(25_000)

    @flow
    def work() -> tuple[LoadReport, str]:
        report = load_table.with_options(retries=1)(cluster, table, batches)
        return report, str(runtime.flow_run.id)

    report, run = work()
    assert (report.rows, report.skipped_rows, report.stamped) == (5, 25_000, True)
    assert cluster.fetch_all(f"SELECT COUNT(*) FROM {table}") == [(25_005,)]
    (block,) = _blocks(cluster, table)
    assert (block["run"], block["task"], block["attempt"]) == (run, attempts[0], 1)
    assert block["load_key"] == f"flow-run/{run}/{table}/0"
    assert (block["state"], block["source"], block["rows"]) == ("DONE", "function", 25_005)


def _blocks(cluster: CassandraCluster, table: str) -> list[dict[str, Any]]:
    query = "SELECT * FROM prefect_ledger.stamp_blocks WHERE table_name = ? ALLOW FILTERING"
    return cluster.session().execute(query, [table]).rows


def test_a_flow_that_runs_again_skips_the_loads_it_has_done(
    kept: tuple[CassandraCluster, str],
) -> None:
    cluster, table = kept
    reports: list[LoadReport] = []

    @flow(retries=1)
    def work() -> None:
        reports.append(load_table(cluster, table, [{"k": key, "v": "x"} for key in (1, 2)]))
        reports.append(load_table(cluster, table, [{"k": key, "v": "x"} for key in (3, 4, 5)]))
        if len(reports) == 2:
            raise RuntimeError("after both loads")

    work()
    assert [report.rows for report in reports] == [2, 3, 0, 0]
    assert [report.skipped_rows for report in reports] == [0, 0, 2, 3]
    assert sorted(block["load_key"][-2:] for block in _blocks(cluster, table)) == ["/0", "/1"]


def test_a_flow_that_runs_again_with_other_rows_writes_them_whole(
    kept: tuple[CassandraCluster, str],
) -> None:
    cluster, table = kept
    seen: list[str] = []

    @flow(retries=1)
    def work() -> None:
        seen.append("x" if not seen else "y")
        load_table(cluster, table, [{"k": key, "v": seen[-1]} for key in (1, 2)])
        if len(seen) == 1:
            raise RuntimeError("after the load")

    work()
    assert cluster.fetch_all(f"SELECT v FROM {table}") == [("y",), ("y",)]
    assert [block["state"] for block in _blocks(cluster, table)] == ["DONE", "DONE"]


def test_a_flow_that_runs_again_with_fewer_loads_keeps_those_it_has_done(
    kept: tuple[CassandraCluster, str],
) -> None:
    cluster, table = kept
    pending = [1, 2, 3]

    @flow(retries=1)
    def work() -> None:
        for number in list(pending):
            load_table(cluster, table, [{"k": number, "v": f"file {number}"}])
            pending.remove(number)
            if number == 1:
                raise RuntimeError("after the first file")

    work()
    assert dict(cluster.fetch_all(f"SELECT k, v FROM {table}")) == {
        number: f"file {number}" for number in (1, 2, 3)
    }
    # The second file came to the place of the first one.
    assert sorted(block["generation"] for block in _blocks(cluster, table)) == [1, 1, 2]


def test_a_task_may_load_one_table_twice_and_another_after_it(
    kept: tuple[CassandraCluster, str],
) -> None:
    cluster, table = kept
    other = f"{table}_other"

    @task
    def loading(*loads: tuple[str, list[dict[str, Any]]]) -> None:
        for name, rows in loads:
            load_table.fn(cluster, name, rows)

    @flow
    def work() -> None:
        loading((table, [{"k": 1, "v": "a"}]), (table, [{"k": 2, "v": "b"}]))
        loading((other, [{"k": 3, "v": "c"}]), (table, [{"k": 4, "v": "d"}]))

    work()
    assert dict(cluster.fetch_all(f"SELECT k, v FROM {table}")) == {1: "a", 2: "b", 4: "d"}
    assert dict(cluster.fetch_all(f"SELECT k, v FROM {other}")) == {3: "c"}
    places = [block["load_key"].removeprefix("flow-run/") for block in _blocks(cluster, table)]
    assert [one.split(table)[1] for one in sorted(places)] == ["/0", "/0/1", "/1"]


def test_a_flow_that_runs_again_repeats_no_statement(kept: tuple[CassandraCluster, str]) -> None:
    cluster, table = kept
    insert = f"INSERT INTO {table} (k, v) VALUES (?, ?)"
    counts: list[int] = []
    claims: list[bool] = []

    @flow(retries=1)
    def work() -> str:
        # The second attempt comes to the statements in another order.
        for key in (1, 2, 2) if not counts else (2, 1, 2):
            cassandra_execute(cluster, insert, [key, f"v{key}"])
        counts.append(cassandra_execute_many(cluster, insert, [[3, "a"], [4, "b"], [3, "c"]]))
        if len(counts) == 1:
            cluster.execute(f"UPDATE {table} SET v = 'later' WHERE k = 1")
            raise RuntimeError("after the statements")
        return str(runtime.flow_run.id)

    @task
    def several() -> None:
        for value in ("one", "two", "one"):
            cassandra_execute.fn(cluster, insert, [5, value])

    @flow
    def claiming() -> None:
        several()
        rows = f"{table}_claimed"
        claims.extend(claim(cluster, rows, {"k": 1}, {"v": who}).won for who in "aba")

    run = work()
    assert counts == [3, 0]
    found = dict(cluster.fetch_all(f"SELECT k, v FROM {table}"))
    assert found == {1: "later", 2: "v2", 3: "c", 4: "b"}
    blocks = _blocks(cluster, table)
    assert {(block["run"], block["kind"], block["state"]) for block in blocks} == {
        (run, "INSERT", "DONE")
    }
    assert sorted(block["load_key"][-2:] for block in blocks) == ["/0", "/0", "/0", "/1"]
    assert {block["source"] for block in blocks} == {insert}
    claiming()
    assert claims == [True, False, True]
    assert cluster.fetch_all(f"SELECT v FROM {table} WHERE k = 5") == [("one",)]


def test_a_load_with_a_key_is_done_once_across_runs(kept: tuple[CassandraCluster, str]) -> None:
    cluster, table = kept
    rows = [{"k": 1, "v": "a"}, {"k": 2, "v": "b"}]

    @flow
    def work(data: Any, **options: Any) -> LoadReport:
        report: LoadReport = load_table(cluster, table, data, key="once", **options)
        return report

    assert work(rows).rows == 2
    assert (work(rows).rows, work(rows).skipped_rows) == (0, 2)
    other = [{"k": 1, "v": "a"}, {"k": 2, "v": "c"}]
    with pytest.raises(ContentChangedError, match="the load 'once' into"):
        work(other)
    assert work(other, replace=True).rows == 2
    assert cluster.fetch_all(f"SELECT v FROM {table} WHERE k = 2") == [("c",)]


def test_unloads_of_one_run_are_told_apart_and_known_again(
    cluster: CassandraCluster, table: str, keyspace: str, tmp_path: Path
) -> None:
    other = f"{keyspace}.others"
    cluster.execute(f"CREATE TABLE {other} (p text PRIMARY KEY)")
    load_table.fn(cluster, table, ROWS)
    url = str(tmp_path / "out")
    reports: list[UnloadReport] = []
    refused: list[bool] = []

    @flow(retries=1)
    def work() -> None:
        reports.append(unload_table(cluster, table, url, splits=2))
        refused.append(unload_table(cluster, other, url, return_state=True).is_failed())
        if len(reports) == 1:
            raise RuntimeError("after both")

    work()
    assert [(report.rows, report.resumed) for report in reports] == [(2, 0), (2, 2)]
    assert refused == [True, True]


def test_results_can_be_persisted_and_cached(cluster: CassandraCluster, table: str) -> None:
    load_table.fn(cluster, table, ROWS)
    cached = cassandra_query.with_options(cache_policy=INPUTS, persist_result=True)
    calls: list[str] = []

    @task(persist_result=True)
    def passed_on(rows: list[dict[str, Any]], report: LoadReport) -> int:
        calls.append("ran")
        return len(rows) + report.rows

    @flow(persist_result=True)
    def work() -> tuple[int, str]:
        report = load_table.with_options(persist_result=True)(cluster, table, ROWS)
        state = cached(cluster, f"SELECT p, n FROM {table}", return_state=True)
        again = cached(cluster, f"SELECT p, n FROM {table}", return_state=True)
        assert state.result() == again.result() == ROWS
        return passed_on(again.result(), report), again.name

    assert work() == (4, "Cached")
    assert calls == ["ran"]


def test_rejected_rows_are_logged_and_listed_in_an_artifact(
    cluster: CassandraCluster, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = [*ROWS, *({"p": None, "n": n} for n in range(12))]

    @flow
    def work() -> LoadReport:
        return load_table(cluster, table, data, on_error="reject")

    with caplog.at_level(logging.INFO, "prefect.task_runs"):
        report = work()
    assert (report.rows, report.rejected) == (2, 12)
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "Rejected row 2, column p: a key column needs a value" in warned
    assert "and 2 more rows" in warned
    key = "rejected-" + table.replace("_", "-").replace(".", "-")
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        )
    assert "a key column needs a value" in str(artifact.data)


def test_a_bad_row_fails_the_run_with_its_row_and_column(
    cluster: CassandraCluster, table: str
) -> None:
    @flow
    def work() -> object:
        return load_table(cluster, table, [*ROWS, {"p": None, "n": 3}], return_state=True)

    with pytest.raises(DataError, match="row 2, column p"):
        work().result()  # type: ignore[attr-defined]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_progress_and_numbers_are_artifacts(
    cluster: CassandraCluster,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
    asynchronous: bool,  # noqa: FBT001 -- a case
) -> None:
    monkeypatch.setattr("prefect_cassandra.tasks.loading._PROGRESS_SECONDS", 0.0)
    data = pa.table({"p": [f"p{n}" for n in range(40)], "n": range(40)})

    @flow
    def plain() -> LoadReport:
        return load_table(cluster, table, data)

    @flow
    async def waiting() -> LoadReport:
        return await aload_table(cluster, table, data)

    report = await waiting() if asynchronous else await asyncio.to_thread(plain)
    assert report.rows == 40
    name = table.replace("_", "-").replace(".", "-")
    async with get_client() as client:
        for kind, words in (("loading", "100"), ("load", "rows/s")):
            chosen = ArtifactFilter(key=ArtifactFilterKey(any_=[f"{kind}-{name}"]))
            found = await client.read_artifacts(artifact_filter=chosen)
            assert words in str(found[-1].data)
