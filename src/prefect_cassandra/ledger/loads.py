"""A load under way: its stamps, chunk by chunk, and what it says in the ledger.

A load takes its blocks without another lightweight transaction than the clock's own: whoever moved
the clock sees every block that was taken before, so all attempts of a load agree on the one with
the lowest stamps. Chunks are plain writes of the attempt that sends them.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from prefect_cassandra.errors import ContentChangedError, SupersededError, UndoneError
from prefect_cassandra.ledger.blocks import BlockRequest
from prefect_cassandra.ledger.chunks import (
    ChunkRecord,
    LoadBlock,
    Step,
    chain,
    decide,
    missing_at_end,
    slots_wanted,
)
from prefect_cassandra.ledger.undoing import Content, to_sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prefect_cassandra.ledger.blocks import Block, Provenance
    from prefect_cassandra.ledger.undoing import Reason, Undoing

# How long an attempt may go on after newer content was taken up; its writes lose to that anyway.
_LOOKS_EVERY = 1.0


class Clock(Protocol):
    """What hands out blocks; `stamps.StampClock`."""

    def take(self, request: BlockRequest) -> Block:
        """Take a block."""


class LoadStore(Protocol):
    """Where the blocks and chunks of loads are kept. Reads see what was written before them."""

    def blocks(self, table: str, key: str) -> list[LoadBlock]:
        """Return every block a load ever had."""

    def chunks(self, table: str, start: int, number: int | None = None) -> list[ChunkRecord]:
        """Return what is on record for a block's chunks, or for one of them."""

    def record(
        self, table: str, start: int, records: Sequence[ChunkRecord], who: Provenance
    ) -> None:
        """Write records of a block's chunks; an older one of the same attempt is replaced."""

    def end(self, table: str, key: str, blocks: Iterable[LoadBlock]) -> None:
        """Write state, chunks and rows of blocks."""

    def undone(self, table: str, key: str) -> Mapping[int, Undoing]:
        """Return what was undone of a load, by generation."""

    def owe_sweep(self, content: Content, run: str) -> None:
        """Record that what a content wrote has to be taken away, because newer content counts."""


@dataclass(frozen=True, slots=True)
class LoadIdentity:
    """Which load this is and who runs it.

    Attributes:
        table: `keyspace.table`.
        key: The same for every attempt at the same rows.
        provenance: Who runs this attempt.
        kind: What is written: `LOAD`, or the kind of a statement.
    """

    table: str
    key: str
    provenance: Provenance
    kind: str = "LOAD"


@dataclass(slots=True)
class StampedLoad:
    """One attempt of a load. Used by one thread.

    Args:
        identity: Which load.
        clock: The table's clock.
        store: Where blocks and chunks are kept.
        chunk_rows: Rows to a chunk, unless an earlier attempt has settled that.
        total_rows: Rows of the whole input, when they can be counted beforehand.
        keep_finished: Whether older content that was finished stays in the table: it may have been
            another load's.
    """

    identity: LoadIdentity
    clock: Clock
    store: LoadStore
    chunk_rows: int
    total_rows: int | None = None
    keep_finished: bool = False
    skipped_chunks: int = 0
    skipped_rows: int = 0
    owner: uuid.UUID = field(default_factory=uuid.uuid4)
    _all: list[LoadBlock] = field(default_factory=list)
    _chain: list[LoadBlock] = field(default_factory=list)
    _found: dict[int, list[ChunkRecord]] = field(default_factory=lambda: defaultdict(list))
    _mine: dict[int, ChunkRecord] = field(default_factory=dict)
    _unsaid: list[ChunkRecord] = field(default_factory=list)
    _undone: Mapping[int, Undoing] = field(default_factory=dict)
    _looked: float = 0.0

    @property
    def content(self) -> Content:
        """What this attempt writes: which content of which load."""
        generation = self._chain[0].generation
        return Content(self.identity.table, self.identity.key, generation)

    @property
    def blocks(self) -> Sequence[LoadBlock]:
        """The blocks of that content, one behind the other."""
        return self._chain

    def open(self) -> None:
        """Find the blocks and chunks of earlier attempts, or take a first block.

        Content that was undone is not taken up again: it is sent whole, at new stamps.

        Raises:
            LedgerError: What `StampClock.take` raises.
        """
        self._look()
        if self._chain and self.content.generation in self._undone:
            self._take_over(self._all, self.content.generation + 1)
            self.chunk_rows = self._chain[0].chunk_rows
            return
        if not self._chain:
            taken = self._extend(generation=1)
            if self._chain[0].id == taken:
                return  # nobody can have recorded a chunk yet
        self.chunk_rows = self._chain[0].chunk_rows
        for block in self._chain:
            self._remember(block)

    def recorded_rows(self, number: int) -> int | None:
        """Return how many rows a chunk has; None when no attempt has settled that."""
        found = [one for one in self._found.get(number, ()) if one.state != "REFUSED"]
        return found[0].rows if found else None

    def block_start(self, number: int) -> int:
        """Return the first stamp of the block that has the slot of a chunk that was begun."""
        return next(block.start for block in self._chain if number < block.next_chunk)

    def begin(self, number: int, first_row: int, rows: int, digest: bytes) -> int | None:
        """Say what the next chunk holds; returns its stamp, or None when it is done already.

        Args:
            number: Chunks are numbered from 0 and come in order.
            first_row: Where its first row is in the input.
            rows: How many rows of the input it has.
            digest: Of its content.

        Raises:
            ContentChangedError: An earlier attempt recorded other content; none of it is to be
                sent.
            SupersededError: Newer content of this load was taken up elsewhere.
            UndoneError: The load was undone.
        """
        self._look_around()
        self._check_end(number, digest)
        step, other = decide(digest, self._found.get(number, ()), self.owner)
        if step is Step.SEND:
            block = self.block_of(number)
            record = ChunkRecord(
                number, digest, self.owner, block.slot(number), first_row, rows, "BEGUN"
            )
            self._say(block, record)
            # Looked at after ours is there: of two that differ, at least one sees the other.
            found = self.store.chunks(self.identity.table, block.start, number)
            step, other = decide(digest, found, self.owner)
            if step is Step.SEND:
                self._mine[number] = record
                return record.slot
            if step is Step.REFUSE:
                self._say(block, replace(record, state="REFUSED"))
        if step is Step.REFUSE:
            raise _changed(self.identity, number, digest, other)
        self.skipped_chunks += 1
        self.skipped_rows += rows
        return None

    def done(self, number: int) -> None:
        """Note that every row of a chunk is acknowledged; it is said with the next record."""
        self._unsaid.append(replace(self._mine.pop(number), state="DONE"))

    def finish(self, chunks: int, rows: int) -> None:
        """Record that the input is at its end and every chunk done.

        Raises:
            ContentChangedError: Earlier attempts had more chunks than the input has now.
            SupersededError: Newer content of this load was taken up elsewhere.
            UndoneError: The load was undone.
        """
        self.close()
        self._look_around(force=True)
        recorded = [one for records in self._found.values() for one in records]
        beyond = missing_at_end(chunks, recorded)
        if beyond is not None:
            raise _ended_early(self.identity, chunks, beyond)
        first = self._chain[0]
        if first.state == "DONE":
            return
        ended = [replace(one, state="DONE", chunks=chunks, rows=rows) for one in self._chain]
        self.store.end(self.identity.table, self.identity.key, [*ended, *self._unused()])
        # Every write is acknowledged by now. An undoing that is not on record yet will find them.
        self._undone = self.store.undone(self.identity.table, self.identity.key)
        self._not_undone()

    @property
    def ended_by(self) -> Reason:
        """Why this attempt's content has no place in the table any more, when it has none."""
        found = self._undone.get(self.content.generation)
        return found.reason if found is not None else "REPLACED"

    def to_sweep(self) -> list[Content]:
        """Return the older contents of this load that may still have cells in the table."""
        table, key = self.identity.table, self.identity.key
        known = {one.generation for one in self._all} - self._kept()
        older = to_sweep(self.content.generation, known, self._undone)
        return [Content(table, key, generation) for generation in older]

    @property
    def stays(self) -> bool:
        """Whether this attempt's content has its place in the table though newer content came."""
        generation = self.content.generation
        return generation in self._kept() and generation not in self._undone

    def close(self) -> None:
        """Say what is done so far; an attempt that failed calls it too."""
        said, self._unsaid = self._unsaid, []
        for block in self._chain:
            records = [one for one in said if block.first_chunk <= one.number < block.next_chunk]
            if records:
                self.store.record(
                    self.identity.table, block.start, records, self.identity.provenance
                )

    def replaced(self) -> StampedLoad:
        """Take a new block for other content, and return the attempt that sends it all.

        Raises what `StampClock.take` does.
        """
        self.close()
        fresh = StampedLoad(
            self.identity,
            self.clock,
            self.store,
            self.chunk_rows,
            self.total_rows,
            self.keep_finished,
        )
        fresh._take_over(self._all, self._chain[0].generation + 1)
        return fresh

    def _take_over(self, blocks: Iterable[LoadBlock], generation: int) -> None:
        self._see(blocks)
        self._undone = self.store.undone(self.identity.table, self.identity.key)
        self._extend(generation)
        for block in self._chain:
            self._remember(block)
        older = {content.generation for content in self.to_sweep()}
        for content in self.to_sweep():
            self.store.owe_sweep(content, self.identity.provenance.run)
        replaced = [
            replace(one, state="REPLACED")
            for one in self._all
            if one.generation in older and one.state not in ("REPLACED", "UNDONE")
        ]
        self.store.end(self.identity.table, self.identity.key, replaced)

    def _kept(self) -> set[int]:
        """Return the contents that newer ones leave in the table."""
        if not self.keep_finished:
            return set()
        return {one.generation for one in self._all if one.state == "DONE"}

    def _look(self) -> None:
        self._see(self.store.blocks(self.identity.table, self.identity.key))
        self._undone = self.store.undone(self.identity.table, self.identity.key)

    def _see(self, blocks: Iterable[LoadBlock]) -> None:
        self._all = sorted(blocks, key=lambda block: block.start)
        self._chain = chain(self._all)
        self._looked = time.monotonic()

    def _extend(self, generation: int) -> uuid.UUID:
        """Take a block behind those of a generation; returns its id. Another one may count."""
        mine = [one for one in self._chain if one.generation == generation]
        first_chunk = mine[-1].next_chunk if mine else 0
        total = None if self.total_rows is None else -(-self.total_rows // self.chunk_rows)
        request = BlockRequest(
            load_key=self.identity.key,
            chunks=slots_wanted(total, first_chunk, len(mine)),
            chunk_rows=self.chunk_rows,
            kind=self.identity.kind,
            provenance=self.identity.provenance,
            generation=generation,
            first_chunk=first_chunk,
        )
        self.clock.take(request)
        self._see(self.store.blocks(self.identity.table, self.identity.key))
        return request.id

    def block_of(self, number: int) -> LoadBlock:
        """Return the block with the slot of a chunk, taking another one at the end of the last."""
        while number >= self._chain[-1].next_chunk:
            self.close()
            before = self._chain
            self._extend(before[0].generation)
            self._same_content(before)
            for block in self._chain[len(before) :]:
                self._remember(block)
        return next(block for block in self._chain if number < block.next_chunk)

    def _remember(self, block: LoadBlock) -> None:
        for record in self.store.chunks(self.identity.table, block.start):
            self._found[record.number].append(record)

    def _say(self, block: LoadBlock, record: ChunkRecord) -> None:
        """Write one record, together with what is done in the same block."""
        here = [one for one in self._unsaid if block.first_chunk <= one.number < block.next_chunk]
        self._unsaid = [one for one in self._unsaid if one not in here]
        self.store.record(
            self.identity.table, block.start, [*here, record], self.identity.provenance
        )

    def _look_around(self, *, force: bool = False) -> None:
        if force or time.monotonic() - self._looked > _LOOKS_EVERY:
            before = self._chain
            self._look()
            self._same_content(before)

    def _same_content(self, before: Sequence[LoadBlock]) -> None:
        if self._chain[0].generation != before[0].generation:
            self._chain = list(before)  # what this attempt wrote is in these
            raise SupersededError(
                f"the load {self.identity.key!r} into {self.identity.table} was taken up with "
                "newer content elsewhere, so this attempt stopped"
            )
        self._not_undone()

    def _not_undone(self) -> None:
        found = self._undone.get(self.content.generation)
        if found is not None:
            raise UndoneError(
                f"the load {self.identity.key!r} into {self.identity.table} was undone while this "
                "attempt was under way, so it stopped"
            )

    def _check_end(self, number: int, digest: bytes) -> None:
        chunks = self._chain[0].chunks
        if chunks is not None and number >= chunks:
            raise ContentChangedError(
                f"the load {self.identity.key!r} into {self.identity.table} was finished with "
                f"{chunks:,} chunks; now there is a chunk {number} (sha256 {digest.hex()[:16]}...)"
            )

    def _unused(self) -> list[LoadBlock]:
        """Return the blocks of this content that other attempts, or lost answers, left over."""
        now = [one for one in self._all if one.generation == self._chain[0].generation]
        left = [one for one in now if one not in self._chain and one.state is None]
        return [replace(one, state="UNUSED") for one in left]


def _changed(
    identity: LoadIdentity, number: int, digest: bytes, other: bytes | None
) -> ContentChangedError:
    recorded = other.hex()[:16] if other else "?"
    return ContentChangedError(
        f"the load {identity.key!r} into {identity.table} has other content than before: chunk "
        f"{number} has sha256 {digest.hex()[:16]}..., recorded was {recorded}..."
    )


def _ended_early(identity: LoadIdentity, chunks: int, beyond: ChunkRecord) -> ContentChangedError:
    return ContentChangedError(
        f"the load {identity.key!r} into {identity.table} has {chunks:,} chunks now, and had more: "
        f"chunk {beyond.number} with the rows from {beyond.first_row:,} on (sha256 "
        f"{beyond.digest.hex()[:16]}...) was recorded by an earlier attempt"
    )
