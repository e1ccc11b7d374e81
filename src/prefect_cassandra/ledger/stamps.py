"""The clock of a table: hands out blocks of stamps, strictly one after the other.

The clock is one row, moved by compare-and-set. Its row carries the records of the blocks that the
last move handed out, and whoever moves it on first sees to it that those records are filed. So at
any time every block below the clock is either filed or in the clock's row: no stamp can be used
that is not recorded, whoever dies when, and the clock's partition stays one row.

A block starts at `max(clock, now)` and ends at most half a second after now: takers wait rather
than run into the future, where their stamps would beat writes of later wall clocks. Takers of one
process share a move.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from prefect_cassandra.errors import LedgerError, OutcomeUnknownError, StampClockError
from prefect_cassandra.ledger.blocks import LEAD, SECOND, Block, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect_cassandra.ledger.blocks import BlockRequest, Provenance

# Nodes and machines whose time is kept agree much better than this; a clock that is further ahead
# was moved by one whose time is wrong, and it would be a long wait.
_FAR = LEAD + 5 * SECOND
_PATIENCE = 30.0
_LONGEST_PAUSE = 0.3
_SHARED = 64


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock's row.

    Attributes:
        next: The first stamp that nobody has.
        newest: The blocks of its last move.
    """

    next: int
    newest: tuple[Block, ...]


class ClockStore(Protocol):
    """Where clocks and the records of blocks are kept."""

    def now(self) -> int:
        """Return the time, microseconds since 1970."""

    def read(self, table: str) -> Clock | None:
        """Return the clock's row, final: no write that is under way can change it unseen."""

    def move(self, table: str, before: Clock | None, after: Clock) -> tuple[bool, Clock | None]:
        """Replace the clock's row if it is `before`; says whether it did, and what is there if not.

        Raises:
            OutcomeUnknownError: Nobody knows whether it did.
        """

    def file(self, blocks: Sequence[Block]) -> None:
        """Write the records of blocks, the last one's last; again, by anyone, changes nothing."""

    def filed(self, block: Block) -> bool:
        """Whether a block's record is there, and so the records of those filed with it."""


def place(
    table: str, clock: Clock | None, now: int, wanted: Sequence[BlockRequest]
) -> tuple[list[Block], int]:
    """Lay as many blocks behind the clock as end at most `LEAD` after now.

    Args:
        table: Whose clock.
        clock: Its row; None when it was never moved.
        now: Microseconds since 1970.
        wanted: What is asked for, in order.

    Returns:
        The blocks for the first of `wanted`, and the microseconds to wait when there are none.

    Raises:
        StampClockError: The clock is so far ahead that somebody's time must be wrong.
    """
    if clock is not None and clock.next > now + _FAR:
        raise _far_ahead(table, clock, now)
    start = max(clock.next, now) if clock is not None else now
    previous = clock.newest[-1].start if clock is not None and clock.newest else None
    placed: list[Block] = []
    for request in wanted:
        if start + request.length > now + LEAD:
            break
        placed.append(Block(table, start, previous, request))
        previous, start = start, start + request.length
    wait = 0 if placed else start + wanted[0].length - now - LEAD
    return placed, wait


@dataclass(slots=True, eq=False)
class _Ask:
    request: BlockRequest
    block: Block | None = None
    error: Exception | None = None

    @property
    def answered(self) -> bool:
        return self.block is not None or self.error is not None

    def answer(self) -> Block:
        if self.error is not None:
            raise self.error
        assert self.block is not None  # noqa: S101 -- asked for only when answered
        return self.block


@dataclass(slots=True, eq=False)
class StampClock:
    """One table's clock, as one process sees it. Thread-safe.

    Args:
        store: Where it is kept.
        table: `keyspace.table`.
        sleep: Waits for so many seconds.
        patience: Seconds after which a taker that never came to move the clock gives up.
    """

    store: ClockStore
    table: str
    sleep: Callable[[float], None] = time.sleep
    patience: float = _PATIENCE
    _asks: list[_Ask] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _known: Clock | None = None

    def take(self, request: BlockRequest) -> Block:
        """Take a block. When this returns, its record is filed and its stamps may be used.

        Raises:
            StampClockError: The clock is far ahead of now; no stamp was used.
            LedgerError: Others moved the clock all the time; no stamp was used.
            UnreachableError: The database did not answer; no stamp was used.
            NotAppliedError: Too few replicas are up; no stamp was used.
        """
        ask = _Ask(request)
        with self._guard:
            self._asks.append(ask)
        # Whoever comes to the turn first moves the clock for all who have asked by then.
        while not ask.answered:
            with self._turn:
                if not ask.answered:
                    self._serve()
        return ask.answer()

    def _serve(self) -> None:
        """Move the clock once, for those who have asked by the time it moves."""
        asks = self._waiting()

        def wanted() -> list[BlockRequest]:
            nonlocal asks
            asks = self._waiting()
            return [ask.request for ask in asks]

        try:
            blocks = self._move(wanted)
        except Exception as error:  # noqa: BLE001 -- raised again by every `take` that shared it
            for ask in asks:
                ask.error = error
            done = len(asks)
        else:
            for ask, block in zip(asks, blocks, strict=False):
                ask.block = block
            done = len(blocks)
        with self._guard:
            del self._asks[:done]

    def _waiting(self) -> list[_Ask]:
        with self._guard:
            return self._asks[:_SHARED]

    def _move(self, ask: Callable[[], Sequence[BlockRequest]]) -> Sequence[Block]:
        """Move the clock over blocks for the first of those who ask, at least one, and file them.

        Args:
            ask: Tells what is wanted now; it only ever grows at its end.
        """
        # Known is a clock whose blocks are all filed; where it stands now, the move will tell.
        clock = self._known or self.store.read(self.table)
        deadline = time.monotonic() + self.patience
        pause = 0.0
        while True:
            # Whoever came while others were ahead, or while it was waited, goes along.
            wanted = ask()
            blocks, wait = place(self.table, clock, self.store.now(), wanted)
            if not blocks:
                self.sleep(wait / SECOND)
                continue
            self._see_filed(clock)
            after = Clock(blocks[-1].end, tuple(blocks))
            sent = time.monotonic()
            moved, found = self._moved(clock, after)
            if moved:
                self._file(after)
                return blocks
            clock = found
            ours = _answered_late(clock, wanted)
            if ours and clock is not None:
                self._file(clock)
                return ours
            if time.monotonic() > deadline:
                raise LedgerError(
                    f"the stamp clock of {self.table} was moved by others for {self.patience:g} s "
                    "without a chance for this process",
                    hint="Nothing was written. Load fewer things at once into this table.",
                )
            # Those who lost to the same winner spread over more and more moves, as long as these
            # take now; full jitter, since they would otherwise also return together.
            pause = min(max(2 * pause, time.monotonic() - sent), _LONGEST_PAUSE)
            self.sleep(random.uniform(0, pause))  # noqa: S311 -- spreads load, guards nothing

    def _see_filed(self, clock: Clock | None) -> None:
        """File the blocks in a clock's row, unless whoever took them has done so."""
        if clock is None or clock == self._known:
            return
        # Most are filed by now, and looking costs less than to write them all again.
        if self.store.filed(clock.newest[-1]):
            self._known = clock
        else:
            self._file(clock)

    def _file(self, clock: Clock) -> None:
        self.store.file(clock.newest)
        self._known = clock

    def _moved(self, before: Clock | None, after: Clock) -> tuple[bool, Clock | None]:
        """Move the clock; when the answer is lost, look."""
        try:
            return self.store.move(self.table, before, after)
        except OutcomeUnknownError:
            found = self.store.read(self.table)
            return found == after, found


def _answered_late(clock: Clock | None, wanted: Sequence[BlockRequest]) -> list[Block]:
    """Return our own blocks, when a move that was thought to be lost was carried out after all."""
    found = {block.request.id: block for block in (clock.newest if clock is not None else ())}
    return [found[request.id] for request in wanted if request.id in found]


def _far_ahead(table: str, clock: Clock, now: int) -> StampClockError:
    ahead = (clock.next - now) / SECOND
    taker = clock.newest[-1].request.provenance if clock.newest else None
    named = [f"{word} {value}" for word, value in _who(taker)] if taker else []
    by = f"; the last block was taken by {', '.join(named)}" if named else ""
    return StampClockError(
        f"the stamp clock of {table} is {ahead:,.1f} s ahead of the database's time{by}",
        hint="The time of a node is or was wrong: compare them and mend it. Stamps up to "
        f"{moment(clock.next):%Y-%m-%d %H:%M:%S} UTC are taken and would beat what is written "
        "before; loads into this table work again from then on. Nothing was written now.",
    )


def _who(taker: Provenance) -> list[tuple[str, str]]:
    words = (("run", taker.run), ("task", taker.task), ("person", taker.person))
    return [(word, value) for word, value in words if value]
