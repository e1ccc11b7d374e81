"""The session against a real node: statements, pages, preparing, async, values, processes."""

# ruff: noqa: S608 -- the table names are the fixtures' own

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from cassandra.util import Time

from prefect_cassandra.driver.config import Login
from prefect_cassandra.driver.session import Session
from prefect_cassandra.driver.sharing import close_sessions, shared_session
from prefect_cassandra.driver.types import UNSET, Duration
from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    DataError,
    NotAppliedError,
    PermissionDeniedError,
    StatementError,
)
from support import children
from support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig


@pytest.fixture
def table(superuser: Session, keyspace: str) -> str:
    name = f"{keyspace}.t"
    superuser.execute(f"CREATE TABLE {name} (k int, c int, v text, PRIMARY KEY (k, c))")
    return name


def fill(session: Session, table: str, count: int) -> None:
    sent = session.execute_many(
        f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)", ((1, c, f"v{c}") for c in range(count))
    )
    assert sent == count


def test_rows_come_back_as_dictionaries_in_order(superuser: Session, table: str) -> None:
    fill(superuser, table, 3)

    result = superuser.execute(f"SELECT c, v FROM {table} WHERE k = :key", {"key": 1})

    assert result.columns == ["c", "v"]
    assert result.rows == [{"c": c, "v": f"v{c}"} for c in range(3)]
    assert result.one() == {"c": 0, "v": "v0"}
    assert result.applied is None


def test_statement_without_rows_has_an_empty_answer(superuser: Session, table: str) -> None:
    result = superuser.execute(f"INSERT INTO {table} (k, c) VALUES (1, 1)")

    assert result.rows == []
    assert result.columns == []
    assert result.one() is None


def test_conditional_write_says_whether_it_was_applied(superuser: Session, table: str) -> None:
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?) IF NOT EXISTS"

    assert superuser.execute(insert, [1, 1, "first"]).applied is True
    second = superuser.execute(insert, [1, 1, "second"])

    assert second.applied is False
    assert second.rows[0]["v"] == "first"


def test_pages_are_fetched_only_as_far_as_rows_are_taken(superuser: Session, table: str) -> None:
    fill(superuser, table, 50)
    result = superuser.execute(f"SELECT c FROM {table}", fetch_size=10)
    fetched: list[bytes] = []
    fetch = result._fetch
    result._fetch = lambda state: fetched.append(state) or fetch(state)  # type: ignore[func-returns-value]

    rows = iter(result)
    first = [next(rows)["c"] for _ in range(11)]

    assert first == list(range(11))
    assert len(fetched) == 1
    assert [row["c"] for row in result] == list(range(50))
    assert [row["c"] for row in result.rows] == list(range(50))


async def test_async_pages_all_arrive(superuser: Session, table: str) -> None:
    fill(superuser, table, 50)

    result = await superuser.aexecute(f"SELECT c FROM {table} WHERE k = ?", [1], fetch_size=7)

    assert [row["c"] async for row in result] == list(range(50))
    assert len(await result.arows()) == 50


async def test_many_async_statements_run_side_by_side(superuser: Session, table: str) -> None:
    fill(superuser, table, 20)

    results = await asyncio.gather(
        *(
            superuser.aexecute(f"SELECT v FROM {table} WHERE k = ? AND c = ?", [1, c])
            for c in range(20)
        )
    )

    assert [result.rows[0]["v"] for result in results] == [f"v{c}" for c in range(20)]


def test_pages_can_be_had_as_they_came(superuser: Session, table: str) -> None:
    fill(superuser, table, 1000)

    pages = list(superuser.pages(f"SELECT c FROM {table} WHERE k = ?", [1], fetch_size=300))

    assert [page.rows for page in pages] == [300, 300, 300, 100]
    assert {page.names for page in pages} == {("c",)}
    assert pages[0].body[:16] == bytes([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1])


EVERYTHING: dict[str, tuple[str, Any]] = {
    "a_ascii": ("ascii", "plain"),
    "a_bigint": ("bigint", -(2**63)),
    "a_blob": ("blob", b"\x00\xff"),
    "a_boolean": ("boolean", True),
    "a_date": ("date", date(1, 1, 1)),
    "a_decimal": ("decimal", Decimal("-1.230")),
    "a_double": ("double", 1e300),
    "a_duration": ("duration", Duration(1, 2, 3)),
    "a_float": ("float", 0.5),
    "a_inet": ("inet", "2001:db8::1"),
    "a_int": ("int", 2**31 - 1),
    "a_smallint": ("smallint", -(2**15)),
    "a_text": ("text", "naïve 🛫"),
    "a_time": ("time", time_of_day(23, 59, 59, 999999)),
    "a_nanotime": ("time", Time(1)),
    "a_timestamp": ("timestamp", datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
    "a_timeuuid": ("timeuuid", uuid.uuid1()),
    "a_tinyint": ("tinyint", -128),
    "a_uuid": ("uuid", uuid.uuid4()),
    "a_varint": ("varint", -(2**100)),
    "a_list": ("list<timestamp>", [datetime(2026, 1, 1, tzinfo=UTC)]),
    "a_set": ("set<date>", {date(2026, 1, 1), date(1969, 1, 1)}),
    "a_map": ("map<text, frozen<list<int>>>", {"a": [1, 2]}),
    "a_keyed": ("map<frozen<list<int>>, int>", [([1, 2], 3)]),
    "a_tuple": ("tuple<int, date, text>", (1, date(2026, 1, 1), None)),
    "a_vector": ("vector<float, 3>", [0.5, 1.0, -2.0]),
    "a_place": ("frozen<place>", {"name": "JFK", "opened": date(1948, 7, 1)}),
}


def test_every_type_comes_back_from_the_node_as_it_went_in(
    superuser: Session, keyspace: str
) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in EVERYTHING.items())
    superuser.execute(f"CREATE TYPE {keyspace}.place (name text, opened date)")
    superuser.execute(
        f"CREATE TABLE {keyspace}.everything (k int PRIMARY KEY, {columns})".replace(
            "<place>", f"<{keyspace}.place>"
        )
    )
    names = ", ".join(EVERYTHING)
    markers = ", ".join("?" for _ in EVERYTHING)
    values = [value for _, value in EVERYTHING.values()]

    superuser.execute(
        f"INSERT INTO {keyspace}.everything (k, {names}) VALUES (1, {markers})", values
    )

    row = superuser.execute(f"SELECT {names} FROM {keyspace}.everything WHERE k = ?", [1]).one()
    assert row == {name: value for name, (_, value) in EVERYTHING.items()}


def test_value_python_cannot_hold_is_named_and_the_session_goes_on(
    superuser: Session, keyspace: str
) -> None:
    name = f"{keyspace}.far"
    superuser.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, ts timestamp)")
    superuser.execute(f"INSERT INTO {name} (k, ts) VALUES (1, 999999999999999)")

    with pytest.raises(DataError, match='column "ts"'):
        superuser.execute(f"SELECT * FROM {name}")

    assert superuser.execute(f"SELECT k FROM {name}").rows == [{"k": 1}]


def test_table_is_described_with_its_user_types(superuser: Session, keyspace: str) -> None:
    superuser.execute(f"CREATE TYPE {keyspace}.place (name text, opened date)")
    superuser.execute(
        f"CREATE TABLE {keyspace}.t (a int, b text, c int, s text static, z frozen<place>, "
        "m map<text, int>, PRIMARY KEY ((a, b), c)) WITH CLUSTERING ORDER BY (c DESC)"
    )

    info = superuser.table(keyspace, "t")

    assert info.partition_key == ("a", "b")
    assert info.clustering_key == ("c",)
    assert [(column.name, column.kind) for column in info.columns] == [
        ("a", "partition_key"),
        ("b", "partition_key"),
        ("c", "clustering"),
        ("m", "regular"),
        ("s", "static"),
        ("z", "regular"),
    ]
    assert info.column("m").cql_type == "map<text, int>"  # type: ignore[union-attr]
    assert info.user_types[0].fields == (("name", "text"), ("opened", "date"))


def test_table_made_by_another_session_a_moment_ago_is_found(
    node: Any, superuser: Session, keyspace: str
) -> None:
    other = Session(node.config())
    other.connect()
    superuser.execute(f"CREATE TABLE {keyspace}.fresh (k int PRIMARY KEY)")

    assert other.table(keyspace, "fresh").partition_key == ("k",)
    other.close()


def test_unknown_table_is_answered_with_the_closest_one(superuser: Session, table: str) -> None:
    keyspace = table.partition(".")[0]

    with pytest.raises(StatementError, match="no table 'tt'") as caught:
        superuser.table(keyspace, "tt")

    assert "'t'" in caught.value.hint


def test_prepared_statement_follows_a_table_made_again_with_other_types(
    superuser: Session, keyspace: str
) -> None:
    name = f"{keyspace}.again"
    insert = f"INSERT INTO {name} (k, v) VALUES (?, ?)"
    superuser.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v int)")
    superuser.execute(insert, [1, 7])
    superuser.execute(f"DROP TABLE {name}")
    superuser.execute(f"CREATE TABLE {name} (k int PRIMARY KEY, v text)")

    superuser.execute(insert, [1, "seven"])

    assert superuser.execute(f"SELECT v FROM {name}").rows == [{"v": "seven"}]


def test_unset_leaves_the_cell_and_none_deletes_it(superuser: Session, table: str) -> None:
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)"
    select = f"SELECT v FROM {table} WHERE k = 1 AND c = 1"
    superuser.execute(insert, [1, 1, "kept"])

    superuser.execute(insert, [1, 1, UNSET])
    assert superuser.execute(select).one() == {"v": "kept"}

    superuser.execute(insert, [1, 1, None])
    assert superuser.execute(select).one() == {"v": None}


def test_row_that_does_not_fit_is_named_and_stops_the_rest(superuser: Session, table: str) -> None:
    rows = [(1, 1, "a"), (1, "two", "b"), (1, 3, "c")]

    with pytest.raises(DataError, match="row 2, column c"):
        superuser.execute_many(f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)", rows)

    assert [row["c"] for row in superuser.execute(f"SELECT c FROM {table}")] == [1]


def test_write_timestamp_given_for_a_request_is_the_one_stored(
    superuser: Session, table: str
) -> None:
    superuser.execute(
        f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)", [1, 1, "old"], timestamp=1_000_000
    )

    row = superuser.execute(f"SELECT writetime(v) AS at FROM {table} WHERE k = 1 AND c = 1").one()
    assert row == {"at": 1_000_000}


def test_batch_writes_every_row_of_a_partition_at_one_timestamp(
    superuser: Session, table: str
) -> None:
    prepared = superuser.prepare(f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)")
    rows = [prepared.check([5, c, str(c)]) for c in range(60)]

    superuser.run(superuser.batch(prepared, rows, timestamp=42))

    found = superuser.execute(f"SELECT c, writetime(v) AS at FROM {table} WHERE k = 5").rows
    assert [row["c"] for row in found] == list(range(60))
    assert {row["at"] for row in found} == {42}


@pytest.mark.parametrize(
    ("cql", "parameters", "error"),
    [
        ("SELEC nothing", None, StatementError),
        ("SELECT * FROM nowhere.t", None, StatementError),
        ("SELECT * FROM nowhere.t WHERE k = ?", [1], StatementError),
        ("SELECT nothing FROM system.local", None, StatementError),
        ("CREATE KEYSPACE system WITH replication = {'class': 'x'}", None, PermissionDeniedError),
    ],
)
def test_statement_the_node_refuses_is_a_statement_error(
    superuser: Session, cql: str, parameters: list[int] | None, error: type[Exception]
) -> None:
    with pytest.raises((StatementError, error)):
        superuser.execute(cql, parameters)


def test_password_is_in_no_error_about_a_role_statement(superuser: Session) -> None:
    with pytest.raises(StatementError) as caught:
        superuser.execute("CREATE ROLE r WITH PASSWORD = 'hunter2' AND NONSENSE 'hunter2'")

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_wrong_password_is_an_authentication_error(node: Any) -> None:
    session = Session(replace(node.config(), login=Login("superuser", "wrong")))

    with pytest.raises(AuthenticationError) as caught:
        session.connect()

    assert "wrong" not in str(caught.value).replace("are incorrect", "")
    session.close()


def test_missing_credential_file_is_named_when_connecting(node: Any, tmp_path: Path) -> None:
    session = Session(replace(node.config(), login=Login(folder=tmp_path)))

    with pytest.raises(ConfigurationError, match=str(tmp_path / "username")):
        session.connect()
    session.close()


def test_anonymous_login_is_refused(node: Any) -> None:
    session = Session(node.config(None))

    with pytest.raises(AuthenticationError):
        session.connect()
    session.close()


def test_unknown_datacenter_is_answered_with_the_one_there_is(node: Any) -> None:
    session = Session(replace(node.config(), local_datacenter="nowhere"))

    with pytest.raises(ConfigurationError, match="only dc1"):
        session.connect()
    session.close()


def test_single_datacenter_is_inferred(node: Any) -> None:
    session = Session(replace(node.config(), local_datacenter=None))

    assert session.execute("SELECT data_center FROM system.local").rows == [{"data_center": "dc1"}]
    session.close()


def test_rotated_credentials_are_used_by_the_next_connection_without_a_restart(
    node: Any, superuser: Session, tmp_path: Path
) -> None:
    role = f"role_{uuid.uuid4().hex[:8]}"
    (tmp_path / "username").write_text(role)
    (tmp_path / "password").write_text("first-password")
    superuser.execute(f"CREATE ROLE {role} WITH PASSWORD = 'first-password' AND LOGIN = true")
    session = Session(replace(node.config(), login=Login(folder=tmp_path)))
    query = "SELECT release_version FROM system.local"
    assert session.execute(query).one()
    # The node takes a new password for one role only every five seconds.
    eventually(lambda: changed(superuser, role, "second-password"), within=30)
    old = replace(node.config(), login=Login(role, "first-password"))
    eventually(lambda: refused(old), within=20)

    (tmp_path / "password").write_text("second-password")
    before = session.link()
    session.renew(before)

    assert session.execute(query).one()
    assert session.link() is not before
    session.close()


def changed(superuser: Session, role: str, password: str) -> bool:
    try:
        superuser.execute(f"ALTER ROLE {role} WITH PASSWORD = '{password}'")
    except NotAppliedError:
        return False
    return True


def refused(config: ClusterConfig) -> bool:
    session = Session(config)
    try:
        session.connect()
    except AuthenticationError:
        return True
    finally:
        session.close()
    return False


def talk_to_child(context: Any, target: Any, *arguments: Any) -> tuple[int, Any]:
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=target, args=(*arguments, sender))
    child.start()
    try:
        assert receiver.poll(60), "the child never answered"
        return receiver.recv()
    finally:
        child.join(30)
        if child.is_alive():
            child.kill()
            child.join()
        child.close()
        receiver.close()
        sender.close()


def test_spawned_child_opens_its_own_session_from_the_configuration(node: Any) -> None:
    pid, row = talk_to_child(multiprocessing.get_context("spawn"), children.ask, node.config())

    assert pid != os.getpid()
    assert row["release_version"].startswith("5.")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_forked_child_connects_anew_and_leaves_the_parents_session_whole(
    node: Any, table: str, *, busy: bool
) -> None:
    session = shared_session(node.config())
    session.execute(children.QUERY, [])
    link = session.link()
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        while not stop.is_set():
            written.append(
                session.execute_many(
                    f"INSERT INTO {table} (k, c) VALUES (?, ?)", ((9, c) for c in range(100))
                )
            )

    writer = threading.Thread(target=write)
    if busy:
        writer.start()
        eventually(lambda: len(written) > 1, within=30)
    try:
        for _ in range(3):
            pid, row = talk_to_child(
                multiprocessing.get_context("fork"), children.ask_through, session
            )
            assert pid != os.getpid()
            assert isinstance(row, dict), row
    finally:
        stop.set()
        if busy:
            writer.join()

    assert session.execute(children.QUERY, []).one()
    assert session.link() is link
    assert not link.cluster.is_shutdown
    close_sessions()
