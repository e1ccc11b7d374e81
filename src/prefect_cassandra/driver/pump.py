"""Many requests, a bounded number under way, and a full stop at the first failure.

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
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.threads import in_thread
from prefect_cassandra.errors import (
    ConfigurationError,
    NotAppliedError,
    OutcomeUnknownError,
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
    """

    requests: int = 0
    rows: int = 0
    retries: int = 0
    seconds: float = 0.0
    cancelled: bool = False


@dataclass(slots=True)
class _Try:
    request: Request
    link: Link
    future: Any
    attempt: int
    error: Exception | None = None


class Pump:
    """Sends a stream of requests, at most `in_flight` unanswered.

    A request that waits to be repeated keeps its place, so an overloaded server slows the stream
    down. Memory is bounded by `in_flight`, however long the stream.

    Args:
        session: Where to.
        in_flight: Most requests unanswered at one time.
        cancelled: Set it, from any thread, to stop sending; what is under way is waited for.
        progress: Called on the sending thread after each acknowledged request.
    """

    def __init__(
        self,
        session: Session,
        in_flight: int = 32,
        *,
        cancelled: threading.Event | None = None,
        progress: Callable[[PumpReport], None] | None = None,
    ) -> None:
        if in_flight < 1:
            raise ConfigurationError(
                f"{in_flight} requests in flight send nothing.", hint="Use 1 or more; 32 is usual."
            )
        self._session = session
        self._in_flight = in_flight
        self._cancelled = cancelled or threading.Event()
        self._progress = progress
        self._answers: queue.SimpleQueue[_Try | None] = queue.SimpleQueue()
        self._waiting: list[tuple[float, int, _Try]] = []
        self._open = self._requests = self._rows = self._retries = 0
        self._failure: BaseException | None = None
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
        self._started = time.monotonic()
        source = iter(requests)
        more = True
        while True:
            self._send_due()
            if more and not self._stopping and self._pending < self._in_flight:
                more = self._send_next(source)
                continue
            if self._stopping:
                self._drop_waiting()
            if not self._pending:
                break
            self._take_answer()
        if self._failure is not None:
            raise self._verdict(self._failure)
        return self.report

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

    async def arun(self, requests: Iterable[Request]) -> PumpReport:
        """Do what `run` does in a thread of its own; cancelling the task stops the stream."""
        return await in_thread(partial(self.run, requests), self.cancel)

    @property
    def _pending(self) -> int:
        return self._open + len(self._waiting)

    @property
    def _stopping(self) -> bool:
        return self._failure is not None or self._cancelled.is_set()

    def _send_next(self, source: Iterator[Request]) -> bool:
        """Send the next request of the stream; False at its end."""
        try:
            request = next(source, None)
        except Exception as error:  # noqa: BLE001 -- raised again by run(), after the drain
            self._failure = error
            return False
        if request is None:
            return False
        self._send(request, attempt=1)
        return True

    def _send(self, request: Request, attempt: int) -> None:
        try:
            link = self._session.link()
            future = link.start(request)
        except Exception as error:  # noqa: BLE001 -- raised again by run(), after the drain
            self._unclear += request.unclear
            self._failure = self._failure or error
            return
        trial = _Try(request, link, future, attempt)
        self._open += 1
        # Callbacks run on the driver's event loop: they only hand over.
        future.add_callbacks(
            callback=lambda _rows: self._answers.put(trial),
            errback=lambda error: self._answers.put(_failed(trial, error)),
        )

    def _send_due(self) -> None:
        """Send again what has waited long enough."""
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now and not self._stopping:
            _, _, trial = heapq.heappop(self._waiting)
            self._retries += 1
            self._send(trial.request, trial.attempt + 1)

    def _take_answer(self) -> None:
        """Wait for one answer, or until a repeat is due."""
        wait = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
        try:
            trial = self._answers.get(timeout=wait)
        except queue.Empty:
            return
        if trial is None:
            return  # only a wake-up from cancel()
        self._open -= 1
        if trial.error is None:
            self._requests += 1
            self._rows += trial.request.rows
            if self._progress is not None:
                self._progress(self.report)
            return
        self._after_error(trial, trial.error)

    def _after_error(self, trial: _Try, error: Exception) -> None:
        try:
            step = self._session.judge(trial.request, error, trial.attempt, trial.future)
        except Exception as ours:  # noqa: BLE001 -- raised again by run(), after the drain
            self._unclear += trial.request.unclear
            if self._failure is None:
                self._failure = ours
            return
        if self._stopping:
            self._give_up(trial, error)
            return
        if step.renew:
            self._session.renew(trial.link)
        due = time.monotonic() + step.pause
        heapq.heappush(self._waiting, (due, id(trial), trial))

    def _drop_waiting(self) -> None:
        """Do not repeat anything once the stream stops."""
        self._unclear += sum(trial.request.unclear for _, _, trial in self._waiting)
        self._waiting.clear()

    def _give_up(self, trial: _Try, error: Exception) -> None:
        self._unclear += trial.request.unclear
        logger.debug("Not repeated, the stream has stopped: %s (%r)", trial.request.text, error)


def _failed(trial: _Try, error: Exception) -> _Try:
    trial.error = error
    return trial
