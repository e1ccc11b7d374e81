"""Loading: columns in, acknowledged rows out, and every row accounted for.

Chunks of 5,000 rows are checked and encoded as a whole, and only then sent, so nothing of a bad
chunk is written. Requests get rising write times in input order and keep them when they are
repeated: of two rows with one key the later wins, however the requests overtake each other.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from prefect_cassandra.driver.encoded import (
    NULL,
    UNSET,
    Cells,
    encode_rows,
    statement_head,
    value_encoder,
)
from prefect_cassandra.driver.frames import frame_request, replica_groups, routing_key
from prefect_cassandra.driver.identifiers import qualified
from prefect_cassandra.driver.pump import Pump, PumpReport
from prefect_cassandra.driver.threads import in_thread
from prefect_cassandra.errors import (
    ConfigurationError,
    ContentChangedError,
    DataError,
    PrefectCassandraError,
    SupersededError,
    UndoneError,
)
from prefect_cassandra.writes.batching import Arranged, arrange, by_group, cuts, shared
from prefect_cassandra.writes.limits import BatchLimits, server_limits
from prefect_cassandra.writes.plan import Plan, make_plan
from prefect_cassandra.writes.problems import problems
from prefect_cassandra.writes.report import LoadReport, Reject
from prefect_cassandra.writes.sources import Chunk, Part, Source, parts
from prefect_cassandra.writes.stamped import open_stamped, replacing
from prefect_cassandra.writes.taking_back import take_back
from prefect_cassandra.writes.wire import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prefect_cassandra.driver.encoded import ValueEncoder
    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.writes.batching import Places
    from prefect_cassandra.writes.report import RejectSink
    from prefect_cassandra.writes.stamped import Stamped, StampedChunks

Mode = Literal["unset", "null"]
OnError = Literal["fail", "reject"]

_REJECTS_NAMED = 100
_PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load.

    Args:
        mode: What a missing value does: `unset` leaves the stored cell as it is, `null` deletes it.
        consistency: Level instead of the session's.
        in_flight: Most requests unanswered at one time.
        on_error: What a row that cannot be written does: `fail` stops the load before anything of
            its chunk is sent, `reject` leaves the row out, counts and names it.
        reject_limit: Most rows that may be rejected; one more stops the load. None is no limit.
        reject_sink: What keeps the rejected rows, such as a file.
        dry_run: Match, check and encode everything, and send nothing.
        stamped: That the load is kept in the ledger, and as what; not when absent.

    Raises:
        ConfigurationError: A value is none of the allowed ones.
    """

    mode: Mode = "unset"
    consistency: str | None = None
    in_flight: int = 32
    on_error: OnError = "fail"
    reject_limit: int | None = 10_000
    reject_sink: RejectSink | None = None
    dry_run: bool = False
    stamped: Stamped | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("mode", ("unset", "null")), ("on_error", ("fail", "reject"))):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigurationError(
                    f"{name}={value!r} is not known.",
                    hint=f"Use {' or '.join(map(repr, allowed))}.",
                )


def load(  # noqa: PLR0913 -- where, what and how, and two ways to follow it
    session: Session,
    table: str,
    data: object,
    options: LoadOptions | None = None,
    *,
    keyspace: str | None = None,
    progress: Callable[[LoadReport], None] | None = None,
    progress_every: float = _PROGRESS_SECONDS,
    cancelled: threading.Event | None = None,
) -> LoadReport:
    """Write every row of `data` into a table and say what was done.

    Args:
        session: Where to.
        table: `keyspace.table`, or a table of `keyspace`.
        data: What `sources.parts` can take apart.
        options: How to load.
        keyspace: Keyspace of a table named without one.
        progress: Called with the report so far, now and then, on the sending thread.
        progress_every: Seconds between two such calls.
        cancelled: Set it, from any thread, to stop sending; the report says how far it came.

    Raises:
        DataError: The data does not fit the table; names row and column.
        StatementError: There is no such table, or the server refuses the rows.
        OutcomeUnknownError: A request may or may not have been applied, even after repeats.
        ContentChangedError: The load's key was used before with other content.
        SupersededError: Newer content of the same load was taken up elsewhere.
        UndoneError: The load was undone meanwhile.
        LedgerError: The load has to be kept in the ledger, and cannot be.
    """
    options = options or LoadOptions()
    run = _Load(session, session.table(*qualified(table, keyspace)), options)
    tell = _throttled(progress, run, progress_every) if progress is not None else None
    if options.dry_run:
        return run.report(_unsent(run.requests(data), cancelled, tell))
    run.stamped = open_stamped(session, run.table, options.stamped, data)
    while True:  # once more when the content has changed and is to be replaced
        pump = Pump(session, options.in_flight, cancelled=cancelled, progress=tell)
        try:
            return run.report(_sent(run, pump, data))
        except ContentChangedError as error:
            stamped = replacing(session, run.stamped, options.stamped, data, error)
            run = _Load(session, run.table, options, stamped=stamped)
            tell = _throttled(progress, run, progress_every) if progress is not None else None
        except PrefectCassandraError as error:
            if run.stamped is not None and isinstance(error, SupersededError | UndoneError):
                take_back(session, run.stamped.load, error)
            error.add_note(f"Acknowledged before the failure: {run.report(pump.report)}")
            raise


async def aload(  # noqa: PLR0913 -- the parameters of load()
    session: Session,
    table: str,
    data: object,
    options: LoadOptions | None = None,
    *,
    keyspace: str | None = None,
    progress: Callable[[LoadReport], None] | None = None,
    progress_every: float = _PROGRESS_SECONDS,
) -> LoadReport:
    """Do what `load` does in a thread of its own; cancelling the task stops the load.

    `data` is iterated in that thread.
    """
    cancelled = threading.Event()
    work = partial(
        load,
        session,
        table,
        data,
        options,
        keyspace=keyspace,
        progress=progress,
        progress_every=progress_every,
        cancelled=cancelled,
    )
    return await in_thread(work, cancelled.set)


def _unsent(
    requests: Iterable[Request],
    cancelled: threading.Event | None,
    tell: Callable[[PumpReport], None] | None,
) -> PumpReport:
    """Make every request, send none, and report as if they had been sent."""
    started = time.monotonic()
    count = rows = 0
    for request in requests:
        count, rows = count + 1, rows + request.rows
        if tell is not None:
            tell(PumpReport(count, rows, seconds=time.monotonic() - started))
        if cancelled is not None and cancelled.is_set():
            return PumpReport(count, rows, seconds=time.monotonic() - started, cancelled=True)
    return PumpReport(count, rows, seconds=time.monotonic() - started)


def _sent(run: _Load, pump: Pump, data: object) -> PumpReport:
    """Send the whole input; the ledger hears of each chunk."""
    stamped = run.stamped
    if stamped is None:
        return pump.run(run.requests(data))
    try:
        for answer in pump.answers(run.requests(data)):
            stamped.acknowledge(answer)
        if not pump.report.cancelled:
            stamped.finish()
            # Inside of a transaction what was replaced may have to stay: its commit sweeps.
            if run.options.stamped is None or not run.options.stamped.transactional:
                stamped.sweep(run.session)
    finally:
        stamped.give_up()
        # The stamps are of the nodes' time. What the flow writes next must not lose against them
        # because this machine's clock is behind.
        run.session.write_after(stamped.latest)
    return pump.report


def _throttled(
    progress: Callable[[LoadReport], None], run: _Load, every: float
) -> Callable[[PumpReport], None]:
    """Pass a report on every so many seconds; there is one for each request."""
    due = time.monotonic() + every

    def tell(sent: PumpReport) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + every
            progress(run.report(sent))

    return tell


@dataclass(frozen=True, slots=True)
class _Target:
    """One shape of input matched with the table: its plan, ready to be sent."""

    plan: Plan
    prepared: Prepared
    encoders: tuple[ValueEncoder, ...]
    head: bytes
    static: tuple[int, ...]


@dataclass(slots=True)
class _Load:
    """The state of one load on its sending thread."""

    session: Session
    table: TableInfo
    options: LoadOptions
    merged: int = 0
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)
    bytes: int = 0
    stamped: StampedChunks | None = None
    _targets: dict[tuple[object, ...], _Target] = field(default_factory=dict)
    _limits: BatchLimits | None = None

    @property
    def name(self) -> str:
        """The table's whole name."""
        return f"{self.table.keyspace}.{self.table.name}"

    @property
    def limits(self) -> BatchLimits:
        """How large requests may be; the server is asked once."""
        if self._limits is None:
            self._limits = server_limits(self.session)
        return self._limits

    def report(self, sent: PumpReport) -> LoadReport:
        """Return what was done so far."""
        stamped = self.stamped
        return LoadReport(
            table=self.name,
            rows=sent.rows,
            merged=self.merged,
            rejected=self.rejected,
            rejects=tuple(self.rejects),
            requests=sent.requests,
            retries=sent.retries,
            seconds=sent.seconds,
            bytes=self.bytes,
            cancelled=sent.cancelled,
            dry_run=self.options.dry_run,
            stamped=stamped is not None,
            skipped_chunks=stamped.load.skipped_chunks if stamped is not None else 0,
            skipped_rows=stamped.skipped_rows if stamped is not None else 0,
            swept_rows=stamped.swept_rows if stamped is not None else 0,
            unswept=stamped.unswept if stamped is not None else "",
        )

    def requests(self, data: object) -> Iterator[Request]:
        """Yield the requests of the whole input, chunk by chunk."""
        pieces: Iterator[Part] = parts(data, self.table)
        # Files are larger than memory; they show their columns first by themselves.
        streams = isinstance(data, list | tuple) and any(isinstance(one, Source) for one in data)
        if isinstance(data, list | tuple) and not streams:
            # All in memory: every part is matched with the table before the first row is sent.
            known = [part for part in pieces if part.types or part.size]
            for part in known:
                self._target(part)
            pieces = iter(known)
        # An empty list names no columns.
        pieces = (part for part in pieces if part.types or part.size)
        for part, chunk in self._chunks(pieces):
            yield from self._chunk(chunk, self._target(part))

    def _chunks(self, pieces: Iterable[Part]) -> Iterator[tuple[Part, Chunk]]:
        """Cut the input; every part is matched with the table, also one without rows."""
        group_by = self.table.partition_key
        if self.stamped is not None:
            yield from self.stamped.cut(map(self._matched, pieces), group_by)
            return
        first_row = 0
        for part in map(self._matched, pieces):
            for chunk in part.chunks(first_row, group_by):
                yield part, chunk
            first_row += part.size

    def _matched(self, part: Part) -> Part:
        self._target(part)
        return part

    def _target(self, part: Part) -> _Target:
        """Match one part with the table, or remember that one of its shape was matched."""
        shape = (tuple(part.types.items()), part.nan_is_missing)
        if shape not in self._targets:
            plan = make_plan(part, self.table)
            prepared = self.session.prepare(plan.insert)
            encoders = tuple(value_encoder(prepared, n) for n in range(len(plan.columns)))
            columns = enumerate(plan.columns)
            static = tuple(place for place, column in columns if column.kind == "static")
            head = statement_head(prepared)
            self._targets[shape] = _Target(plan, prepared, encoders, head, static)
        return self._targets[shape]

    def _chunk(self, chunk: Chunk, target: _Target) -> Iterator[Request]:
        plan = target.plan
        encoded = [
            encode(
                chunk.columns[column.name],
                encoder,
                nan_is_missing=chunk.nan_is_missing,
            )
            for column, encoder in zip(plan.columns, target.encoders, strict=True)
        ]
        columns = [column.cells for column in encoded]
        bad = problems(plan, encoded, self.limits.row_bytes) | chunk.unreadable()
        if bad:
            self._refuse(bad, chunk)
            good = np.delete(np.arange(chunk.size), list(bad))
            columns = [column.take(good) for column in columns]
        if self.stamped is None:
            yield from self._requests(columns, target)
            return
        stamp = self.stamped.begin(chunk, columns, plan, self.options.mode)
        if stamp is not None:
            yield from self.stamped.follow(self._stamped_requests(columns, target, stamp))

    def _stamped_requests(
        self, columns: list[Cells], target: _Target, stamp: int
    ) -> Iterator[Request]:
        """Yield the requests that write one chunk at its stamp, and keep the filter of its keys."""
        wanted, stamped = self.options.stamped, self.stamped
        if stamped is not None and wanted is not None and wanted.keep_filters is not None:
            plan, keep = target.plan, wanted.keep_filters
            kinds = [encoder.kind for encoder in target.encoders[: plan.key]]
            yield stamped.key_filter(self.session, columns, plan, kinds, keep)
        yield from self._requests(columns, target, stamp)

    def _requests(
        self, columns: list[Cells], target: _Target, stamp: int | None = None
    ) -> Iterator[Request]:
        """Yield the requests that write one chunk of good rows, at `stamp` if it has one."""
        plan, unset = target.plan, self.options.mode == "unset"
        found = arrange(
            columns,
            plan.partition,
            plan.key,
            target.static,
            keep_earlier=unset,
            kinds=[encoder.kind for encoder in target.encoders[: plan.key]],
        )
        self.merged += found.merged
        groups = None
        if shared(found.partitions, self.limits):
            found, groups = self._by_replicas(found, plan)
        rows = encode_rows(target.head, found.columns, UNSET if unset else NULL)
        for first, stop in cuts(rows, found.partitions, self.limits, groups):
            body = rows.body(first, stop)
            self.bytes += len(body)
            yield frame_request(
                self.session,
                target.prepared,
                body,
                stop - first,
                _key(found, plan, first),
                self.options.consistency,
                stamp,
            )

    def _by_replicas(self, found: Arranged, plan: Plan) -> tuple[Arranged, Places]:
        """Bring partitions of the same nodes together."""
        firsts = np.flatnonzero(np.diff(found.partitions, prepend=-1)).tolist()
        key = partial(_key, found, plan)
        groups = replica_groups(self.session, plan.keyspace, key, firsts)
        return by_group(found, np.array(groups, np.int64))

    def _refuse(self, bad: dict[int, tuple[str, str]], chunk: Chunk) -> None:
        """Count and name rejected rows, or raise when rows must not be rejected.

        Raises:
            DataError: `on_error` is `fail`, or more rows were rejected than the limit allows.
        """
        named = sorted((chunk.reject(row, *why) for row, why in bad.items()), key=_row)
        if self.options.on_error == "fail":
            others = f" (and {len(bad) - 1:,} more rows of this chunk)" if len(bad) > 1 else ""
            raise DataError(
                f"{named[0]}{others}",
                hint="Nothing of this chunk was sent. Mend the data, or load with "
                "on_error='reject' to leave such rows out, counted and named.",
            )
        if self.options.reject_sink is not None:
            self.options.reject_sink.take(named, chunk)
        self.rejected += len(bad)
        self.rejects += named[: max(0, _REJECTS_NAMED - len(self.rejects))]
        limit = self.options.reject_limit
        if limit is not None and self.rejected > limit:
            raise DataError(
                f"{self.rejected:,} rows were rejected, {limit:,} are allowed; the first: "
                f"{self.rejects[0]}",
                hint="Mend the data, or allow more with reject_limit.",
            )


def _key(found: Arranged, plan: Plan, row: int) -> bytes:
    """Return the partition key of a row as the ring hashes it."""
    return routing_key([column.value(row) or b"" for column in found.columns[: plan.partition]])


def _row(reject: Reject) -> int:
    return reject.row
