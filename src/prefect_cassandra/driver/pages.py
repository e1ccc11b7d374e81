"""Pages of one query, each asked for before the one ahead of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cassandra
from cassandra.marshal import uvint_unpack
from cassandra.metadata import Murmur3Token
from cassandra.query import BoundStatement

from prefect_cassandra.driver.connect import wait_for
from prefect_cassandra.driver.cqltype import CqlType, from_driver
from prefect_cassandra.driver.outcomes import Meaning, to_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.driver.connect import Link
    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.raw_rows import RawRows
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Options, Session
    from prefect_cassandra.errors import PrefectCassandraError

# What a page that is too much for the cluster ends with. A coordinator answers the first two, the
# last says that not even it answered in time.
_TOO_MUCH = (cassandra.ReadTimeout, cassandra.ReadFailure, cassandra.OperationTimedOut)


class PageTooLargeError(Exception):
    """A page was not read in time, or its replicas gave up: ask for less.

    Args:
        error: What to tell the caller when less does not help.
    """

    def __init__(self, error: PrefectCassandraError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class RawPage:
    """One page.

    Args:
        rows: Its rows.
        state: Where the next page starts; None on the last.
    """

    rows: RawRows
    state: bytes | None


@dataclass(slots=True)
class _Begun:
    link: Link
    future: Any


class PageReader:
    """Fetches pages of one prepared query; belongs to one thread.

    Args:
        session: Where to.
        prepared: The query.
        values: Values of its markers, as `Prepared.check` returned them.
        token: Token whose replicas are asked first; any near node when not given.
        options: Consistency and timeout.
    """

    def __init__(
        self,
        session: Session,
        prepared: Prepared,
        values: Sequence[Any],
        *,
        token: int | None = None,
        options: Options | None = None,
    ) -> None:
        self._session = session
        self._request = session.single(prepared, values, **(options or {}))
        mark_raw(self._request, token)
        self._begun: tuple[bytes | None, _Begun] | None = None
        self.retries = 0

    def begin(self, state: bytes | None, rows: int) -> None:
        """Ask for a page without waiting for it.

        Args:
            state: Where it starts; the first page when None.
            rows: Most rows it may have.
        """
        self._request.statement.fetch_size = rows
        self._begun = None
        begun = self._start(state)
        if begun is not None:
            self._begun = state, begun

    def finish(self, state: bytes | None) -> RawPage:
        """Return the page that was asked for, with repeats where they help.

        Raises:
            PageTooLargeError: Fewer rows at a time may help.
            PrefectCassandraError: Nothing will.
        """
        begun = None
        if self._begun is not None and self._begun[0] == state:
            begun, self._begun = self._begun[1], None
        attempt = 1
        while True:
            link = future = None
            try:
                if begun is None:
                    link = self._session.link()
                    future = link.start(self._request, state)
                else:
                    link, future, begun = begun.link, begun.future, None
                rows = wait_for(future)
                return RawPage(rows, future._paging_state)  # noqa: SLF001 -- no public name
            except _TOO_MUCH as error:
                self.retries += 1
                raise PageTooLargeError(self._told(error)) from error
            except Exception as error:  # noqa: BLE001 -- judge() raises it again, translated
                step = self._session.judge(self._request, error, attempt, future)
            self._session.pause(step.pause)
            if step.renew and link is not None:
                self._session.renew(link)
            attempt += 1
            self.retries += 1

    def _start(self, state: bytes | None) -> _Begun | None:
        """Send a request; None when it cannot be sent now, which `finish` will find out about."""
        link = self._session.live_link()
        if link is None:
            return None
        try:
            return _Begun(link, link.start(self._request, state))
        except Exception:  # noqa: BLE001 -- finish() tries again and reports
            return None

    def _told(self, error: Exception) -> PrefectCassandraError:
        request = self._request
        return to_error(error, Meaning.NO_ANSWER, request.kind, request.cql, request.text)


def mark_raw(request: Request, token: int | None = None) -> None:
    """Have a request's rows delivered as `RawRows`, by a replica of `token` where one is given."""
    request.statement.raw_rows = True
    request.statement.scan_token = token


def encoded_query(session: Session, prepared: Prepared, values: Sequence[bytes]) -> Request:
    """Return a query whose values are bytes already, and whose rows are delivered as `RawRows`.

    Args:
        session: Where it will be sent.
        prepared: The query.
        values: The bytes of each marker's value.
    """
    statement = BoundStatement(prepared.statement)
    statement.values = list(values)
    request = session.request_for(statement, prepared.cql, prepared)
    mark_raw(request)
    return request


def result_columns(prepared: Prepared) -> tuple[tuple[str, ...], tuple[CqlType, ...]]:
    """Return names and types of the columns that a prepared query answers with."""
    columns = prepared.statement.result_metadata or ()
    return tuple(column[2] for column in columns), tuple(from_driver(c[3]) for c in columns)


def position(state: bytes) -> tuple[int, bytes] | None:
    """Return token and bytes of the partition key at which a page ended.

    A paging state begins with the key behind its length, a variable-length integer
    (`PagingState.modernSerialize` of the server). It is the server's own affair: who uses this
    checks that the token lies where it must.

    Args:
        state: The paging state of that page.
    """
    try:
        length, used = uvint_unpack(state)
    except (IndexError, ValueError):
        return None
    key = state[used : used + length]
    if not key or len(key) < length:
        return None
    return int(Murmur3Token.hash_fn(key)), key
