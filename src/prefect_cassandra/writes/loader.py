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
from typing import TYPE_CHECKING, Any, Literal

from prefect_cassandra.driver.encoded import encoded_request, value_encoder
from prefect_cassandra.driver.identifiers import qualified
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.driver.threads import in_thread
from prefect_cassandra.driver.types import UNSET
from prefect_cassandra.errors import ConfigurationError, DataError, PrefectCassandraError
from prefect_cassandra.writes.batching import batches, fold_duplicates
from prefect_cassandra.writes.plan import Plan, make_plan
from prefect_cassandra.writes.report import LoadReport, Reject
from prefect_cassandra.writes.sources import Chunk, Part, parts
from prefect_cassandra.writes.wire import Encoded, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.pump import PumpReport
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo

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

    Raises:
        ConfigurationError: A value is none of the allowed ones.
    """

    mode: Mode = "unset"
    consistency: str | None = None
    in_flight: int = 32
    on_error: OnError = "fail"
    reject_limit: int | None = 10_000

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
    cancelled: threading.Event | None = None,
) -> LoadReport:
    """Write every row of `data` into a table and say what was done.

    Args:
        session: Where to.
        table: `keyspace.table`, or a table of `keyspace`.
        data: What `sources.parts` can take apart.
        options: How to load.
        keyspace: Keyspace of a table named without one.
        progress: Called with the report so far, about every five seconds, on the sending thread.
        cancelled: Set it, from any thread, to stop sending; the report says how far it came.

    Raises:
        DataError: The data does not fit the table; names row and column.
        StatementError: There is no such table, or the server refuses the rows.
        OutcomeUnknownError: A request may or may not have been applied, even after repeats.
    """
    options = options or LoadOptions()
    run = _Load(session, session.table(*qualified(table, keyspace)), options)
    tell = _throttled(progress, run) if progress is not None else None
    pump = Pump(session, options.in_flight, cancelled=cancelled, progress=tell)
    try:
        pump.run(run.requests(data))
    except PrefectCassandraError as error:
        error.add_note(f"Acknowledged before the failure: {run.report(pump.report)}")
        raise
    return run.report(pump.report)


async def aload(  # noqa: PLR0913 -- the parameters of load()
    session: Session,
    table: str,
    data: object,
    options: LoadOptions | None = None,
    *,
    keyspace: str | None = None,
    progress: Callable[[LoadReport], None] | None = None,
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
        cancelled=cancelled,
    )
    return await in_thread(work, cancelled.set)


def _throttled(progress: Callable[[LoadReport], None], run: _Load) -> Callable[[PumpReport], None]:
    """Pass a report on about every five seconds; there is one for each request."""
    due = time.monotonic() + _PROGRESS_SECONDS

    def tell(sent: PumpReport) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _PROGRESS_SECONDS
            progress(run.report(sent))

    return tell


@dataclass(frozen=True, slots=True)
class _Target:
    """One shape of input matched with the table: its plan, ready to be sent."""

    plan: Plan
    prepared: Prepared
    encoders: tuple[Callable[[Any], bytes], ...]


@dataclass(slots=True)
class _Load:
    """The state of one load on its sending thread."""

    session: Session
    table: TableInfo
    options: LoadOptions
    merged: int = 0
    rejected: int = 0
    rejects: list[Reject] = field(default_factory=list)
    _targets: dict[tuple[object, ...], _Target] = field(default_factory=dict)

    def report(self, sent: PumpReport) -> LoadReport:
        """Return what was done so far."""
        return LoadReport(
            table=f"{self.table.keyspace}.{self.table.name}",
            rows=sent.rows,
            merged=self.merged,
            rejected=self.rejected,
            rejects=tuple(self.rejects),
            requests=sent.requests,
            retries=sent.retries,
            seconds=sent.seconds,
            cancelled=sent.cancelled,
        )

    def requests(self, data: object) -> Iterator[Request]:
        """Yield the requests of the whole input, chunk by chunk."""
        pieces: Iterator[Part] = parts(data)
        if isinstance(data, list | tuple):
            # All in memory: every part is matched with the table before the first row is sent.
            known = [part for part in pieces if part.types or part.size]
            for part in known:
                self._target(part)
            pieces = iter(known)
        first_row = 0
        for part in pieces:
            if not part.types and not part.size:
                continue  # an empty list names no columns
            target = self._target(part)
            for chunk in part.chunks(first_row, self.table.partition_key):
                yield from self._chunk(chunk, target)
            first_row += part.size

    def _target(self, part: Part) -> _Target:
        """Match one part with the table, or remember that one of its shape was matched."""
        shape = (tuple(part.types.items()), part.nan_is_missing)
        if shape not in self._targets:
            plan = make_plan(part, self.table)
            prepared = self.session.prepare(plan.insert)
            encoders = tuple(value_encoder(prepared, n) for n in range(len(plan.columns)))
            self._targets[shape] = _Target(plan, prepared, encoders)
        return self._targets[shape]

    def _chunk(self, chunk: Chunk, target: _Target) -> Iterator[Request]:
        plan = target.plan
        encoded = [
            encode(
                chunk.columns[column.name],
                column.cql_type,
                encoder,
                nan_is_missing=chunk.nan_is_missing,
            )
            for column, encoder in zip(plan.columns, target.encoders, strict=True)
        ]
        columns = [column.values for column in encoded]
        bad = _problems(plan, encoded)
        if bad:
            self._refuse(bad, chunk.positions)
            keep = [row for row in range(chunk.size) if row not in bad]
            columns = [[column[row] for row in keep] for column in columns]
        unset = self.options.mode == "unset"
        columns, folded = fold_duplicates(columns, plan.key, keep_earlier=unset)
        self.merged += folded
        if unset:
            columns = [
                [UNSET if value is None else value for value in column]
                if None in column
                else column
                for column in columns
            ]
        widest = sum(column.widest for column in encoded)
        for rows in batches(columns, plan.partition, widest):
            yield encoded_request(
                self.session, target.prepared, rows, consistency=self.options.consistency
            )

    def _refuse(self, bad: dict[int, tuple[str, str]], positions: Sequence[int]) -> None:
        """Count and name rejected rows, or raise when rows must not be rejected.

        Raises:
            DataError: `on_error` is `fail`, or more rows were rejected than the limit allows.
        """
        named = sorted((Reject(positions[row], *why) for row, why in bad.items()), key=_row)
        if self.options.on_error == "fail":
            others = f" (and {len(bad) - 1:,} more rows of this chunk)" if len(bad) > 1 else ""
            raise DataError(
                f"{named[0]}{others}",
                hint="Nothing of this chunk was sent. Mend the data, or load with "
                "on_error='reject' to leave such rows out, counted and named.",
            )
        self.rejected += len(bad)
        self.rejects += named[: max(0, _REJECTS_NAMED - len(self.rejects))]
        limit = self.options.reject_limit
        if limit is not None and self.rejected > limit:
            raise DataError(
                f"{self.rejected:,} rows were rejected, {limit:,} are allowed; the first: "
                f"{self.rejects[0]}",
                hint="Mend the data, or allow more with reject_limit.",
            )


def _row(reject: Reject) -> int:
    return reject.row


def _problems(plan: Plan, encoded: list[Encoded]) -> dict[int, tuple[str, str]]:
    """Return column and reason of the first problem of each row of the chunk that has one."""
    found: dict[int, tuple[str, str]] = {}
    for place, (column, ready) in enumerate(zip(plan.columns, encoded, strict=True)):
        for problem in ready.problems:
            found.setdefault(problem.row, (column.name, problem.reason))
        refused: dict[bytes | None, str] = {}
        if place < plan.key:
            refused[None] = "a key column needs a value"
        if plan.partition == 1 and place == 0:
            # The server refuses it ("Key may not be empty"), and with it the whole request.
            refused[b""] = "a partition key must not be empty"
        for value, reason in refused.items():
            if value in ready.values:
                for row, one in enumerate(ready.values):
                    if one == value:
                        found.setdefault(row, (column.name, reason))
    return found
