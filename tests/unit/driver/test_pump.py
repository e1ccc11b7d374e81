"""The pump's bookkeeping, on a session that answers from a script instead of a network."""

from __future__ import annotations

import asyncio
import queue
import threading
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cassandra import InvalidRequest, OperationTimedOut
from cassandra.protocol import OverloadedErrorMessage

from prefect_cassandra.driver.config import ClusterConfig, RetryRules
from prefect_cassandra.driver.mending import MendingConnection
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.request import Request
from prefect_cassandra.driver.statements import Kind
from prefect_cassandra.errors import ConfigurationError, OutcomeUnknownError, StatementError
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RULES = RetryRules(attempts=2, backoff=0.001, backoff_max=0.002)


class Future:
    """Answers when the scripted network says so."""

    attempted_hosts = ("10.0.0.1",)
    coordinator_host = "10.0.0.1"

    def __init__(self, raw: object = None) -> None:
        self.raw = raw
        self._callbacks: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def add_callbacks(self, callback: Callable[..., None], errback: Callable[..., None]) -> None:
        self._callbacks.put((callback, errback))

    def settle(self, error: Exception | None) -> None:
        """Call back, waiting for the callbacks if the answer was faster."""
        callback, errback = self._callbacks.get()
        if error is None:
            callback(self.raw)
        else:
            errback(error)


class Scripted(MendingConnection):
    """Runs requests on a thread; `script` gives each request's error by its number and try."""

    def __init__(
        self, script: Callable[[int, int], Exception | None], rules: RetryRules = RULES
    ) -> None:
        super().__init__(ClusterConfig(("127.0.0.1",), retry=rules))
        self.script = script
        self.sent: list[int] = []
        self.open = self.most_open = 0
        self.held = threading.Event()
        self.held.set()
        self._work: queue.SimpleQueue[tuple[int, int, Future] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def link(self) -> Any:
        return SimpleNamespace(start=self._start)

    def _start(self, request: Request, state: bytes | None = None) -> Future:
        number = request.statement.number
        attempt = self.sent.count(number) + 1
        self.sent.append(number)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        future = Future((number, state))
        self._work.put((number, attempt, future))
        return future

    def _answer(self) -> None:
        while (item := self._work.get()) is not None:
            self.held.wait()
            number, attempt, future = item
            error = self.script(number, attempt)
            self.open -= 1
            future.settle(error)

    def close(self) -> None:
        self._work.put(None)
        self._thread.join()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def make(
        script: Callable[[int, int], Exception | None] = lambda *_: None,
        rules: RetryRules = RULES,
    ) -> Scripted:
        made.append(Scripted(script, rules))
        return made[-1]

    yield make
    for connection in made:
        connection.close()


def stream(count: int, *, idempotent: bool = True, rows: int = 1) -> Iterator[Request]:
    for number in range(count):
        yield Request(
            SimpleNamespace(number=number), Kind.WRITE, idempotent, timeout=1.0, rows=rows
        )


TIMED_OUT = OperationTimedOut({"h": "late"}, "10.0.0.1")


def test_every_request_is_sent_once_and_counted(scripted: Any) -> None:
    connection = scripted()

    report = Pump(connection, 4).run(stream(100, rows=3))

    assert connection.sent == list(range(100))
    assert (report.requests, report.rows, report.retries) == (100, 300, 0)
    assert not report.cancelled


def test_no_more_than_the_allowed_number_is_under_way(scripted: Any) -> None:
    connection = scripted()

    Pump(connection, 7).run(stream(200))

    assert 1 < connection.most_open <= 7


def test_stream_is_read_no_further_than_it_is_sent(scripted: Any) -> None:
    connection = scripted()
    connection.held.clear()
    taken: list[int] = []

    def watched() -> Iterator[Request]:
        for request in stream(1000):
            taken.append(request.statement.number)
            if len(taken) == 5:
                connection.held.set()
            yield request

    pump = Pump(connection, 5)
    pump.run(watched())

    assert len(taken) == 1000
    assert connection.most_open <= 5


def test_first_failure_stops_the_stream_and_waits_for_what_is_under_way(scripted: Any) -> None:
    connection = scripted(lambda number, _: InvalidRequest("no") if number == 10 else None)
    pump = Pump(connection, 4)

    with pytest.raises(StatementError):
        pump.run(stream(1000))

    assert len(connection.sent) <= 10 + 4 + 1
    assert connection.open == 0
    assert pump.report.requests == len(connection.sent) - 1


def test_request_that_may_be_repeated_is_and_the_repeats_are_counted(scripted: Any) -> None:
    connection = scripted(
        lambda number, attempt: TIMED_OUT if number % 10 == 0 and attempt <= 2 else None
    )

    report = Pump(connection, 4).run(stream(50))

    assert report.requests == 50
    assert report.retries == 10
    assert sorted(connection.sent) == sorted([*range(50), *[0, 10, 20, 30, 40] * 2])


def test_repeats_end_and_the_outcome_stays_unknown(scripted: Any) -> None:
    connection = scripted(lambda number, _: TIMED_OUT if number == 3 else None)

    with pytest.raises(OutcomeUnknownError):
        Pump(connection, 1).run(stream(10))

    assert connection.sent == [0, 1, 2, 3, 3, 3]


def test_request_that_may_not_be_repeated_is_not(scripted: Any) -> None:
    connection = scripted(lambda number, _: TIMED_OUT if number == 3 else None)

    with pytest.raises(OutcomeUnknownError):
        Pump(connection, 1).run(stream(10, idempotent=False))

    assert connection.sent == [0, 1, 2, 3]


def test_error_of_the_stream_itself_comes_out_after_the_drain(scripted: Any) -> None:
    connection = scripted()

    def broken() -> Iterator[Request]:
        yield from stream(5)
        raise ValueError("the source broke")

    pump = Pump(connection, 2)
    with pytest.raises(ValueError, match="the source broke"):
        pump.run(broken())

    assert connection.open == 0
    assert pump.report.requests == 5


def test_cancelled_before_the_start_sends_nothing(scripted: Any) -> None:
    connection = scripted()
    stop = threading.Event()
    stop.set()

    report = Pump(connection, 4, cancelled=stop).run(stream(10))

    assert connection.sent == []
    assert report.cancelled


def test_progress_is_told_after_each_request(scripted: Any) -> None:
    told: list[int] = []

    Pump(scripted(), 4, progress=lambda report: told.append(report.requests)).run(stream(10))

    assert told == list(range(1, 11))


async def test_cancelled_task_waits_for_what_is_under_way(scripted: Any) -> None:
    connection = scripted()
    connection.held.clear()
    work = asyncio.ensure_future(Pump(connection, 3).arun(stream(1000)))
    await asyncio.to_thread(eventually, lambda: len(connection.sent) == 3, within=10)

    work.cancel()
    await asyncio.sleep(0)
    assert not work.done()
    connection.held.set()

    with pytest.raises(asyncio.CancelledError):
        await work
    assert connection.open == 0
    assert len(connection.sent) == 3


def test_pump_that_could_send_nothing_is_refused(scripted: Any) -> None:
    with pytest.raises(ConfigurationError, match="0 requests"):
        Pump(scripted(), 0)


def test_server_that_refuses_gets_fewer_at_a_time_and_everything_in_the_end(scripted: Any) -> None:
    # How often one request is refused is the scheduler's to say, and not what is tested here.
    connection = scripted(rules=RetryRules(attempts=50, backoff=0.001, backoff_max=0.002))

    def overloaded(_number: int, _attempt: int) -> Exception | None:
        return OverloadedErrorMessage(0x1001, "busy", None) if connection.open >= 5 else None

    connection.script = overloaded
    pump = Pump(connection, 64)
    report = pump.run(stream(500))

    assert report.requests == 500
    assert report.retries > 0
    # Far fewer than the 64 it may have; it feels its way up after each refusal, also at the end.
    assert report.allowed < 16
    # Nobody who only sends what is due again and halves at each refusal needs many of them.
    assert report.retries < 250


def test_answers_come_with_what_was_asked(scripted: Any) -> None:
    seen = {
        answer.request.statement.number: answer.raw
        for answer in Pump(scripted(), 8).answers(stream(50))
    }

    assert seen == {number: (number, None) for number in range(50)}


def test_what_follows_an_answer_goes_before_the_rest_of_the_stream(scripted: Any) -> None:
    connection = scripted()
    pump = Pump(connection, 1)
    seen = []
    for answer in pump.answers(stream(3)):
        number, state = answer.raw
        seen.append((number, state))
        if state is None:
            pump.follow(answer.request, b"page 2")

    assert seen == [(n, state) for n in range(3) for state in (None, b"page 2")]
    assert pump.report.requests == 6


def test_nothing_is_sent_while_an_answer_is_held(scripted: Any) -> None:
    connection = scripted()
    answers = Pump(connection, 4).answers(stream(100))

    next(answers)
    eventually(lambda: connection.open == 0, within=10)

    assert len(connection.sent) == 4
    assert sum(1 for _ in answers) == 99


def test_closing_the_iterator_stops_the_stream_and_waits(scripted: Any) -> None:
    connection = scripted()
    cancelled = threading.Event()
    pump = Pump(connection, 4, cancelled=cancelled)
    with closing(pump.answers(stream(100))) as answers:
        next(answers)

    assert connection.open == 0
    assert len(connection.sent) == 4
    assert not cancelled.is_set(), "the event is the caller's"


def test_failures_are_answers_when_the_stream_is_to_go_on(scripted: Any) -> None:
    connection = scripted(lambda number, _: InvalidRequest("no") if number == 3 else None)

    answers = list(Pump(connection, 2, keep_going=True).answers(stream(10)))

    failed = [answer for answer in answers if answer.error is not None]
    assert len(answers) == 10
    assert [(a.request.statement.number, type(a.error)) for a in failed] == [(3, StatementError)]
