"""A clock of stamps in memory that fails in every way a database can, and requests for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import NotAppliedError, OutcomeUnknownError, UnreachableError
from prefect_cassandra.ledger.blocks import Block, BlockRequest, Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect_cassandra.ledger.stamps import Clock

TABLE = "flights.by_origin_day"
NOON = 1_800_000_000_000_000


def asking(key: str = "a load", chunks: int = 3, **more: Any) -> BlockRequest:
    return BlockRequest(load_key=key, chunks=chunks, chunk_rows=5000, **more)


@dataclass
class Row:
    """The clock's row and the filed records, shared by every taker."""

    clock: Clock | None = None
    filed: dict[tuple[int, object], Block] = field(default_factory=dict)
    moves: list[Clock] = field(default_factory=list)
    late: list[tuple[Clock | None, Clock]] = field(default_factory=list)
    time: int = NOON

    def move(self, before: Clock | None, after: Clock) -> bool:
        """Compare and set, and check what must hold whenever a row is replaced."""
        next_ = before.next if before else None
        if (self.clock.next if self.clock else None) != next_:
            return False
        if self.clock is not None:
            assert after.next > self.clock.next
            for block in self.clock.newest:
                assert (block.start, block.request.id) in self.filed, "unfiled and gone"
        self.clock = after
        self.moves.append(after)
        return True

    def arrive_late(self) -> None:
        """Let the moves arrive that everybody had given up on."""
        while self.late:
            self.move(*self.late.pop(0))


@dataclass
class Store:
    """What one taker sees of the row.

    Args:
        row: The shared row.
        skew: Microseconds this taker's time is off.
        fate: Says what becomes of the next step, one of the words below.
        between: Called before each move: what others do meanwhile.
    """

    row: Row
    skew: int = 0
    fate: Callable[[], str] = lambda: "fine"
    between: Callable[[], None] = lambda: None

    def now(self) -> int:
        return self.row.time + self.skew

    def sleep(self, seconds: float) -> None:
        self.row.time += round(seconds * 1_000_000)

    def read(self, _table: str) -> Clock | None:
        fate = self.fate()
        if fate == "late":
            self.row.arrive_late()
        if fate == "dead":
            raise UnreachableError("no answer to the read")
        return self.row.clock

    def move(self, _table: str, before: Clock | None, after: Clock) -> tuple[bool, Clock | None]:
        self.between()
        fate = self.fate()
        if fate == "dead":
            raise NotAppliedError("too few replicas")
        if fate == "late":
            self.row.late.append((before, after))
            raise OutcomeUnknownError("no answer, and it comes later")
        if fate == "dropped":
            raise OutcomeUnknownError("no answer, and it never came")
        moved = self.row.move(before, after)
        if fate == "lost":
            raise OutcomeUnknownError("it came, the answer did not")
        return (True, after) if moved else (False, self.row.clock)

    def file(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            if self.fate() == "dead":
                raise UnreachableError("no answer to the record")
            self.row.filed[block.start, block.request.id] = block

    def filed(self, block: Block) -> bool:
        if self.fate() == "dead":
            raise UnreachableError("no answer to the question")
        return (block.start, block.request.id) in self.row.filed


WHO = Provenance(
    run="6f0c", task="load flights", attempt=2, person="someone", source="s3://bucket/é.parquet"
)
