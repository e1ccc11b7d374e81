"""Faults of the network between the session and a real node, through a proxy that fails on command.

The rule under test: what may have been applied is never reported as failed, what is reported as
not applied is not there, and everything ends in bounded time.
"""

# ruff: noqa: S608 -- the table names are the fixtures' own

from __future__ import annotations

import asyncio
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.config import RetryRules
from prefect_cassandra.driver.connect import read_page
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import (
    OutcomeUnknownError,
    StatementError,
    UnreachableError,
)
from support.proxy import FaultProxy
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.driver.request import Request

NEVER = RetryRules(attempts=0)
PATIENT = RetryRules(attempts=40, backoff=0.05, backoff_max=0.5)


@pytest.fixture
def table(superuser: Session, keyspace: str) -> str:
    name = f"{keyspace}.t"
    superuser.execute(f"CREATE TABLE {name} (k int, c int, v text, PRIMARY KEY (k, c))")
    superuser.execute(f"CREATE TABLE {keyspace}.counts (k int PRIMARY KEY, n counter)")
    return name


@pytest.fixture
def proxy(node: Any) -> Iterator[FaultProxy]:
    config = node.config()
    with FaultProxy((config.contact_points[0], config.port)) as proxy:
        yield proxy


@pytest.fixture
def through(node: Any, proxy: FaultProxy) -> ClusterConfig:
    """How to connect through the proxy, without repeats."""
    return replace(
        node.config(),
        contact_points=(proxy.host,),
        port=proxy.port,
        retry=NEVER,
        request_timeout=5.0,
        connect_timeout=3.0,
    )


@pytest.fixture
def session(through: ClusterConfig) -> Iterator[Session]:
    session = Session(through)
    yield session
    session.close()


def in_thread(action: Any) -> tuple[threading.Thread, list[BaseException | Any]]:
    ended: list[BaseException | Any] = []

    def run() -> None:
        try:
            ended.append(action())
        except Exception as error:  # noqa: BLE001 -- the test judges it
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def rows(superuser: Session, table: str) -> list[dict[str, Any]]:
    return superuser.execute(f"SELECT c, v FROM {table}").rows


async def test_the_event_loop_turns_while_a_session_connects_and_writes(
    proxy: FaultProxy, session: Session, table: str
) -> None:
    """No answer passes before the loop says so: whoever blocks it waits until the time is up."""
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)"
    many = ([1, c, "x"] for c in range(500))

    async def answered(work: Coroutine[Any, Any, Any]) -> Any:
        proxy.withhold_answers()
        sent = proxy.sent
        under_way = asyncio.create_task(work)
        await asyncio.to_thread(proxy.wait_sent, sent)
        proxy.restore()
        return await under_way

    assert (await answered(session.aexecute(insert, [1, 1, "x"]))).rows == []
    assert await answered(session.aexecute_many(insert, many)) == 500


def test_connection_lost_after_the_write_went_out_is_an_unknown_outcome_and_it_was_applied(
    proxy: FaultProxy, session: Session, superuser: Session, table: str
) -> None:
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)"
    session.prepare(insert)
    proxy.withhold_answers()
    thread, ended = in_thread(lambda: session.execute(insert, [1, 1, "x"]))
    eventually(lambda: rows(superuser, table), within=10)

    proxy.cut()
    thread.join(10)

    assert isinstance(ended[0], OutcomeUnknownError)


async def test_connection_lost_is_an_unknown_outcome_for_async_writes_too(
    proxy: FaultProxy, session: Session, superuser: Session, table: str
) -> None:
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)"
    await session.aprepare(insert)
    proxy.withhold_answers()
    write = asyncio.ensure_future(session.aexecute(insert, [1, 1, "x"]))
    await asyncio.to_thread(eventually, lambda: rows(superuser, table), within=10)

    proxy.cut()

    with pytest.raises(OutcomeUnknownError):
        await asyncio.wait_for(write, 10)


def test_read_on_a_lost_connection_is_no_unknown_outcome(
    proxy: FaultProxy, session: Session, table: str
) -> None:
    session.connect()
    proxy.withhold_answers()
    sent = proxy.sent
    thread, ended = in_thread(lambda: session.execute(f"SELECT * FROM {table}"))
    proxy.wait_sent(sent)

    proxy.cut()
    thread.join(10)

    assert isinstance(ended[0], UnreachableError)


def test_write_without_an_answer_is_an_unknown_outcome_within_its_timeout(
    proxy: FaultProxy, session: Session, table: str
) -> None:
    insert = f"INSERT INTO {table} (k, c) VALUES (1, 1)"
    session.execute(insert)
    proxy.stall()
    started = time.monotonic()

    with pytest.raises(OutcomeUnknownError, match="timeout"):
        session.execute(insert, timeout=0.5)

    assert 0.4 < time.monotonic() - started < 3


def test_conditional_write_without_an_answer_is_never_repeated(
    proxy: FaultProxy, through: ClusterConfig, superuser: Session, table: str
) -> None:
    session = Session(replace(through, retry=PATIENT))
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?) IF NOT EXISTS"
    session.prepare(insert)
    proxy.withhold_answers()
    thread, ended = in_thread(lambda: session.execute(insert, [1, 1, "mine"], timeout=2))
    eventually(lambda: rows(superuser, table), within=10)
    sent = proxy.sent
    thread.join(10)

    assert isinstance(ended[0], OutcomeUnknownError)
    assert "conditional" in str(ended[0])
    assert proxy.sent == sent
    proxy.restore()
    session.close()


def test_counter_is_counted_once_when_its_connection_is_lost(
    proxy: FaultProxy, through: ClusterConfig, superuser: Session, table: str
) -> None:
    counts = table.replace(".t", ".counts")
    session = Session(replace(through, retry=PATIENT))
    update = f"UPDATE {counts} SET n = n + 1 WHERE k = ?"
    session.prepare(update)
    proxy.withhold_answers()
    thread, ended = in_thread(lambda: session.execute(update, [1]))
    eventually(lambda: superuser.execute(f"SELECT n FROM {counts}").rows, within=10)

    proxy.cut()
    proxy.restore()
    thread.join(10)

    assert isinstance(ended[0], OutcomeUnknownError)
    assert superuser.execute(f"SELECT n FROM {counts}").rows == [{"n": 1}]
    session.close()


def test_repeated_write_keeps_its_timestamp_so_it_cannot_beat_a_later_one(
    proxy: FaultProxy,
    through: ClusterConfig,
    superuser: Session,
    table: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = Session(replace(through, retry=PATIENT))
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)"
    session.prepare(insert)
    proxy.withhold_answers()
    thread, ended = in_thread(lambda: session.execute(insert, [1, 1, "early"]))
    eventually(lambda: rows(superuser, table), within=10)
    at = f"SELECT v, writetime(v) AS at FROM {table} WHERE k = 1 AND c = 1"
    first = superuser.execute(at).one()
    superuser.execute(insert, [1, 1, "later"])

    with caplog.at_level("INFO", "prefect_cassandra.driver.mending"):
        proxy.cut()
        proxy.restore()
        thread.join(30)

    assert "Repeat 1" in caplog.text
    assert not isinstance(ended[0], Exception)
    assert first is not None
    assert first["v"] == "early"
    row = superuser.execute(at).one()
    assert row is not None
    assert row["v"] == "later"
    assert row["at"] > first["at"]
    session.close()


def test_idempotent_write_is_repeated_until_the_network_is_back(
    proxy: FaultProxy, through: ClusterConfig, superuser: Session, table: str
) -> None:
    session = Session(replace(through, retry=PATIENT))
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)"
    session.prepare(insert)
    proxy.stall()
    thread, ended = in_thread(lambda: session.execute(insert, [1, 1, "x"], timeout=0.5))
    eventually(lambda: len(session._link.session._pools) == 1, within=5)  # type: ignore[union-attr]

    proxy.cut()
    proxy.restore()
    thread.join(60)

    assert not isinstance(ended[0], Exception), ended
    assert rows(superuser, table) == [{"c": 1, "v": "x"}]
    session.close()


def test_an_unclear_try_is_not_forgotten_when_later_ones_find_nobody(
    proxy: FaultProxy, through: ClusterConfig, superuser: Session, table: str
) -> None:
    rules = RetryRules(attempts=3, backoff=0.05, backoff_max=0.1)
    session = Session(replace(through, retry=rules))
    insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)"
    prepared = session.prepare(insert)
    proxy.withhold_answers()
    single, single_ended = in_thread(lambda: session.execute(insert, [1, 1, "x"]))
    request = session.single(prepared, prepared.check([1, 2, "y"]))
    stream, stream_ended = in_thread(lambda: Pump(session).run([request]))
    eventually(lambda: len(rows(superuser, table)) == 2, within=10)

    proxy.cut()
    single.join(60)
    stream.join(60)

    assert isinstance(single_ended[0], OutcomeUnknownError), single_ended
    assert isinstance(stream_ended[0], OutcomeUnknownError), stream_ended
    session.close()


def test_repeats_are_counted_and_stop(
    proxy: FaultProxy, through: ClusterConfig, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    rules = RetryRules(attempts=2, backoff=0.01, backoff_max=0.02)
    session = Session(replace(through, retry=rules))
    session.connect()
    proxy.stall()

    with (
        caplog.at_level("INFO", "prefect_cassandra.driver.mending"),
        pytest.raises(OutcomeUnknownError),
    ):
        session.execute(f"INSERT INTO {table} (k, c) VALUES (1, 1)", timeout=0.3)

    repeats = [r for r in caplog.records if r.message.startswith("Repeat")]
    assert [record.args[:2] for record in repeats] == [(1, 2), (2, 2)]  # type: ignore[index]
    proxy.restore()
    session.close()


def test_deaf_port_is_unreachable_within_the_connect_timeout(
    proxy: FaultProxy, through: ClusterConfig
) -> None:
    proxy.go_deaf()
    session = Session(replace(through, connect_timeout=0.5))
    started = time.monotonic()

    with pytest.raises(UnreachableError, match=str(proxy.port)):
        session.connect()

    assert time.monotonic() - started < 5
    session.close()


def test_closed_port_is_unreachable_with_the_reason_named(
    proxy: FaultProxy, through: ClusterConfig
) -> None:
    proxy.refuse()
    session = Session(through)

    with pytest.raises(UnreachableError, match="refused"):
        session.connect()
    session.close()


def test_unknown_host_name_is_unreachable_and_named(through: ClusterConfig) -> None:
    session = Session(replace(through, contact_points=("nowhere.invalid",)))

    with pytest.raises(UnreachableError, match=r"nowhere\.invalid"):
        session.connect()
    session.close()


def test_statement_during_an_outage_is_unreachable_and_the_session_heals_afterwards(
    proxy: FaultProxy, session: Session, table: str
) -> None:
    session.connect()
    proxy.go_deaf()
    proxy.cut()
    eventually(lambda: ends_with(UnreachableError, session, table), within=30)

    proxy.restore()

    eventually(lambda: ends_with(None, session, table), within=30)


def ends_with(kind: type[Exception] | None, session: Session, table: str) -> bool:
    try:
        session.execute(f"SELECT c FROM {table}", timeout=1)
    except Exception as error:  # noqa: BLE001 -- judged here
        return kind is not None and isinstance(error, kind)
    return kind is None


def test_stale_addresses_are_looked_up_again_by_one_thread_for_all(
    node: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Kubernetes: the name stays, the pod behind it comes back with another address."""
    config = node.config()
    target = (config.contact_points[0], config.port)
    addresses = ["127.0.0.21"]
    resolve = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        return resolve(addresses[0] if host == "cassandra.test" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with (
        FaultProxy(target, "127.0.0.21") as old,
        FaultProxy(target, "127.0.0.22", old.port) as new,
    ):
        session = Session(
            replace(
                config,
                contact_points=("cassandra.test",),
                port=old.port,
                connect_timeout=3.0,
                retry=RetryRules(attempts=20, backoff=0.1, backoff_max=0.5),
            )
        )
        insert = f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)"
        session.execute(insert, [1, 0, "before"])
        stale = session.link()
        addresses[0] = "127.0.0.22"
        old.refuse()

        writers = [
            in_thread(lambda c=c: session.execute(insert, [1, c, "after"])) for c in range(1, 9)
        ]
        for thread, _ in writers:
            thread.join(60)

        assert [ended for _, ended in writers if isinstance(ended[0], Exception)] == []
        assert session.link() is not stale
        assert new.accepted == 2, "one cluster: a control connection and one for requests"
        eventually(lambda: stale.cluster.is_shutdown, within=10)
        assert len(session.execute(f"SELECT c FROM {table}").rows) == 9
        session.close()


def requests(session: Session, table: str, count: int, broken_at: int = -1) -> Iterator[Request]:
    prepared = session.prepare(f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)")
    for c in range(count):
        request = session.single(prepared, prepared.check([1, c, "x"]))
        if c == broken_at:
            # Refused by the node, and so only once it was sent: the key is null.
            request.statement.values[0] = None
        yield request


def test_pump_really_stops_sending_at_the_first_failure(superuser: Session, table: str) -> None:
    taken: list[Request] = []

    def watched() -> Iterator[Request]:
        for request in requests(superuser, table, 20_000, broken_at=100):
            taken.append(request)
            yield request

    pump = Pump(superuser, 16)

    with pytest.raises(StatementError):
        pump.run(watched())

    assert len(taken) < 2_000
    sent = pump.report.requests
    assert sent < len(taken)
    stored = len(rows(superuser, table))
    assert stored == sent
    # Nothing goes on in the background, as it does with the driver's own helper.
    assert len(rows(superuser, table)) == stored


def test_pump_carries_on_through_cut_connections_and_counts_its_repeats(
    proxy: FaultProxy, through: ClusterConfig, superuser: Session, table: str
) -> None:
    session = Session(replace(through, retry=PATIENT))
    session.connect()

    def cut_twice() -> Iterator[Request]:
        for number, request in enumerate(requests(session, table, 3000)):
            if number in (1000, 2000):
                proxy.cut()
            yield request

    report = Pump(session, 32).run(cut_twice())

    assert report.requests == report.rows == 3000
    assert report.retries > 0
    assert len(rows(superuser, table)) == 3000
    session.close()


def test_pump_sends_less_while_the_server_stalls_and_all_it_may_afterwards(
    proxy: FaultProxy, through: ClusterConfig, superuser: Session, table: str
) -> None:
    session = Session(replace(through, retry=PATIENT, request_timeout=0.5))
    session.connect()
    allowed: list[int] = []
    healers: list[threading.Thread] = []

    def heal() -> None:
        eventually(lambda: pump.report.allowed <= 4, within=30)
        proxy.restore()

    def stalled() -> Iterator[Request]:
        for number, request in enumerate(requests(session, table, 5000)):
            if number == 1000:
                proxy.stall()
                healers.append(in_thread(heal)[0])
            yield request

    pump = Pump(session, 32, progress=lambda report: allowed.append(report.allowed))
    report = pump.run(stalled())
    healers[0].join(30)

    assert report.requests == report.rows == 5000
    assert report.retries >= 32
    assert max(allowed[:1000]) == 32, "a healthy server gets all it may"
    assert min(allowed[900:]) <= 4
    assert max(allowed[-1000:]) == 32, "and so does one that is well again"
    assert len(rows(superuser, table)) == 5000
    session.close()


def test_answers_of_a_scan_come_page_by_page_with_the_next_page_under_way(
    superuser: Session, table: str
) -> None:
    Pump(superuser).run(requests(superuser, table, 500))
    query = superuser.prepare(f"SELECT c FROM {table} WHERE k = ?")
    request = superuser.single(query, query.check([1]), fetch_size=60)
    pump = Pump(superuser, 4)
    seen: list[int] = []

    for answer in pump.answers([request]):
        page = read_page(answer.future, answer.raw)
        if page.state is not None:
            pump.follow(answer.request, page.state)
        seen += [row["c"] for row in page.rows]

    assert seen == list(range(500))
    assert pump.report.requests == 9


def test_pump_stops_when_told_and_reports_what_is_acknowledged(
    superuser: Session, table: str
) -> None:
    stop = threading.Event()

    def until_stopped() -> Iterator[Request]:
        for number, request in enumerate(requests(superuser, table, 20_000)):
            if number == 200:
                stop.set()
            yield request

    report = Pump(superuser, 8, cancelled=stop).run(until_stopped())

    assert report.cancelled
    assert 190 <= report.requests <= 201
    assert len(rows(superuser, table)) == report.requests


async def test_cancelled_task_sends_nothing_after_its_cancellation_is_seen(
    superuser: Session, table: str
) -> None:
    work = asyncio.ensure_future(
        superuser.aexecute_many(
            f"INSERT INTO {table} (k, c, v) VALUES (?, ?, ?)", ((1, c, "x") for c in range(50_000))
        )
    )
    await asyncio.to_thread(eventually, lambda: len(rows(superuser, table)) > 50, within=30)

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    stored = len(rows(superuser, table))
    assert stored < 50_000
    assert len(rows(superuser, table)) == stored
