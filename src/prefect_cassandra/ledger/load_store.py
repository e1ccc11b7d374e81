"""The blocks and chunks of loads in `prefect_ledger`: plain writes and reads of a majority."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect_cassandra.driver.pump import Pump
from prefect_cassandra.ledger.blocks import hour_of
from prefect_cassandra.ledger.chunks import ChunkRecord, LoadBlock
from prefect_cassandra.ledger.store import QUORUM, DatabaseTime, ledger_access
from prefect_cassandra.ledger.undoing import CassandraUndoings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prefect_cassandra.driver.request import Request
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.blocks import Provenance
    from prefect_cassandra.ledger.undoing import Content, Undoing

_BLOCKS = """SELECT generation, start, length, stride, first_chunk, chunk_rows, id, state, chunks,
 rows FROM prefect_ledger.load_blocks WHERE table_name = ? AND load_key = ?"""
_END_OF_LOAD = """UPDATE prefect_ledger.load_blocks SET state = ?, chunks = ?, rows = ?
 WHERE table_name = ? AND load_key = ? AND generation = ? AND start = ?"""
_END_OF_BLOCK = """UPDATE prefect_ledger.stamp_blocks SET state = ?, chunks = ?, rows = ?,
 ended_at = ? WHERE table_name = ? AND hour = ? AND start = ?"""
_CHUNKS = """SELECT number, digest, owner, slot, first_row, rows, state
 FROM prefect_ledger.load_chunks WHERE table_name = ? AND start = ?"""
_CHUNK = f"{_CHUNKS} AND number = ?"
_RECORD = """INSERT INTO prefect_ledger.load_chunks (table_name, start, number, digest, owner, slot,
 first_row, rows, state, run, attempt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


class CassandraLoads:
    """The `LoadStore` of a real cluster.

    Every method raises what `Session.execute` does, and NoStampsError when the cluster has no
    ledger or this role may not use it.

    Args:
        session: Logged in as a role that may read and write the stamp tables.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def blocks(self, table: str, key: str) -> list[LoadBlock]:
        """Return every block a load ever had."""
        # A block that a crash left half-written has no request yet, and so nobody has used it.
        return [
            LoadBlock(**row) for row in self._read(_BLOCKS, [table, key]) if row["id"] is not None
        ]

    def chunks(self, table: str, start: int, number: int | None = None) -> list[ChunkRecord]:
        """Return what is on record for a block's chunks, or for one of them."""
        if number is None:
            rows = self._read(_CHUNKS, [table, start])
        else:
            rows = self._read(_CHUNK, [table, start, number])
        return [ChunkRecord(**row) for row in rows]

    def record(
        self, table: str, start: int, records: Sequence[ChunkRecord], who: Provenance
    ) -> None:
        """Write records of a block's chunks; an older one of the same attempt is replaced."""
        with ledger_access():
            prepared = self.session.prepare(_RECORD)
            rows = [
                prepared.check(
                    [
                        *(table, start, one.number, one.digest, one.owner, one.slot),
                        *(one.first_row, one.rows, one.state, who.run, who.attempt),
                    ]
                )
                for one in records
            ]
            # One partition, so one mutation: all of it or nothing.
            request = self.session.batch(prepared, rows, consistency=QUORUM, idempotent=True)
            self.session.run(request)

    def end(self, table: str, key: str, blocks: Iterable[LoadBlock]) -> None:
        """Write state, chunks and rows of blocks."""
        with ledger_access():
            Pump(self.session).run(self._ends(table, key, blocks))

    def undone(self, table: str, key: str) -> Mapping[int, Undoing]:
        """Return what was undone of a load, by generation."""
        return CassandraUndoings(self.session).of_load(table, key)

    def owe_sweep(self, content: Content, run: str) -> None:
        """Record that what a content wrote has to be taken away, because newer content counts.

        Where a transaction or somebody else is to undo it, that stays on record: it goes further.
        """
        undoings = CassandraUndoings(self.session)
        noted = {one.content: one.reason for one in undoings.owed(content.table)}
        if noted.get(content, "REPLACED") == "REPLACED":
            undoings.owe(content, "REPLACED", run)

    def _ends(self, table: str, key: str, blocks: Iterable[LoadBlock]) -> Iterator[Request]:
        now = datetime.now(UTC).replace(microsecond=0)
        # Attempts on several machines say how a block ended, the last one last.
        at = DatabaseTime(self.session)()
        by_load, by_hour = self.session.prepare(_END_OF_LOAD), self.session.prepare(_END_OF_BLOCK)
        for one in blocks:
            ended = (one.state, one.chunks, one.rows)
            of_load = [*ended, table, key, one.generation, one.start]
            of_block = [*ended, now, table, hour_of(one.start), one.start]
            for prepared, values in ((by_load, of_load), (by_hour, of_block)):
                yield self.session.single(
                    prepared,
                    prepared.check(values),
                    consistency=QUORUM,
                    idempotent=True,
                    timestamp=at,
                )

    def _read(self, cql: str, parameters: list[Any]) -> list[dict[str, Any]]:
        with ledger_access():
            return self.session.execute(cql, parameters, consistency=QUORUM).rows
