"""Scans of real tables: every row once, and a clear word where one cannot be read."""
# ruff: noqa: S608 -- names of tables made here

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from prefect_cassandra.driver.config import Login
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import ConfigurationError, NotAppliedError, StatementError
from prefect_cassandra.reads.frames import acollect, collect
from prefect_cassandra.reads.query import Selection
from prefect_cassandra.reads.scan import Scan, ScanOptions
from prefect_cassandra.writes.loader import LoadOptions, load

if TYPE_CHECKING:
    from .conftest import RunningNode


@pytest.fixture
def table(superuser: Session, keyspace: str) -> str:
    """12,000 rows in partitions of 40, some of whose cells are null."""
    name = f"{keyspace}.rows"
    superuser.execute(
        f"CREATE TABLE {name} (k int, kind text, c int, v text, shared int static, tags set<text>, "
        "PRIMARY KEY ((k, kind), c))"
    )
    count = 12_000
    rows = pa.table(
        {
            "k": pa.array([n // 40 for n in range(count)], pa.int32()),
            "kind": ["even" if n // 40 % 2 == 0 else "odd" for n in range(count)],
            "c": pa.array(range(count), pa.int32()),
            "v": [None if n % 7 == 0 else f"v{n}" for n in range(count)],
        }
    )
    load(superuser, name, rows)
    return name


def scanned(session: Session, table: str, **chosen: Any) -> pa.Table:
    options = ScanOptions(Selection(**chosen), splits=11)
    found: pa.Table = collect(Scan(session, table, options), "table")
    return found


def test_a_scan_reads_every_row_once(superuser: Session, table: str) -> None:
    found = scanned(superuser, table).sort_by("c")
    assert found.schema.names == ["k", "kind", "c", "shared", "tags", "v"]
    assert found["c"].to_pylist() == list(range(12_000))
    assert found["v"].to_pylist()[:3] == [None, "v1", "v2"]
    assert found["k"].to_pylist() == [n // 40 for n in range(12_000)]


def test_a_scan_of_an_empty_table_has_its_columns(superuser: Session, keyspace: str) -> None:
    superuser.execute(f"CREATE TABLE {keyspace}.none (k int PRIMARY KEY, v list<uuid>)")
    found = scanned(superuser, f"{keyspace}.none")
    assert found.schema == pa.schema([("k", pa.int32()), ("v", pa.list_(pa.uuid()))])
    assert found.num_rows == 0


def test_only_what_is_chosen_is_read(superuser: Session, table: str) -> None:
    found = scanned(superuser, table, columns=["c"], where="c >= :low", parameters={"low": 11_990})
    assert found.schema.names == ["c"]
    assert sorted(found["c"].to_pylist()) == list(range(11_990, 12_000))
    assert scanned(superuser, table, per_partition_limit=1).num_rows == 300


def test_an_indexed_column_can_be_asked_for(superuser: Session, table: str) -> None:
    superuser.execute(f"CREATE INDEX ON {table} (v) USING 'sai'")
    found = scanned(superuser, table, where="v = ?", parameters=["v11"])
    assert found["c"].to_pylist() == [11]


def test_write_times_and_ttls_come_along(superuser: Session, table: str) -> None:
    superuser.execute(
        f"INSERT INTO {table} (k, kind, c, v, tags) VALUES (-1, 'x', 0, 'v', {{'a', 'b'}}) "
        "USING TTL 1000 AND TIMESTAMP 5"
    )
    found = scanned(
        superuser,
        table,
        columns=["v"],
        writetime=["v", "tags"],
        ttl=["v", "tags"],
        where="kind = 'x'",
    )
    assert found.schema.names == ["v", "writetime(v)", "writetime(tags)", "ttl(v)", "ttl(tags)"]
    (row,) = found.to_pylist()
    assert row["writetime(v)"] == 5
    assert row["writetime(tags)"] == [5, 5]
    assert 0 < row["ttl(v)"] <= 1000
    assert len(row["ttl(tags)"]) == 2


def test_static_columns_come_with_every_row(superuser: Session, table: str) -> None:
    superuser.execute(f"UPDATE {table} SET shared = 9 WHERE k = 3 AND kind = 'odd'")
    found = scanned(superuser, table, columns=["k", "shared"])
    assert found.filter(pa.compute.equal(found["k"], 3))["shared"].to_pylist() == [9] * 40
    assert found["shared"].null_count == 12_000 - 40


async def test_an_async_scan_reads_every_row_once(superuser: Session, table: str) -> None:
    scan = Scan(superuser, table, ScanOptions(splits=5))
    found = await acollect(scan, "table")
    assert sorted(found["c"].to_pylist()) == list(range(12_000))


def test_a_role_that_may_only_read_the_table_can_scan_it(
    superuser: Session, node: RunningNode, table: str
) -> None:
    role = table.partition(".")[0]
    superuser.execute(f"CREATE ROLE {role} WITH LOGIN = true AND PASSWORD = 'secret'")
    superuser.execute(f"GRANT SELECT ON TABLE {table} TO {role}")
    session = Session(replace(node.config(), login=Login(role, "secret")))
    try:
        assert scanned(session, table).num_rows == 12_000
    finally:
        session.close()


def test_a_scan_that_is_left_stops_reading(superuser: Session, table: str) -> None:
    with Scan(superuser, table, ScanOptions(splits=40)) as scan:
        next(iter(scan))
    assert not [one for one in threading.enumerate() if one.name.startswith("scan")]
    with pytest.raises(ConfigurationError, match="only once"):
        next(iter(scan))


def test_a_scan_of_no_table_is_refused(superuser: Session, keyspace: str, table: str) -> None:
    with pytest.raises(StatementError, match="no table 'row'"):
        Scan(superuser, f"{keyspace}.row")
    with pytest.raises(ConfigurationError, match="no column 'w'"):
        Scan(superuser, table, ScanOptions(Selection(["w"])))
    with pytest.raises(StatementError):
        Scan(superuser, table, ScanOptions(Selection(where="nothing = 1")))


@pytest.mark.slow
def test_a_page_of_too_many_deleted_cells_is_asked_for_in_smaller_ones(
    superuser: Session, keyspace: str
) -> None:
    name, many = f"{keyspace}.holes", 150
    columns = [f"n{place}" for place in range(many)]
    superuser.execute(
        f"CREATE TABLE {name} (k int, c int, {' int, '.join(columns)} int, PRIMARY KEY (k, c))"
    )
    nulls = {column: pa.nulls(1_500, pa.int32()) for column in columns}
    rows = pa.table({"k": pa.array([1] * 1_500, pa.int32()), "c": range(1_500), **nulls})
    load(superuser, name, rows, LoadOptions(mode="null"))
    with pytest.raises(NotAppliedError):
        superuser.execute(f"SELECT * FROM {name}")

    scan = Scan(superuser, name, ScanOptions(splits=1))
    assert sorted(collect(scan, "table")["c"].to_pylist()) == list(range(1_500))
    assert scan.retries > 0


def bury(session: Session, table: str, keys: list[str], rows: int) -> None:
    """Delete rows that were never there, and write one behind them, in each partition."""
    delete = session.prepare(f"DELETE FROM {table} WHERE k = ? AND c = ?")
    Pump(session, 4).run(
        session.batch(delete, [[key, c] for c in range(start, min(start + 1_000, rows))])
        for key in keys
        for start in range(0, rows, 1_000)
    )
    session.execute_many(
        f"INSERT INTO {table} (k, c, v) VALUES (?, ?, 1)", ([key, rows] for key in keys)
    )


@pytest.mark.slow
def test_a_range_of_too_many_deleted_rows_is_cut_until_it_is_read(
    superuser: Session, keyspace: str
) -> None:
    name = f"{keyspace}.graves"
    superuser.execute(f"CREATE TABLE {name} (k text, c int, v int, PRIMARY KEY (k, c))")
    keys = [f"k{n}" for n in range(12)]
    bury(superuser, name, keys, 12_000)
    with pytest.raises(NotAppliedError):
        superuser.execute(f"SELECT * FROM {name}")

    scan = Scan(superuser, name, ScanOptions(splits=1))
    assert sorted(collect(scan, "table")["k"].to_pylist()) == sorted(keys)


@pytest.mark.slow
def test_a_partition_that_cannot_be_read_is_named(superuser: Session, keyspace: str) -> None:
    name = f"{keyspace}.pit"
    superuser.execute(f"CREATE TABLE {name} (k text, c int, v int, PRIMARY KEY (k, c))")
    superuser.execute(f"INSERT INTO {name} (k, c, v) VALUES ('deep', -1, 0)")
    bury(superuser, name, ["deep"], 101_000)
    row = superuser.execute(f"SELECT token(k) AS t FROM {name} WHERE k = 'deep' LIMIT 1").one()
    assert row is not None

    with pytest.raises(NotAppliedError, match=f"token {row['t']}, partition k = 'deep'"):
        collect(Scan(superuser, name, ScanOptions(splits=4)), "table")
