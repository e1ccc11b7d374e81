"""From a write time to its writer: the block that has it, the chunk that used it, its filter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from prefect_cassandra.ledger.blocks import RESTORED
from prefect_cassandra.ledger.lookup import chunks_of, record_at, undoing_of
from prefect_cassandra.trail.report import Writer
from prefect_cassandra.trail.verdict import Proof, judge, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.blocks import Block
    from prefect_cassandra.ledger.lookup import BlockRecord, ChunkAttempt, UndoingRecord
    from prefect_cassandra.trail.verdict import Keys, Place, Verdict

_KEPT = 256


@dataclass(slots=True)
class Writers:
    """Finds the writers of one table's cells, and remembers what it has read for them.

    Args:
        session: Logged in as a role that may read the ledger.
        table: `keyspace.table`.
    """

    session: Session
    table: str
    _blocks: list[BlockRecord] = field(default_factory=list)
    _chunk: Callable[[int, int], Sequence[ChunkAttempt]] = field(init=False)
    _filters: Callable[[int, int], Sequence[Keys]] = field(init=False)

    def __post_init__(self) -> None:
        from prefect_cassandra.ledger.keys import filters_of  # noqa: PLC0415 -- brings numpy in

        # A filter has up to 120 kB; rows that are asked for together are mostly of a few chunks.
        self._chunk = lru_cache(_KEPT)(partial(chunks_of, self.session, self.table))
        self._filters = lru_cache(_KEPT)(partial(filters_of, self.session, self.table))

    def of(self, stamp: int, key: int) -> Writer:
        """Return who wrote a cell.

        Args:
            stamp: Its write time, microseconds since 1970.
            key: `ledger.keys.hash_key` of the row's key; of a static column of the partition key.

        Raises what `Session.execute` does, and NoStampsError when there is no ledger.
        """
        record = self._record(stamp)
        if record is None:
            return _writer(judge(None, (), (), key), None)
        block = record.block
        place = place_of(block, stamp)
        attempts = self._attempts(block, place)
        filters = self._filters(block.start, place.number) if attempts else ()
        undoing = undoing_of(self.session, block) if place.offset == RESTORED else None
        verdict = judge(place, attempts, filters, key, undone=undoing is not None)
        return _writer(verdict, block, undoing)

    def of_deletion(self, stamp: int) -> Writer:
        """Return who deleted something that the ledger has on record.

        Args:
            stamp: Of the deletion.

        Raises what `Session.execute` does, and NoStampsError when there is no ledger.
        """
        record = self._record(stamp)
        place = None if record is None else place_of(record.block, stamp)
        attempts = () if record is None or place is None else self._attempts(record.block, place)
        # No filter has what was deleted. That it was recorded at this stamp says more.
        verdict = judge(place, attempts, (), 0)
        if verdict.proof is Proof.BY_STAMP:
            verdict = replace(verdict, proof=Proof.PROVEN, why="the ledger has it on record")
        return _writer(verdict, None if record is None else record.block)

    def _attempts(self, block: Block, place: Place) -> Sequence[ChunkAttempt]:
        return self._chunk(block.start, place.number)

    def _record(self, stamp: int) -> BlockRecord | None:
        for known in self._blocks:
            if known.block.start <= stamp < known.block.end:
                return known
        found = record_at(self.session, self.table, stamp)
        if found is not None:
            self._blocks.append(found)
        return found


def _writer(verdict: Verdict, block: Block | None, undoing: UndoingRecord | None = None) -> Writer:
    chunk = verdict.writer
    if verdict.proof is Proof.NOT_OURS or chunk is None or block is None:
        return Writer(proof=verdict.proof, why=verdict.why)
    asked, who = block.request, block.request.provenance
    # Who took a load up that another run had begun left its run and attempt with the chunk only.
    same = chunk.run == who.run
    why = verdict.why if same else f"{verdict.why}; the load was begun by run {who.run}"
    return Writer(
        proof=verdict.proof,
        why=why if undoing is None else f"{why}; {_restored(undoing)}",
        kind=asked.kind,
        load_key=asked.load_key,
        run=chunk.run,
        task=who.task if same else "",
        attempt=chunk.attempt,
        person=who.person if same else "",
        deployment=who.deployment if same else "",
        version=who.version if same else "",
        image=who.image if same else "",
        commit=who.commit if same else "",
        source=who.source if same else "",
        chunk=chunk.record.number,
        first_row=chunk.record.first_row,
        rows=chunk.record.rows,
        block=block.start,
    )


def _restored(undoing: UndoingRecord) -> str:
    """Say that what is there was there before the load, and who brought it back."""
    by = f" by {undoing.person}" if undoing.person else ""
    run = f" in run {undoing.run}" if undoing.run else ""
    return (
        f"an older value, brought back when the load was undone{by}{run} at "
        f"{undoing.begun_at:%Y-%m-%d %H:%M:%S} UTC"
    )
