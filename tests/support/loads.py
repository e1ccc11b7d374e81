"""Loads in memory: records, a table that resolves cells as Cassandra does, and attempts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prefect_cassandra.ledger.chunks import ChunkRecord, LoadBlock
from prefect_cassandra.ledger.loads import LoadIdentity, StampedLoad
from prefect_cassandra.ledger.stamps import StampClock
from support.stamps import TABLE, WHO, Row, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prefect_cassandra.ledger.blocks import Provenance
    from prefect_cassandra.ledger.undoing import Content, Undoing


@dataclass
class Records:
    """A `LoadStore` in memory.

    Args:
        row: The clock, whose filed blocks are the loads' blocks.
        between: Called before every read and write: what others do meanwhile.
    """

    row: Row = field(default_factory=Row)
    between: Callable[[], None] = lambda: None
    chunk_rows: dict[tuple[int, int, bytes, object], ChunkRecord] = field(default_factory=dict)
    ended: dict[int, LoadBlock] = field(default_factory=dict)
    writes: int = 0
    undoings: dict[int, Undoing] = field(default_factory=dict)
    owed: list[Content] = field(default_factory=list)

    def blocks(self, _table: str, key: str) -> list[LoadBlock]:
        self.between()
        found = []
        for block in self.row.filed.values():
            asked = block.request
            if asked.load_key == key:
                plain = LoadBlock(
                    asked.generation,
                    block.start,
                    asked.length,
                    asked.stride,
                    asked.first_chunk,
                    asked.chunk_rows,
                    asked.id,
                )
                found.append(self.ended.get(block.start, plain))
        return found

    def chunks(self, _table: str, start: int, number: int | None = None) -> list[ChunkRecord]:
        self.between()
        return [
            record
            for (of, *_), record in self.chunk_rows.items()
            if of == start and number in (None, record.number)
        ]

    def record(
        self, _table: str, start: int, records: Sequence[ChunkRecord], _who: Provenance
    ) -> None:
        self.between()
        self.writes += 1
        for one in records:
            self.chunk_rows[start, one.number, one.digest, one.owner] = one

    def end(self, _table: str, _key: str, blocks: Iterable[LoadBlock]) -> None:
        self.between()
        for one in blocks:
            self.ended[one.start] = one

    def undone(self, _table: str, _key: str) -> dict[int, Undoing]:
        self.between()
        return dict(self.undoings)

    def owe_sweep(self, content: Content, _run: str) -> None:
        self.between()
        self.owed.append(content)

    def states(self) -> list[str | None]:
        """Return the state of every block, in the order of their stamps."""
        starts = sorted(start for start, _ in self.row.filed)
        return [self.ended[start].state if start in self.ended else None for start in starts]


@dataclass
class Cells:
    """A table of one column: of two writes the higher stamp stays, of equal stamps the greater."""

    held: dict[int, tuple[int, str]] = field(default_factory=dict)
    writes: dict[tuple[int, int], set[str]] = field(default_factory=lambda: defaultdict(set))

    def write(self, key: int, stamp: int, value: str) -> None:
        self.writes[key, stamp].add(value)
        self.held[key] = max(self.held.get(key, (0, "")), (stamp, value))

    def values(self) -> dict[int, str]:
        return {key: value for key, (_, value) in self.held.items()}


def attempt(
    records: Records,
    chunk_rows: int = 2,
    meanwhile: Callable[[], None] = lambda: None,
    *,
    keep_finished: bool = False,
) -> StampedLoad:
    """Return an attempt of a process of its own; `meanwhile` comes before it moves the clock."""
    store = Store(records.row, between=meanwhile)
    clock = StampClock(store, TABLE, sleep=store.sleep)
    identity = LoadIdentity(TABLE, "key", WHO)
    return StampedLoad(identity, clock, records, chunk_rows, keep_finished=keep_finished)


def digest(values: Sequence[str]) -> bytes:
    return hashlib.sha256(repr(list(values)).encode()).digest()


def send(load: StampedLoad, cells: Cells, content: Sequence[str]) -> Iterator[str]:
    """Run an attempt step by step, as a loader does; row `n` of the content has key `n`."""
    load.open()
    yield "open"
    first = number = 0
    while first < len(content):
        rows = load.recorded_rows(number) or load.chunk_rows
        values = content[first : first + rows]
        stamp = load.begin(number, first, len(values), digest(values))
        yield "begun"
        if stamp is not None:
            for place, value in enumerate(values):
                cells.write(first + place, stamp, value)
                yield "sent"
            load.done(number)
        first, number = first + len(values), number + 1
    load.finish(number, first)
