"""One session with one cluster: statements in, rows out, errors that say what happened."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NoReturn

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement
from cassandra.timestamps import MonotonicTimestampGenerator

from prefect_cassandra.driver.answers import Page, Result
from prefect_cassandra.driver.config import check_level
from prefect_cassandra.driver.connect import Link, open_link, read_page, wait_for
from prefect_cassandra.driver.outcomes import describe, meaning, to_error
from prefect_cassandra.driver.prepared import Prepared
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.request import Request
from prefect_cassandra.driver.retry import Again, GiveUp, backoff, decide
from prefect_cassandra.driver.statements import Kind, kind_of, looks_idempotent, redacted
from prefect_cassandra.driver.tables import TableInfo, unknown_table
from prefect_cassandra.errors import ConfigurationError, PrefectCassandraError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from prefect_cassandra.driver.config import ClusterConfig

logger = logging.getLogger(__name__)

_PREPARED_KEPT = 512


class Session:
    """A thread-safe session that connects when first used and mends itself.

    It belongs to one process: a forked child connects anew on first use and leaves the parent's
    connections alone; pickling is refused, pass the block or the `ClusterConfig` instead. When no
    node it knows answers, it looks the contact points up again and reconnects.

    Args:
        config: Which cluster, as whom and how.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._closed = threading.Event()
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Set up what one process owns; called again in a forked child."""
        self._lock = threading.Lock()
        self._prepare_lock = threading.Lock()
        self._link: Link | None = None
        self._prepared: OrderedDict[str, tuple[Prepared, Any]] = OrderedDict()
        self._not_before = 0.0
        self._failed_renewals = 0
        self._random = random.Random()  # noqa: S311 -- jitter, not a secret
        self.clock = MonotonicTimestampGenerator()

    def leave_parent(self) -> object:
        """Forget everything inherited through a fork, and return it so that it can be kept."""
        inherited = (self._link, self._prepared, self._lock, self._prepare_lock, self.clock)
        closed = self._closed.is_set()
        self._closed = threading.Event()
        if closed:
            self._closed.set()
        self._start_afresh()
        return inherited

    def __repr__(self) -> str:
        return f"Session({self.config!r})"

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "A session cannot be pickled: it is made of live connections.",
            hint="Pass the CassandraCluster block or the ClusterConfig, and open a session there.",
        )

    # --- statements -----------------------------------------------------------------------

    def execute(
        self,
        cql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        consistency: str | None = None,
        idempotent: bool | None = None,
        timeout: float | None = None,
        fetch_size: int | None = None,
    ) -> Result:
        """Run one statement and return its answer.

        Args:
            cql: The statement. With parameters it is prepared, without it is sent as it is.
            parameters: Values for its `?` or `:name` markers, checked before they are bound.
            consistency: Level for this statement instead of the session's.
            idempotent: Whether it may be repeated after an unclear outcome; judged from the text
                when not said, and then only what is surely safe is repeated.
            timeout: Seconds to wait for each try.
            fetch_size: Rows per page.

        Raises:
            OutcomeUnknownError: A write that may have been applied.
            NotAppliedError: The server did not carry it out, even after repeats.
            UnreachableError: No node took it, or a read got no answer.
            StatementError: The server refused the statement.
            DataError: A parameter does not fit.
            PermissionDeniedError: The role may not do this.
            AuthenticationError: The login was refused.
        """
        prepared = None if parameters is None else self.prepare(cql)
        request = self._request(
            cql, parameters, prepared, consistency, idempotent, timeout, fetch_size
        )
        return self._result(request, self.run(request))

    async def aexecute(
        self,
        cql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        consistency: str | None = None,
        idempotent: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- the database's own timeout, per try
        fetch_size: int | None = None,
    ) -> Result:
        """Do what `execute` does without blocking the event loop."""
        prepared = None if parameters is None else await self.aprepare(cql)
        request = self._request(
            cql, parameters, prepared, consistency, idempotent, timeout, fetch_size
        )
        return self._result(request, await self.arun(request))

    def arrays(
        self,
        cql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        consistency: str | None = None,
        timeout: float | None = None,
        fetch_size: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Run a query and yield each page as NumPy columns.

        Numbers come as masked arrays, everything else as arrays of the driver's objects. For wide
        scans: it costs about half of what rows do.

        Raises:
            DataError: The driver lost the page's rows.
        """
        prepared = None if parameters is None else self.prepare(cql)
        request = self._request(cql, parameters, prepared, consistency, None, timeout, fetch_size)
        request.columns = True
        state: bytes | None = None
        while True:
            page = self.run(request, state)
            yield from page.rows
            if page.state is None:
                return
            state = page.state

    def execute_many(
        self,
        cql: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        in_flight: int = 32,
        consistency: str | None = None,
        idempotent: bool | None = None,
        timeout: float | None = None,
    ) -> int:
        """Run one statement for each row, several at a time, and return how many ran.

        Stops sending at the first failure. Raises what `execute` does.
        """
        requests = self._many(cql, rows, consistency, idempotent, timeout)
        return Pump(self, in_flight).run(requests).rows

    async def aexecute_many(
        self,
        cql: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        in_flight: int = 32,
        consistency: str | None = None,
        idempotent: bool | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- the database's own timeout, per try
    ) -> int:
        """Do what `execute_many` does without blocking the event loop."""
        requests = self._many(cql, rows, consistency, idempotent, timeout)
        return (await Pump(self, in_flight).arun(requests)).rows

    def batch(
        self,
        prepared: Prepared,
        rows: Sequence[Sequence[Any]],
        *,
        consistency: str | None = None,
        idempotent: bool | None = None,
        timeout: float | None = None,
        timestamp: int | None = None,
    ) -> Request:
        """Return a request that writes `rows` of one partition as one unlogged batch.

        Args:
            prepared: The statement for each row.
            rows: Values in marker order, as `Prepared.check` returned them. 30 to 100 rows of one
                partition per batch serve best.
            consistency: Level instead of the session's.
            idempotent: As for `execute`.
            timeout: Seconds to wait for each try.
            timestamp: Write timestamp in microseconds since 1970; now when not given.
        """
        statement = prepared.batch(rows)
        request = self._finish(
            statement, prepared.cql, prepared, consistency, idempotent, timeout, timestamp
        )
        request.rows = len(rows)
        return request

    def single(
        self,
        prepared: Prepared,
        values: Sequence[Any],
        *,
        consistency: str | None = None,
        idempotent: bool | None = None,
        timeout: float | None = None,
        timestamp: int | None = None,
    ) -> Request:
        """Return a request for one row, with values as `Prepared.check` returned them."""
        statement = prepared.bind(values)
        return self._finish(
            statement, prepared.cql, prepared, consistency, idempotent, timeout, timestamp
        )

    def prepare(self, cql: str) -> Prepared:
        """Return `cql` prepared, from the cache unless its table has changed since."""
        found = self._cached(cql)
        if found is None:
            with self._prepare_lock:
                found = self._cached(cql) or self._prepare(cql)
        return found

    async def aprepare(self, cql: str) -> Prepared:
        """Do what `prepare` does without blocking the event loop."""
        found = self._cached(cql)
        return found if found is not None else await asyncio.to_thread(self.prepare, cql)

    def table(self, keyspace: str, table: str) -> TableInfo:
        """Return what a table looks like.

        Args:
            keyspace: Its keyspace, as stored (lower case unless it was quoted).
            table: Its name, as stored.

        Raises:
            StatementError: There is no such table; names the closest one.
        """
        link = self.link()
        found = link.table(keyspace, table)
        if found is None:
            # Made by someone else a moment ago: the driver hears of it with a delay of seconds.
            self._guarded(
                lambda: link.cluster.refresh_schema_metadata(max_schema_agreement_wait=0), ""
            )
            found = link.table(keyspace, table)
        if found is None:
            raise unknown_table(link.cluster.metadata, keyspace, table)
        return found

    # --- connection -----------------------------------------------------------------------

    def connect(self) -> None:
        """Connect now instead of at the first statement. Raises what `connect.open_link` does."""
        self.link()

    def close(self) -> None:
        """Close the connections for good; what is under way gets an error."""
        self._closed.set()
        with self._lock:
            link, self._link = self._link, None
        if link is not None and link.pid == os.getpid():
            link.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def link(self) -> Link:
        """Return the live connection of this process, connecting if there is none."""
        link = self._link
        if link is not None and link.pid == os.getpid():
            return link
        with self._lock:
            if self._closed.is_set():
                raise ConfigurationError(
                    "This session is closed.", hint="Ask for a new one with shared_session()."
                )
            if self._link is None or self._link.pid != os.getpid():
                self._link = open_link(self.config, self.clock)
            return self._link

    def renew(self, stale: Link) -> None:
        """Replace `stale` by a connection to whatever the contact points name now.

        One thread connects; the others wait for it and take its result. After a failure nobody
        tries again for a pause that grows, and the old connection stays: it may heal by itself.
        """
        with self._lock:
            if self._link is not stale or time.monotonic() < self._not_before:
                return
            try:
                fresh = open_link(self.config, self.clock)
            except PrefectCassandraError as error:
                self._failed_renewals += 1
                pause = backoff(self._failed_renewals, self.config.retry, self._random)
                self._not_before = time.monotonic() + pause
                logger.info("Reconnecting failed: %s", error.message)
                return
            self._failed_renewals = 0
            for prepared, _ in self._prepared.values():
                fresh.cluster.add_prepared(prepared.statement.query_id, prepared.statement)
            self._link = fresh
        logger.info("Reconnected to %s", ", ".join(self.config.contact_points))
        # Closing waits for threads that may be stuck on the dead nodes.
        threading.Thread(target=stale.close, name="close-stale-cluster", daemon=True).start()

    # --- carrying requests out; used by this room only ------------------------------------

    def run(self, request: Request, state: bytes | None = None) -> Page:
        """Send `request` until it is answered or its error stands."""
        attempt = 1
        while True:
            link = self.link()
            future = link.start(request, state)
            try:
                return read_page(future, wait_for(future))
            except Exception as error:  # noqa: BLE001 -- judge() raises it again, translated
                step = self.judge(request, error, future, attempt)
            self._closed.wait(step.pause)
            if step.renew:
                self.renew(link)
            attempt += 1

    async def arun(self, request: Request, state: bytes | None = None) -> Page:
        """Do what `run` does without blocking the event loop."""
        attempt = 1
        while True:
            link = self._link
            if link is None or link.pid != os.getpid():
                link = await asyncio.to_thread(self.link)
            future = link.start(request, state)
            try:
                return read_page(future, await _delivered(future))
            except Exception as error:  # noqa: BLE001 -- judge() raises it again, translated
                step = self.judge(request, error, future, attempt)
            await asyncio.sleep(step.pause)
            if step.renew:
                await asyncio.to_thread(self.renew, link)
            attempt += 1

    def judge(self, request: Request, error: Exception, future: Any, attempt: int) -> Again:
        """Return how to go on after `error`, or raise what it means to the caller."""
        means = meaning(error, request.kind, sent=bool(future.attempted_hosts))
        step = decide(
            means,
            idempotent=request.idempotent,
            attempt=attempt,
            rules=self.config.retry,
            rng=self._random,
        )
        if isinstance(step, GiveUp) or self._closed.is_set():
            ours = to_error(error, means, request.kind, request.cql, request.text)
            # The driver's own error may echo the statement, and with it a password.
            raise ours from (None if "***" in request.text else error)
        request.statement.avoided_host = future.coordinator_host if step.next_host else None
        logger.info(
            "Repeat %d of %d in %.2f s: %s (%s)",
            attempt,
            self.config.retry.attempts,
            step.pause,
            means.value,
            type(error).__name__,
        )
        return step

    def _result(self, request: Request, first: Page) -> Result:
        return Result(
            first,
            lambda state: self.run(request, state),
            lambda state: self.arun(request, state),
        )

    def _request(  # noqa: PLR0913 -- the parameters of execute(), once
        self,
        cql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None,
        prepared: Prepared | None,
        consistency: str | None,
        idempotent: bool | None,  # noqa: FBT001 -- the same
        timeout: float | None,
        fetch_size: int | None,
    ) -> Request:
        if prepared is None or parameters is None:
            statement = SimpleStatement(cql)
        else:
            statement = prepared.bind(prepared.check(parameters))
        if fetch_size is not None:
            statement.fetch_size = fetch_size
        return self._finish(statement, cql, prepared, consistency, idempotent, timeout, None)

    def _finish(  # noqa: PLR0913 -- one place where a request gets all it needs
        self,
        statement: Any,
        cql: str,
        prepared: Prepared | None,
        consistency: str | None,
        idempotent: bool | None,  # noqa: FBT001 -- the same
        timeout: float | None,
        timestamp: int | None,
    ) -> Request:
        kind = prepared.kind if prepared is not None else kind_of(cql)
        if idempotent is None:
            idempotent = prepared.idempotent if prepared is not None else looks_idempotent(cql)
        if consistency is not None:
            statement.consistency_level = ConsistencyLevel.name_to_value[check_level(consistency)]
        if kind is Kind.WRITE:
            statement.pinned_timestamp = self.clock() if timestamp is None else timestamp
        return Request(
            statement=statement,
            kind=kind,
            idempotent=idempotent,
            timeout=self.config.request_timeout if timeout is None else timeout,
            cql=cql,
            text=prepared.text if prepared is not None else redacted(cql),
            keep=prepared,
        )

    def _many(
        self,
        cql: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        consistency: str | None,
        idempotent: bool | None,  # noqa: FBT001 -- passed through
        timeout: float | None,
    ) -> Iterator[Request]:
        prepared = self.prepare(cql)
        for number, row in enumerate(rows, start=1):
            values = prepared.check(row, lambda number=number: f"row {number}")  # type: ignore[misc]
            yield self.single(
                prepared, values, consistency=consistency, idempotent=idempotent, timeout=timeout
            )

    def _cached(self, cql: str) -> Prepared | None:
        entry = self._prepared.get(cql)
        if entry is None:
            return None
        prepared, described = entry
        # A table that was altered or made again has other types under the same statement id.
        table = prepared.table
        if table is not None:
            current = self.link().table_metadata(table.keyspace, table.name)
            if current is not described:
                return None
        return prepared

    def _prepare(self, cql: str) -> Prepared:
        link = self.link()
        statement = self._guarded(lambda: link.session.prepare(cql), cql)
        info, described = None, None
        if statement.column_metadata:
            about = statement.column_metadata[0]
            info = link.table(about.keyspace_name, about.table_name)
            described = link.table_metadata(about.keyspace_name, about.table_name)
        prepared = Prepared(cql, statement, info)
        self._prepared[cql] = (prepared, described)
        while len(self._prepared) > _PREPARED_KEPT:
            self._prepared.popitem(last=False)
        return prepared

    def _guarded(self, ask: Callable[[], Any], cql: str) -> Any:
        """Run a blocking call of the driver that only asks, with the same repeats and errors."""
        request = Request(SimpleStatement(cql), Kind.READ, idempotent=True, timeout=0, cql=cql)
        request.text = redacted(cql)
        attempt = 1
        while True:
            link = self.link()
            try:
                return ask()
            except Exception as error:  # noqa: BLE001 -- judge() raises it again, translated
                step = self.judge(request, error, _Unsent(), attempt)
            self._closed.wait(step.pause)
            if step.renew:
                self.renew(link)
            attempt += 1


class _Unsent:
    """Stands in for the future of a call that hides its own; a question is safe to repeat."""

    attempted_hosts: tuple[Any, ...] = ()
    coordinator_host = None


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
            logger.debug(
                "The event loop closed before the answer came: %s", describe(error or _GONE)
            )

    future.add_callbacks(callback=post, errback=lambda error: post(error=error))
    return done


_GONE = RuntimeError("nobody waits for it")
