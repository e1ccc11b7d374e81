"""A connection that connects when first used, repeats what may be repeated and replaces itself."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from cassandra.query import SimpleStatement
from cassandra.timestamps import MonotonicTimestampGenerator

from prefect_cassandra.driver.connect import Link, open_link, read_page, wait_for
from prefect_cassandra.driver.outcomes import Meaning, meaning, still_unclear, to_error
from prefect_cassandra.driver.reactor import leave_parent
from prefect_cassandra.driver.request import Request
from prefect_cassandra.driver.retry import Again, GiveUp, backoff, decide
from prefect_cassandra.driver.statements import Kind, redacted
from prefect_cassandra.errors import (
    ConfigurationError,
    OutcomeUnknownError,
    PrefectCassandraError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prefect_cassandra.driver.answers import Page
    from prefect_cassandra.driver.config import ClusterConfig

logger = logging.getLogger(__name__)

_alive: WeakSet[MendingConnection] = WeakSet()


class MendingConnection:
    """Carries requests out over the one live `Link` of this process.

    Threads share it. In a forked child it connects anew and leaves the parent's connections alone.
    When no node it knows takes a request, it looks the contact points up again and reconnects.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._closed = threading.Event()
        self._start_afresh()
        _alive.add(self)

    def _start_afresh(self) -> None:
        """Set up what one process owns; called again in a forked child."""
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._renew_not_before = 0.0
        self._failed_renewals = 0
        self._random = random.Random()  # noqa: S311 -- jitter, not a secret
        # One clock for all links: a reconnect must not step back behind writes already made.
        self.clock = MonotonicTimestampGenerator()

    def write_after(self, timestamp: int) -> None:
        """Give later writes of this process higher timestamps, whatever its wall clock says.

        Args:
            timestamp: Of a write that was made with a time from elsewhere, microseconds since 1970.
        """
        with self.clock.lock:
            self.clock.last = max(self.clock.last, timestamp)

    @property
    def last_write(self) -> int:
        """The highest timestamp that a request of this process had; 0 before the first."""
        return int(self.clock.last)

    def leave_parent(self) -> object:
        """Forget everything inherited through a fork, and return it so that it can be kept."""
        inherited = dict(vars(self))
        closed = self._closed.is_set()
        self._closed = threading.Event()
        if closed:
            self._closed.set()
        self._start_afresh()
        return inherited

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def connect(self) -> None:
        """Connect now instead of at the first statement.

        Raises:
            UnreachableError: No contact point answered.
            AuthenticationError: The login was refused.
            ConfigurationError: A file, a name or the datacenter is wrong, or this was closed.
        """
        self.link()

    def close(self) -> None:
        """Close the connections for good; what is under way gets an error."""
        self._closed.set()
        with self._lock:
            link, self._link = self._link, None
        if link is not None and link.pid == os.getpid():
            link.close()

    def live_link(self) -> Link | None:
        """Return the link of this process if there is one, without waiting for anything."""
        link = self._link
        return link if link is not None and link.pid == os.getpid() else None

    def link(self) -> Link:
        """Return the link of this process, connecting if there is none."""
        link = self.live_link()
        if link is not None:
            return link
        with self._lock:
            if self._closed.is_set():
                raise ConfigurationError(
                    "This session is closed.", hint="Ask for a new one with shared_session()."
                )
            link = self.live_link()
            if link is None:
                link = self._link = open_link(self.config, self.clock)
            return link

    def renew(self, stale: Link) -> None:
        """Replace `stale` by a link to whatever the contact points name now.

        One thread connects; the others wait for it and take its result. After a failure nobody
        tries again for a pause that grows, and the old link stays: it may heal by itself.
        """
        with self._lock:
            if self._link is not stale or time.monotonic() < self._renew_not_before:
                return
            try:
                fresh = open_link(self.config, self.clock)
            except PrefectCassandraError as error:
                self._failed_renewals += 1
                pause = backoff(self._failed_renewals, self.config.retry, self._random)
                self._renew_not_before = time.monotonic() + pause
                logger.info("Reconnecting failed: %s", error.message)
                return
            self._failed_renewals = 0
            self._link = fresh
            self._carry_over(fresh)
        logger.info("Reconnected to %s", ", ".join(self.config.contact_points))
        # Closing waits for threads that may be stuck on the dead nodes.
        threading.Thread(target=stale.close, name="close-stale-cluster", daemon=True).start()

    def _carry_over(self, fresh: Link) -> None:
        """Tell a new link what requests already made will ask of it."""

    def run(self, request: Request, state: bytes | None = None) -> Page:
        """Send `request` until it is answered or its error stands.

        Args:
            request: What to send.
            state: Which page to ask for; the first when not given.
        """
        attempt = 1
        while True:
            link = future = None
            try:
                link = self.link()
                future = link.start(request, state)
                return read_page(future, wait_for(future))
            except Exception as error:  # noqa: BLE001 -- judge() raises it again, translated
                step = self.judge(request, error, attempt, future)
            self.pause(step.pause)
            if step.renew and link is not None:
                self.renew(link)
            attempt += 1

    async def arun(self, request: Request, state: bytes | None = None) -> Page:
        """Do what `run` does without blocking the event loop."""
        attempt = 1
        while True:
            link = future = None
            try:
                live = self.live_link()
                link = live if live is not None else await asyncio.to_thread(self.link)
                future = link.start(request, state)
                return read_page(future, await _delivered(future))
            except Exception as error:  # noqa: BLE001 -- judge() raises it again, translated
                step = self.judge(request, error, attempt, future)
            await asyncio.sleep(step.pause)
            if step.renew and link is not None:
                await asyncio.to_thread(self.renew, link)
            attempt += 1

    def pause(self, seconds: float) -> None:
        """Wait before a repeat; closing the connection ends the wait."""
        self._closed.wait(seconds)

    def ask(self, question: Callable[[Link], Any], cql: str = "") -> Any:
        """Run a blocking call of the driver that changes nothing, with the same repeats and errors.

        Args:
            question: The call.
            cql: The statement it is about, for messages.
        """
        request = Request(SimpleStatement(cql), Kind.READ, idempotent=True, timeout=0, cql=cql)
        request.text = redacted(cql)
        attempt = 1
        while True:
            link = self.link()
            try:
                return question(link)
            except Exception as error:  # noqa: BLE001 -- judge() raises it again, translated
                step = self.judge(request, error, attempt)
            self.pause(step.pause)
            if step.renew:
                self.renew(link)
            attempt += 1

    def judge(self, request: Request, error: Exception, attempt: int, future: Any = None) -> Again:
        """Return how to go on after `error`, or raise what it means to the caller.

        Args:
            request: What was sent.
            error: What came back.
            attempt: Tries made so far, from 1.
            future: The driver's future of this try; None for a call that hides its own.
        """
        sent = future is not None and bool(future.attempted_hosts)
        means = meaning(error, request.kind, sent=sent)
        request.unclear |= means in {Meaning.UNKNOWN, Meaning.UNKNOWN_FOR_GOOD}
        step = decide(
            means,
            idempotent=request.idempotent,
            attempt=attempt,
            rules=self.config.retry,
            rng=self._random,
        )
        if isinstance(step, GiveUp) or self.closed:
            ours = to_error(error, means, request.kind, request.cql, request.text)
            if request.unclear and not isinstance(ours, OutcomeUnknownError):
                ours = still_unclear(ours)
            if ours is error:
                raise ours
            # The driver's own error may echo the statement, and with it a password.
            raise ours from (None if request.secret else error)
        request.statement.avoided_host = (
            future.coordinator_host if future is not None and step.next_host else None
        )
        logger.info(
            "Repeat %d of %d in %.2f s: %s (%s)",
            attempt,
            self.config.retry.attempts,
            step.pause,
            means.value,
            type(error).__name__,
        )
        return step


def _after_fork_in_child() -> None:
    leave_parent(*(connection.leave_parent() for connection in tuple(_alive)))


os.register_at_fork(after_in_child=_after_fork_in_child)


def _delivered(future: Any) -> Awaitable[Any]:
    """Return an awaitable for the driver's future, whose callbacks come on another thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.done():
            return  # the task was cancelled
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def post(value: Any = None, error: BaseException | None = None) -> None:
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            logger.debug("An answer came after its event loop had closed.")

    future.add_callbacks(callback=post, errback=lambda error: post(error=error))
    return done
