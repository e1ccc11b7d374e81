"""What there is to undo: contents of runs, the stamps they used, and which of them are undone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from prefect_cassandra.errors import CannotUndoError, ConfigurationError
from prefect_cassandra.ledger.blocks import LEAD, moment
from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.lookup import block_at, blocks_of_run, spans_of_hour
from prefect_cassandra.ledger.opening import require_undo
from prefect_cassandra.ledger.undoing import CassandraUndoings, Content, used_slots
from prefect_cassandra.writes.before_images import has_image
from prefect_cassandra.writes.undo_images import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.driver.tables import TableInfo
    from prefect_cassandra.ledger.chunks import LoadBlock
    from prefect_cassandra.ledger.lookup import BlockSpan
    from prefect_cassandra.writes.undo_rows import Stamps

_HOUR = 3600 * 1_000_000
_LATEST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_VIEWS = """SELECT view_name, base_table_name FROM system_schema.views WHERE keyspace_name = ?"""


@dataclass(frozen=True, slots=True)
class Used:
    """A content and the stamps that it used.

    Attributes:
        content: Which content.
        blocks: Its blocks.
        slots: Stamp of each chunk, with where its image is, if it has one.
        imaged: Stamps of the chunks that have images.
        kind: What wrote it: LOAD, or the kind of a statement.
    """

    content: Content
    blocks: tuple[LoadBlock, ...]
    slots: dict[int, Place]
    imaged: frozenset[int]
    kind: str

    @property
    def stamps(self) -> Stamps:
        """The stamps, in order."""
        return np.array(sorted(self.slots), np.int64)


def contents_of_runs(
    session: Session, runs: Iterable[str], table: str | None = None
) -> list[Content]:
    """Return what flow runs wrote and was not swept since.

    Args:
        session: Logged in as a role that may read the ledger.
        runs: Identifiers of flow runs.
        table: `keyspace.table`, as stored, to look at that one alone.

    Raises:
        ConfigurationError: The ledger knows nothing that one of the runs wrote.
        NoStampsError: There is no ledger for this role.
    """
    found: set[Content] = set()
    for run in runs:
        blocks = blocks_of_run(session, run, table)
        if not blocks:
            where = f" into {table}" if table else ""
            raise ConfigurationError(
                f"The ledger knows nothing that run {run!r} wrote{where}.",
                hint="Give the whole identifier of a flow run, as its page shows it. What a run "
                "wrote of a load with key= that another run began is undone with that one.",
            )
        for block in blocks:
            asked = block.request
            found.add(Content(block.table, asked.load_key, asked.generation))
    undoings = CassandraUndoings(session)
    swept = {
        one
        for one in found
        for did in (undoings.of_load(one.table, one.key).get(one.generation),)
        if did is not None and did.reason == "REPLACED" and did.state == "DONE"
    }
    return sorted(found - swept)


def used_by(session: Session, content: Content) -> Used:
    """Look up which stamps a content used.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    store = CassandraLoads(session)
    blocks = [
        one
        for one in store.blocks(content.table, content.key)
        if one.generation == content.generation
    ]
    slots: dict[int, Place] = {}
    for block in blocks:
        used = used_slots(store.chunks(content.table, block.start))
        slots |= {stamp: Place(block.start, number) for stamp, number in used.items()}
    imaged = frozenset(
        stamp for stamp, place in slots.items() if has_image(session, content.table, *place)
    )
    first = block_at(session, content.table, blocks[0].start) if blocks else None
    kind = first.request.kind if first else "LOAD"
    return Used(content, tuple(blocks), slots, imaged, kind)


@dataclass(slots=True)
class UndoneBefore:
    """Tells which stamps of a table are of contents that were undone.

    Rows may have as many wall-clock times as there are rows, so the ledger is asked once for each
    hour that any of them lies in.

    Args:
        session: Logged in as a role that may read the ledger.
        table: `keyspace.table`.
        hours: Of how many different hours the blocks are read at most; a thousand take seconds.
    """

    session: Session
    table: str
    hours: int = 20_000
    _spans: dict[datetime, list[BlockSpan]] = field(default_factory=dict)
    _known: set[Content] = field(default_factory=set)

    def __call__(self, stamps: Stamps) -> tuple[dict[int, Place], list[int]]:
        """Return where the images of undone chunks are, and the stamps of those without.

        Raises:
            CannotUndoError: The stamps lie in more hours than are looked at.
        """
        places: dict[int, Place] = {}
        blind: list[int] = []
        for span in self._blocks_with(stamps):
            content = Content(self.table, span.load_key, span.generation)
            if content in self._known:
                continue
            self._known.add(content)
            undone = CassandraUndoings(self.session).of_load(self.table, content.key)
            if content.generation in undone:
                used = used_by(self.session, content)
                places |= {one: used.slots[one] for one in used.imaged}
                blind += set(used.slots) - used.imaged
        return places, blind

    def _blocks_with(self, stamps: Stamps) -> Iterator[BlockSpan]:
        """Yield the blocks that have any of some stamps, given in order."""
        # Others write at any number; what is no time, no block has.
        stamps = stamps[(stamps >= LEAD) & (stamps <= _LATEST)]
        # A block is filed under the hour of its first stamp and may reach into the next.
        numbers = np.union1d(stamps // _HOUR, (stamps - LEAD) // _HOUR)
        for number in numbers.tolist():
            for span in self._of_hour(moment(number * _HOUR)):
                first = int(np.searchsorted(stamps, span.start))
                if first < len(stamps) and stamps[first] < span.end:
                    yield span

    def _of_hour(self, hour: datetime) -> list[BlockSpan]:
        if hour not in self._spans:
            if len(self._spans) >= self.hours:
                raise CannotUndoError(
                    f"what was overwritten in {self.table} was written in more than "
                    f"{self.hours:,} different hours, so it cannot be told in time whether some "
                    "of it was undone before",
                    hint="Undo the loads of this table one by one, or fewer at once.",
                )
            self._spans[hour] = spans_of_hour(self.session, self.table, hour)
        return self._spans[hour]


def undoable_table(session: Session, name: str) -> TableInfo:
    """Return what a table looks like, if undoing can be exact in it.

    Args:
        session: Where it is.
        name: `keyspace.table`, as stored.

    Raises:
        CannotUndoError: It has materialised views, counters, or a list that is not frozen; or the
            cluster is of a kind that cannot tell what to undo.
        StatementError: There is no such table.
    """
    keyspace, _, table = name.partition(".")
    info = session.table(keyspace, table)
    require_undo(session, info)
    views = [
        row["view_name"]
        for row in session.execute(_VIEWS, [keyspace])
        if row["base_table_name"] == table
    ]
    if views:
        raise CannotUndoError(
            f"{name} has the materialised view {views[0]}, in which tombstones below later writes "
            "leave other rows than in the table",
            hint="Drop its views first, or delete the rows with plain statements.",
        )
    for column in info.columns:
        if column.cql_type == "counter" or column.is_plain_list:
            raise CannotUndoError(
                f"{name} has the column {column.name} of type {column.cql_type}, whose cells carry "
                "no stamps"
            )
    return info
