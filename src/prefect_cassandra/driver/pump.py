"""Many requests, as many under way as the cluster bears, and a full stop at the first failure.

The driver's `execute_concurrent` raises to its caller at the first failure and goes on sending the
rest in the background. Here one thread takes from the iterator, sends and counts; answers come
back through a queue, so nothing is locked and nothing is sent after the stop.
"""

from __future__ import annotations

import heapq
import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.limit import InFlightLimit, overload
from prefect_cassandra.driver.threads import in_thread
from prefect_cassandra.errors import (
    ConfigurationError,
    NotAppliedError,
    OutcomeUnknownError,
    PrefectCassandraError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prefect_cassandra.driver.connect import Link
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PumpReport:
    """What a run did.

    Args:
        requests: Requests the server acknowledged.
        rows: Rows in them.
        retries: Times a request was sent again.
        seconds: Wall time.
        cancelled: Whether it was stopped from outside before the end.
        allowed: Requests that may be under way now; moves between 1 and `in_flight`.
    """

    requests: int = 0
    rows: int = 0
    retries: int = 0
    seconds: float = 0.0
    cancelled: bool = False
    allowed: int = 0


@dataclass(slots=True)
class Answer:
    """What came back for one request, in the order in which answers came.

    Args:
        request: What was asked.
        future: The driver's future, which is done; `connect.read_page(future, raw)` reads it.
        raw: What the driver delivered: rows, NumPy columns, or nothing for a write.
        error: Why the request failed for good, when the stream goes on after failures.
    """

    request: Request
    future: Any
    raw: Any = None
    error: PrefectCassandraError | None = None


@dataclass(slots=True)
class _Try:
    request: Request
    state: bytes | None
    attempt: int
    link: Link
    future: Any
    sent: float
    answered: float = 0.0
    raw: Any = None
    error: Exception | None = None


class Pump:
    """Sends a stream of requests, as many unanswered as an `InFlightLimit` allows.

    A request that waits to be repeated keeps its place, so an overloaded server slows the stream
    down. Memory is bounded by `in_flight`, however long the stream.

    Args:
        session: Where to.
        in_flight: Most requests unanswered at one time.
        cancelled: Set it, from any thread, to stop sending; what is under way is waited for.
        progress: Called on the sending thread after each acknowledged request.
        keep_going: Deliver failures as answers with an `error` instead of stopping at the first.
    """

    def __init__(
        self,
        session: Session,
        in_flight: int = 32,
        *,
        cancelled: threading.Event | None = None,
        progress: Callable[[PumpReport], None] | None = None,
        keep_going: bool = False,
    ) -> None:
        if in_flight < 1:
            raise ConfigurationError(
                f"{in_flight} requests in flight send nothing.", hint="Use 1 or more; 32 is usual."
            )
        self._session = session
        self._limit = InFlightLimit(in_flight)
        self._cancelled = cancelled or threading.Event()
        self._progress = progress
        self._keep_going = keep_going
        self._answers: queue.SimpleQueue[_Try | None] = queue.SimpleQueue()
        self._waiting: list[tuple[float, int, _Try]] = []
        self._first: deque[tuple[Request, bytes | None]] = deque()
        self._source: Iterator[Request] = iter(())
        self._more = False
        self._open = self._requests = self._rows = self._retries = 0
        self._failure: BaseException | None = None
        self._closed = False
        self._unclear = 0
        self._started = time.monotonic()

    @property
    def report(self) -> PumpReport:
        """What was done so far; also after `run` raised."""
        return PumpReport(
            requests=self._requests,
            rows=self._rows,
            retries=self._retries,
            seconds=time.monotonic() - self._started,
            cancelled=self._cancelled.is_set(),
            allowed=self._limit.allowed,
        )

    def cancel(self) -> None:
        """Stop sending; `run` returns when what is under way is answered."""
        self._cancelled.set()
        self._answers.put(None)

    def run(self, requests: Iterable[Request]) -> PumpReport:
        """Send every request and return when all are answered.

        Raises:
            PrefectCassandraError: The first request that failed for good; nothing was sent after
                it, and what was under way has been answered. `report` has the counts.
        """
        for _ in self.answers(requests):
            pass
        return self.report

    async def arun(self, requests: Iterable[Request]) -> PumpReport:
        """Do what `run` does in a thread of its own; cancelling the task stops the stream."""
        return await in_thread(partial(self.run, requests), self.cancel)

    def answers(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Send every request and yield each answer as it comes, in whatever order that is.

        Nothing is taken from `requests` and nothing sent while the caller holds on to an answer,
        so a slow reader slows the stream down and at most `in_flight` answers wait for it. Closing
        the iterator stops the stream and waits for what is under way; who may leave its loop early
        does so inside `contextlib.closing`.

        Raises:
            PrefectCassandraError: As `run` does, after the answers that came before.
        """
        self._started = time.monotonic()
        self._source, self._more = iter(requests), True
        try:
            while (answer := self._next_answer()) is not None:
                yield answer
        except GeneratorExit:
            self._closed = True
            while self._next_answer() is not None:
                pass
            raise
        if self._failure is not None:
            raise self._verdict(self._failure)

    def follow(self, request: Request, state: bytes | None = None) -> None:
        """Send a request that an answer asks for, before anything more of the stream.

        Only from the thread that iterates over `answers`. It goes out at once when there is room,
        so the next page is under way while this one is worked on.

        Args:
            request: What to send.
            state: Which page to ask for; the first when not given.
        """
        self._first.append((request, state))
        self._fill()

    def _next_answer(self) -> Answer | None:
        """Keep the stream full until there is an answer to deliver; None at the end."""
        while True:
            self._fill()
            if self._stopping:
                self._drop_waiting()
            if not self._open and not self._waiting:
                return None
            answer = self._take_answer()
            if answer is not None:
                return answer

    def _verdict(self, failure: BaseException) -> BaseException:
        """Return what the stream ended with: "not applied" must not speak for unclear requests."""
        if self._unclear and isinstance(failure, NotAppliedError | UnreachableError):
            unknown = OutcomeUnknownError(
                f"{self._unclear} requests that were under way may have been applied; the stream "
                f"ended: {failure.message}"
            )
            unknown.__cause__ = failure
            return unknown
        return failure

    @property
    def _stopping(self) -> bool:
        return self._failure is not None or self._closed or self._cancelled.is_set()

    def _fill(self) -> None:
        """Send while there is room: what is due again, what follows an answer, what is next."""
        while not self._stopping and self._open < self._limit.allowed:
            if self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, trial = heapq.heappop(self._waiting)
                self._retries += 1
                self._send(trial.request, trial.state, trial.attempt + 1)
            elif self._open + len(self._waiting) >= self._limit.allowed:
                return
            elif self._first:
                self._send(*self._first.popleft())
            elif not self._send_next():
                return

    def _send_next(self) -> bool:
        """Send the next request of the stream; False when there is none."""
        if not self._more:
            return False
        try:
            request = next(self._source, None)
        except Exception as error:  # noqa: BLE001 -- raised again by run(), after the drain
            self._failure = error
            return False
        if request is None:
            self._more = False
        elif not self._stopping:  # the source may have waited long
            self._send(request)
        return self._more

    def _send(self, request: Request, state: bytes | None = None, attempt: int = 1) -> None:
        sent = time.monotonic()
        try:
            link = self._session.link()
            future = link.start(request) if state is None else link.start(request, state)
        except Exception as error:  # noqa: BLE001 -- raised again by run(), after the drain
            self._unclear += request.unclear
            self._failure = self._failure or error
            return
        trial = _Try(request, state, attempt, link, future, sent)
        self._open += 1
        # Callbacks run on the driver's event loop: they only hand over.
        future.add_callbacks(
            callback=lambda raw: self._hand_over(trial, raw, None),
            errback=lambda error: self._hand_over(trial, None, error),
        )

    def _hand_over(self, trial: _Try, raw: Any, error: Exception | None) -> None:
        trial.answered = time.monotonic()
        trial.raw, trial.error = raw, error
        self._answers.put(trial)

    def _take_answer(self) -> Answer | None:
        """Wait for one answer, or until a repeat is due; None when there is nothing to deliver."""
        wait = None
        if self._waiting and self._open < self._limit.allowed:
            wait = max(0.0, self._waiting[0][0] - time.monotonic())
        try:
            trial = self._answers.get(timeout=wait)
        except queue.Empty:
            return None
        if trial is None:
            return None  # only a wake-up from cancel()
        under_way = self._open
        self._open -= 1
        if trial.error is not None:
            return self._after_error(trial, trial.error)
        self._limit.answered(trial.sent, trial.answered, under_way, trial.request.timeout)
        self._requests += 1
        self._rows += trial.request.rows
        if self._progress is not None:
            self._progress(self.report)
        return Answer(trial.request, trial.future, trial.raw)

    def _after_error(self, trial: _Try, error: Exception) -> Answer | None:
        if overload(error):
            self._limit.refused(trial.sent, trial.answered)
        try:
            step = self._session.judge(trial.request, error, trial.attempt, trial.future)
        except Exception as ours:  # noqa: BLE001 -- raised again by run(), after the drain
            if self._keep_going and isinstance(ours, PrefectCassandraError):
                return Answer(trial.request, trial.future, error=ours)
            self._unclear += trial.request.unclear
            self._failure = self._failure or ours
            return None
        if self._stopping:
            self._give_up(trial, error)
            return None
        if step.renew:
            self._session.renew(trial.link)
        due = time.monotonic() + step.pause
        heapq.heappush(self._waiting, (due, id(trial), trial))
        return None

    def _drop_waiting(self) -> None:
        """Do not repeat anything once the stream stops."""
        self._unclear += sum(trial.request.unclear for _, _, trial in self._waiting)
        self._waiting.clear()

    def _give_up(self, trial: _Try, error: Exception) -> None:
        self._unclear += trial.request.unclear
        logger.debug("Not repeated, the stream has stopped: %s (%r)", trial.request.text, error)
