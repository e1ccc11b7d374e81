"""Undoing what loads wrote: one look at the table, tombstones below every later write.

What is undone is first put on record, so that it is never taken up again and an interruption can be
mended; see `ledger/undoing.py`. Everything written here has a stamp that is settled by the slot of
the chunk it undoes, so doing it twice, or by two at once, changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from prefect_cassandra.driver.encoded import NULL, UNSET, AbsentCells, value_encoder
from prefect_cassandra.driver.identifiers import dotted, quote
from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.errors import CannotUndoError
from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.store import DatabaseTime
from prefect_cassandra.ledger.undoing import (
    CassandraUndoings,
    Content,
    Counts,
    tombstone_of,
)
from prefect_cassandra.reads.query import Selection
from prefect_cassandra.reads.scan import Scan, ScanOptions
from prefect_cassandra.writes.limits import server_limits
from prefect_cassandra.writes.restoring import restoring
from prefect_cassandra.writes.sending import Rows, row_requests
from prefect_cassandra.writes.undo_images import ImagedChunks, plans
from prefect_cassandra.writes.undo_lookup import UndoneBefore, Used, undoable_table, used_by
from prefect_cassandra.writes.undo_report import UndoReport
from prefect_cassandra.writes.undo_rows import NEVER, decide, decide_static, only, times_of
from prefect_cassandra.writes.wire import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from prefect_cassandra.driver.encoded import Cells
    from prefect_cassandra.driver.prepared import Prepared
    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.ledger.undoing import Reason
    from prefect_cassandra.writes.limits import BatchLimits
    from prefect_cassandra.writes.undo_rows import ColumnTimes, Decision, Stamps

_UPDATE = "UPDATE"
_UNMARKED = frozenset({_UPDATE, "DELETE"})


@dataclass(frozen=True, slots=True)
class Why:
    """Why something is undone, for the record.

    Attributes:
        reason: Why.
        person: Who asked.
        run: The flow run that asked or whose load it is.
    """

    reason: Reason = "UNDO"
    person: str = ""
    run: str = ""


def undo_contents(  # noqa: PLR0913 -- what, why, who, and whether at all
    session: Session,
    contents: Iterable[Content],
    *,
    reason: Reason = "UNDO",
    person: str = "",
    run: str = "",
    dry_run: bool = False,
) -> list[UndoReport]:
    """Undo contents of loads that are undone for one reason; see `undo_each`."""
    return undo_each(session, dict.fromkeys(contents, Why(reason, person, run)), dry_run=dry_run)


def undo_each(
    session: Session, contents: Mapping[Content, Why], *, dry_run: bool = False
) -> list[UndoReport]:
    """Take away what contents of loads wrote, table by table; again, it changes nothing.

    Args:
        session: Logged in as a role that may read and write the tables and the ledger.
        contents: What to undo, and why. All of one table are undone with one look at it: where
            they lie on top of each other, what was there before all of them comes back.
        dry_run: Only count what would be done.

    Raises:
        CannotUndoError: Undoing cannot be exact in one of the tables; nothing was done in any.
        StatementError: A table is not there any more; nothing was done in any.
        NoStampsError: There is no ledger for this role.

    And what `Session.execute` does: then some of it may be done, and the ledger has noted the rest.
    """
    by_table: defaultdict[str, list[Content]] = defaultdict(list)
    for content in sorted(contents):
        by_table[content.table].append(content)
    tables = {name: undoable_table(session, name) for name in by_table}
    for name, wanted in by_table.items():
        _require_cells(session, tables[name], wanted)
    undoings = CassandraUndoings(session)
    found: list[UndoReport] = []
    for name, wanted in by_table.items():
        if not dry_run:
            # On record before the chunks are read: who adds one after that will see it.
            for content in wanted:
                why = contents[content]
                undoings.begin(content, why.reason, person=why.person, run=why.run)
        used = [used_by(session, content) for content in wanted]
        counts = _Undoing(session, tables[name], used, dry_run=dry_run).run()
        for one in used:
            did = counts[one.content]
            found.append(_report(one, did, dry_run=dry_run))
            if not dry_run:
                _end(session, one, contents[one.content].reason, did)
    return found


def _require_cells(session: Session, table: TableInfo, contents: Sequence[Content]) -> None:
    """Refuse a table without a cell that would tell who wrote it, unless images have the keys.

    Raises:
        CannotUndoError: So it is.
    """
    if any(column.kind == "regular" for column in table.columns):
        return
    for content in contents:
        used = used_by(session, content)
        if used.imaged != set(used.slots):
            raise CannotUndoError(
                f"{content.table} has key columns only, and perhaps static ones, and keys have no "
                "write time that tells who wrote them",
                hint="Load such a table with before_image=True, which keeps the keys.",
            )


def _report(used: Used, counts: Counts, *, dry_run: bool) -> UndoReport:
    content = used.content
    return UndoReport(
        content.table,
        content.key,
        content.generation,
        used.kind,
        len(used.slots),
        len(used.imaged),
        counts.rows_removed,
        counts.cells_cleared,
        counts.cells_restored,
        counts.cells_left,
        dry_run=dry_run,
    )


def _end(session: Session, used: Used, reason: Reason, counts: Counts) -> None:
    if reason != "REPLACED":
        undone = [replace(one, state="UNDONE") for one in used.blocks]
        CassandraLoads(session).end(used.content.table, used.content.key, undone)
    CassandraUndoings(session).end(used.content, reason, counts)


@dataclass(slots=True)
class _Undoing:
    """One pass over one table."""

    session: Session
    table: TableInfo
    used: Sequence[Used]
    dry_run: bool
    counts: defaultdict[Content, Counts] = field(default_factory=lambda: defaultdict(Counts))
    _limits: BatchLimits | None = None

    @property
    def name(self) -> str:
        return dotted(self.table.keyspace, self.table.name)

    @property
    def limits(self) -> BatchLimits:
        if self._limits is None:
            self._limits = server_limits(self.session)
        return self._limits

    def run(self) -> dict[Content, Counts]:
        """Carry it out, and return what was done of each content."""
        # Rows with images first: what is then left of the other chunks is told by a scan.
        for requests in (self._imaged(), self._blind()):
            if self.dry_run:
                for _ in requests:
                    pass
            else:
                Pump(self.session).run(requests)
        return self.counts

    def _imaged(self) -> Iterator[Request]:
        """Yield what undoes the chunks that have images."""
        places = {stamp: one.slots[stamp] for one in self.used for stamp in one.imaged}
        if not places:
            return
        blind = {stamp for one in self.used for stamp in one.slots} - set(places)
        now = DatabaseTime(self.session)()
        name = f"{self.table.keyspace}.{self.table.name}"
        chunks = ImagedChunks(
            self.session,
            self.table,
            sorted(places),
            places,
            blind,
            now,
            UndoneBefore(self.session, name),
        )
        for stamp, made, whole in plans(chunks):
            content = next(one.content for one in self.used if stamp in one.slots)
            restored = sum(int(np.count_nonzero(one.restores)) for one in made.columns.values())
            cleared = sum(int(np.count_nonzero(one.clears)) for one in made.columns.values())
            # What a chunk without an image wrote last, a dry run meets once more in the scan.
            met = np.isin(made.remove, list(blind)) & self.dry_run
            removed = int(np.count_nonzero(made.gone & ~met))
            self.counts[content] += Counts(removed, cleared + made.hidden, restored)
            if not self.dry_run:
                clustering = self.table.clustering_key if whole else ()
                yield from restoring(self.session, self.table, clustering, made, self.limits)

    def _blind(self) -> Iterator[Request]:
        """Yield what undoes the chunks without images: whatever has their stamps."""
        stamps = [stamp for one in self.used for stamp in one.slots if stamp not in one.imaged]
        if not stamps:
            return
        blind = np.array(sorted(stamps), np.int64)
        regular, static = self._columns("regular"), self._columns("static")
        if regular:
            for batch in self._scan(self.table.primary_key, regular):
                yield from self._rows(batch, regular, blind)
        if static:
            for batch in self._scan(self.table.partition_key, static, per_partition_limit=1):
                yield from self._statics(batch, static, blind)

    def _columns(self, kind: str) -> list[str]:
        return [column.name for column in self.table.columns if column.kind == kind]

    def _scan(
        self, keys: Sequence[str], timed: Sequence[str], per_partition_limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        selection = Selection(
            columns=keys, writetime=timed, per_partition_limit=per_partition_limit
        )
        yield from Scan(self.session, self.name, ScanOptions(selection))

    def _rows(
        self, batch: pa.RecordBatch, names: Sequence[str], blind: Stamps
    ) -> Iterator[Request]:
        # Rows that a chunk with an image wrote last were seen to by that, and so were its cells.
        every = np.unique(np.concatenate([one.stamps for one in self.used]))
        columns = [times_of(batch[f"writetime({name})"], every) for name in names]
        columns = only(columns, blind, every if self.dry_run else blind)
        unmarked = [one.stamps for one in self.used if one.kind == _UPDATE]
        made = decide(
            columns,
            np.concatenate(unmarked) if unmarked else np.empty(0, np.int64),
            self._marked_from(blind),
        )
        self._count(columns, made)
        yield from self._removals(batch, made)
        yield from self._clearings(batch, names, made, self.table.clustering_key)

    def _marked_from(self, blind: Stamps) -> int:
        """Return the lowest stamp at which row markers were written, of those without images."""
        marking = [one.stamps for one in self.used if one.kind not in _UNMARKED]
        found = np.intersect1d(np.concatenate(marking), blind) if marking else blind[:0]
        return int(found[0]) if len(found) else NEVER

    def _statics(
        self, batch: pa.RecordBatch, names: Sequence[str], blind: Stamps
    ) -> Iterator[Request]:
        columns = [times_of(batch[f"writetime({name})"], blind) for name in names]
        made = decide_static(columns)
        self._count(columns, made)
        yield from self._clearings(batch, names, made, ())

    def _count(self, columns: Sequence[ColumnTimes], made: Decision) -> None:
        latest = np.maximum.reduce([one.ours for one in columns])
        for one in self.used:
            gone = int(np.count_nonzero(made.gone & np.isin(latest, one.stamps)))
            cells = sum(
                int(np.count_nonzero(~made.gone & ~column.mixed & np.isin(column.ours, one.stamps)))
                for column in columns
            )
            left = sum(
                int(np.count_nonzero(column.mixed & np.isin(column.ours, one.stamps)))
                for column in columns
            )
            self.counts[one.content] += Counts(gone, cells, cells_left=left)

    def _removals(self, batch: pa.RecordBatch, made: Decision) -> Iterator[Request]:
        """Yield row tombstones."""
        places = np.flatnonzero(made.remove)
        if self.dry_run or not len(places):
            return
        where = " AND ".join(f"{quote(name)} = ?" for name in self.table.primary_key)
        prepared = self.session.prepare(f"DELETE FROM {self.name} WHERE {where}")  # noqa: S608 -- quoted
        rows = self._keys(batch, places, prepared, 0, self.table.clustering_key)
        yield from self._at_each(prepared, rows, made.remove[places])

    def _clearings(
        self,
        batch: pa.RecordBatch,
        names: Sequence[str],
        made: Decision,
        clustering: Sequence[str],
    ) -> Iterator[Request]:
        """Yield cell tombstones: an UPDATE, which makes no row marker, with nulls."""
        places = np.flatnonzero(np.any([one > 0 for one in made.clear], axis=0))
        if self.dry_run or not len(places):
            return
        prepared = self.session.prepare(self._update(names, clustering))
        rows = self._keys(batch, places, prepared, len(names), clustering)
        stamps = np.concatenate(made.clear)
        for stamp in np.unique(stamps[stamps > 0]):
            absent = [
                AbsentCells(np.where(one[places] == stamp, NULL, UNSET)) for one in made.clear
            ]
            here = np.flatnonzero(np.any([one.codes == NULL for one in absent], axis=0))
            yield from row_requests(
                self.session,
                prepared,
                rows._replace(values=absent).take(here),
                self.limits,
                tombstone_of(int(stamp)),
            )

    def _at_each(self, prepared: Prepared, rows: Rows, stamps: Stamps) -> Iterator[Request]:
        for stamp in np.unique(stamps):
            here = rows.take(np.flatnonzero(stamps == stamp))
            yield from row_requests(
                self.session, prepared, here, self.limits, tombstone_of(int(stamp))
            )

    def _update(self, names: Sequence[str], clustering: Sequence[str]) -> str:
        values = ", ".join(f"{quote(name)} = ?" for name in names)
        keys = (*self.table.partition_key, *clustering)
        where = " AND ".join(f"{quote(name)} = ?" for name in keys)
        return f"UPDATE {self.name} SET {values} WHERE {where}"  # noqa: S608 -- quoted names

    def _keys(
        self,
        batch: pa.RecordBatch,
        places: Stamps,
        prepared: Prepared,
        first: int,
        clustering: Sequence[str],
    ) -> Rows:
        """Return the encoded keys of some rows; their markers begin with number `first`."""
        taken = batch.take(places)
        names = (*self.table.partition_key, *clustering)
        cells: list[Cells] = [
            encode(taken[name], value_encoder(prepared, first + number)).cells
            for number, name in enumerate(names)
        ]
        partition = len(self.table.partition_key)
        return Rows([], cells[:partition], cells[partition:])
