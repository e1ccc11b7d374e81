"""One session with one cluster: statements in, rows out, errors that say what happened."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, Unpack

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from prefect_cassandra.driver.answers import Page, Result
from prefect_cassandra.driver.config import check_level
from prefect_cassandra.driver.mending import MendingConnection
from prefect_cassandra.driver.prepared import Prepared
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.raw_rows import RawRows
from prefect_cassandra.driver.request import Request
from prefect_cassandra.driver.statements import Kind, kind_of, looks_idempotent, redacted
from prefect_cassandra.driver.tables import TableInfo, unknown_table
from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from uuid import UUID

    from prefect_cassandra.driver.connect import Link

_PREPARED_KEPT = 512


class Options(TypedDict, total=False):
    """What every statement can be given.

    Attributes:
        consistency: Level for this statement instead of the session's.
        idempotent: Whether it may be repeated after an unclear outcome; judged from the text when
            not said, and then only what is surely safe is repeated.
        timeout: Seconds to wait for each try.
        fetch_size: Rows per page.
        serial_consistency: `SERIAL` or `LOCAL_SERIAL` for this statement's condition instead of the
            session's.
        timestamp: Write timestamp in microseconds since 1970; now when not given. The server
            ignores it where the statement says USING TIMESTAMP.
    """

    consistency: str | None
    idempotent: bool | None
    timeout: float | None
    fetch_size: int | None
    serial_consistency: str | None
    timestamp: int | None


class Session(MendingConnection):
    """A thread-safe session that connects when first used and mends itself.

    It belongs to one process: a forked child connects anew on first use; pickling is refused, pass
    the block or the `ClusterConfig` instead.

    Args:
        config: Which cluster, as whom and how.
    """

    def _start_afresh(self) -> None:
        super()._start_afresh()
        self._prepare_lock = threading.Lock()
        self._prepared: OrderedDict[str, tuple[Prepared, Any]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Session({self.config!r})"

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "A session cannot be pickled: it is made of live connections.",
            hint="Pass the CassandraCluster block or the ClusterConfig, and open a session there.",
        )

    def execute(
        self,
        cql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Result:
        """Run one statement and return its answer.

        Args:
            cql: The statement. With parameters it is prepared, without it is sent as it is.
            parameters: Values for its `?` or `:name` markers, checked before they are bound.
            **options: See `Options`.

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
        request = self._request(cql, parameters, prepared, options)
        return self._result(request, self.run(request))

    async def aexecute(
        self,
        cql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Result:
        """Do what `execute` does without blocking the event loop."""
        prepared = None if parameters is None else await self.aprepare(cql)
        request = self._request(cql, parameters, prepared, options)
        return self._result(request, await self.arun(request))

    def pages(
        self,
        cql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Iterator[RawRows]:
        """Run a query and yield each page's rows as they came, for `reads.arrow` to decode.

        A query without rows yields one page of none, so that the columns are always known.

        Raises what `execute` does.
        """
        prepared = None if parameters is None else self.prepare(cql)
        request = self._request(cql, parameters, prepared, options)
        request.statement.raw_rows = True
        page = self.run(request)
        yield page.raw or RawRows((), (), 0, b"")
        while page.state is not None:
            page = self.run(request, page.state)
            yield page.raw or RawRows((), (), 0, b"")

    def execute_many(
        self,
        cql: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        in_flight: int = 32,
        **options: Unpack[Options],
    ) -> int:
        """Run one statement for each row, several at a time, and return how many ran.

        Stops sending at the first failure. Raises what `execute` does; a `DataError` counts rows
        from 1.
        """
        return Pump(self, in_flight).run(self._many(cql, rows, options)).rows

    async def aexecute_many(
        self,
        cql: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        *,
        in_flight: int = 32,
        **options: Unpack[Options],
    ) -> int:
        """Do what `execute_many` does without blocking the event loop."""
        return (await Pump(self, in_flight).arun(self._many(cql, rows, options))).rows

    def batch(
        self, prepared: Prepared, rows: Sequence[Sequence[Any]], **options: Unpack[Options]
    ) -> Request:
        """Return a request that writes `rows` of one partition as one unlogged batch.

        Args:
            prepared: The statement for each row.
            rows: Values in marker order, as `Prepared.check` returned them. 30 to 100 rows of one
                partition per batch serve best.
            **options: See `Options`.
        """
        statement = prepared.batch(rows)
        request = self.request_for(statement, prepared.cql, prepared, **options)
        request.rows = len(rows)
        return request

    def single(
        self, prepared: Prepared, values: Sequence[Any], **options: Unpack[Options]
    ) -> Request:
        """Return a request for one row, with values as `Prepared.check` returned them."""
        return self.request_for(prepared.bind(values), prepared.cql, prepared, **options)

    def prepare(self, cql: str) -> Prepared:
        """Return `cql` prepared, from the cache unless its table has changed since.

        Raises what `execute` does.
        """
        found = self._cached(cql)
        if found is None:
            with self._prepare_lock:
                found = self._cached(cql)
                if found is None:
                    found = self._prepare(cql)
        return found

    async def aprepare(self, cql: str) -> Prepared:
        """Do what `prepare` does without blocking the event loop."""
        found = self._cached(cql) if self.live_link() is not None else None
        return found if found is not None else await asyncio.to_thread(self.prepare, cql)

    def node_ids(self) -> frozenset[UUID]:
        """Return the ids of the cluster's nodes, connecting if there is no connection.

        No two nodes anywhere have one id, so two sessions that know one in common are of one
        cluster, whatever names and addresses they were given for it.

        Raises what `connect` does.
        """
        return self.link().node_ids()

    def table(self, keyspace: str, table: str, *, refresh: bool = False) -> TableInfo:
        """Return what a table looks like.

        Args:
            keyspace: Its keyspace, as stored (lower case unless it was quoted).
            table: Its name, as stored.
            refresh: Ask the server first; otherwise changes made elsewhere are seen within seconds.

        Raises:
            StatementError: There is no such table; names the closest one.
        """
        found = None if refresh else self.link().table(keyspace, table)
        if found is None:
            # Made by someone else a moment ago: the driver hears of it with a delay of seconds.
            self.ask(lambda link: link.refresh_schema())
            found = self.link().table(keyspace, table)
        if found is None:
            raise unknown_table(self.link().cluster.metadata, keyspace, table)
        return found

    def _carry_over(self, fresh: Link) -> None:
        for prepared, _ in tuple(self._prepared.values()):
            fresh.cluster.add_prepared(prepared.statement.query_id, prepared.statement)

    def _result(self, request: Request, first: Page) -> Result:
        return Result(
            first,
            lambda state: self.run(request, state),
            lambda state: self.arun(request, state),
        )

    def _request(
        self,
        cql: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None,
        prepared: Prepared | None,
        options: Options,
    ) -> Request:
        if prepared is None or parameters is None:
            statement = SimpleStatement(cql)
        else:
            statement = prepared.bind(prepared.check(parameters))
        return self.request_for(statement, cql, prepared, **options)

    def request_for(  # noqa: PLR0913 -- the one place where a request gets all it needs
        self,
        statement: Any,
        cql: str,
        prepared: Prepared | None = None,
        *,
        consistency: str | None = None,
        idempotent: bool | None = None,
        timeout: float | None = None,
        timestamp: int | None = None,
        fetch_size: int | None = None,
        serial_consistency: str | None = None,
    ) -> Request:
        """Return a request for one of the driver's statements; for use in this room only.

        The other arguments are those of `Options`.
        """
        kind = prepared.kind if prepared is not None else kind_of(cql)
        if idempotent is None:
            idempotent = prepared.idempotent if prepared is not None else looks_idempotent(cql)
        if consistency is not None:
            statement.consistency_level = ConsistencyLevel.name_to_value[check_level(consistency)]
        if serial_consistency is not None:
            level = check_level(serial_consistency, serial=True)
            statement.serial_consistency_level = ConsistencyLevel.name_to_value[level]
        if fetch_size is not None:
            statement.fetch_size = fetch_size
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
        self, cql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]], options: Options
    ) -> Iterator[Request]:
        """Make requests as they are wanted, in the thread that sends them."""
        prepared = self.prepare(cql)
        for number, row in enumerate(rows, start=1):
            yield self.single(prepared, prepared.check(row, partial(_row, number)), **options)

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
        statement = self.ask(lambda link: link.session.prepare(cql), cql)
        link = self.link()
        info, described = None, None
        if statement.column_metadata:
            about = statement.column_metadata[0]
            described = link.table_metadata(about.keyspace_name, about.table_name)
            info = link.table(about.keyspace_name, about.table_name)
        prepared = Prepared(cql, statement, info)
        self._prepared[cql] = (prepared, described)
        while len(self._prepared) > _PREPARED_KEPT:
            self._prepared.popitem(last=False)
        return prepared


def _row(number: int) -> str:
    return f"row {number}"
