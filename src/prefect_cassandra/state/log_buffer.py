"""Lines on their way to the store: written together, kept while it is away, dropped beyond a bound.

No run may fail or wait because its log cannot be written. So whoever brings lines waits until they
are written only while the store takes them; while it does not, lines wait here up to a bound, and
what comes beyond is dropped, counted and warned of. So are lines that the store goes on refusing
while it takes others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from prefect_cassandra.errors import PrefectCassandraError, StatementError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from prefect_cassandra.state.log_query import LogLine

logger = logging.getLogger(__name__)

_AT_ONCE = 10_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
# A refusal may be of a node that does not know a change of the schema yet.
_REFUSALS = 3


@dataclass(slots=True)
class Counts:
    """What became of the lines of this process.

    Attributes:
        taken: Lines that were accepted.
        written: Lines the store has.
        dropped: Lines that are lost: the buffer was full, the store refused them, or the server
            ended too soon.
    """

    taken: int = 0
    written: int = 0
    dropped: int = 0


class LogBuffer:
    """Takes lines and writes them in the background, in the order they came.

    For one event loop. `start` begins to write and `close` ends it.

    Args:
        write: Writes lines; may be told the same lines again after an error. A StatementError
            says that these lines were refused, and others might not be.
        bound: Bytes of lines that may wait.
        patience: Seconds that who brings lines waits for them at most.
        sleep: Waits between tries.
    """

    def __init__(
        self,
        write: Callable[[Sequence[LogLine]], Awaitable[None]],
        bound: int,
        *,
        patience: float = 2.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._write = write
        self._bound = bound
        self._patience = patience
        self._sleep = sleep
        self._waiting: deque[LogLine] = deque()
        self._held = 0
        self._failures = 0
        self._refusals = 0
        self._turns: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._task: asyncio.Task[None] | None = None
        self._next_warning = 1
        self.counts = Counts()

    @property
    def held(self) -> int:
        """Bytes of lines that wait to be written."""
        return self._held

    @property
    def failing(self) -> bool:
        """Whether the store did not take the last lines it was given."""
        return self._failures > 0

    def start(self) -> None:
        """Begin to write; call it in the event loop that brings the lines."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="log-buffer")

    async def put(self, lines: Sequence[LogLine]) -> None:
        """Take lines, and wait until they are written while the store takes lines."""
        taken = self._take(lines)
        if not taken or self.failing:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append((self.counts.taken, turn))
        with suppress(TimeoutError):
            await asyncio.wait_for(turn, self._patience)

    async def close(self, grace: float) -> None:
        """Write what waits for `grace` seconds at most, and end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._waiting:
            self._drop(len(self._waiting))
            self._waiting.clear()
            self._held = 0
        if self.counts.dropped:
            logger.warning("%d lines of run logs were dropped in all", self.counts.dropped)

    def _take(self, lines: Sequence[LogLine]) -> int:
        """Take as many as there is room for; drop the rest and return how many were taken."""
        taken = 0
        for line in lines:
            if self._held + line.size > self._bound and self._waiting:
                break
            self._waiting.append(line)
            self._held += line.size
            taken += 1
        self.counts.taken += taken
        if taken < len(lines):
            self._drop(len(lines) - taken)
        if taken:
            self._empty.clear()
            self._wake.set()
        return taken

    def _drop(self, lines: int) -> None:
        self.counts.dropped += lines
        if self.counts.dropped >= self._next_warning:
            # Once at the beginning, then whenever the number has doubled.
            self._next_warning = 2 * self.counts.dropped
            logger.warning(
                "%d lines of run logs are dropped: the store does not take them; %d bytes wait",
                self.counts.dropped,
                self._held,
            )

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._flush()
            self._empty.set()

    async def _flush(self) -> None:
        """Write the lines that wait, or as many as go at once; keep them when that fails."""
        lines = list(islice(self._waiting, _AT_ONCE))
        refused: list[LogLine] = []
        try:
            if self._refusals < _REFUSALS:
                await self._write(lines)
            else:
                refused = await self._sift(lines)
        except PrefectCassandraError as error:
            await self._after_failure(error)
            return
        except Exception:
            # A defect of ours: to try these lines for ever would keep all later ones out.
            logger.exception("%d lines of run logs cannot be written", len(lines))
            refused = lines
        else:
            if self.failing:
                logger.warning("The store of run logs takes lines again")
            self._failures = self._refusals = 0
        self.counts.written += len(lines) - len(refused)
        self._leave(lines)
        if refused:
            self._drop(len(refused))
        self._let_go(self.counts.taken - len(self._waiting))

    async def _sift(self, lines: Sequence[LogLine]) -> list[LogLine]:
        """Write those of some lines that the store takes, and return the others.

        Halves what is refused until a line stands alone. Raises what `write` does but refusals.
        """
        refused: list[LogLine] = []
        groups = [lines]
        while groups:
            group = groups.pop()
            try:
                await self._write(group)
            except StatementError:
                half = len(group) // 2
                if half:
                    groups += [group[half:], group[:half]]
                else:
                    refused += group
        return refused

    def _leave(self, lines: Sequence[LogLine]) -> None:
        for line in lines:
            self._waiting.popleft()
            self._held -= line.size

    async def _after_failure(self, error: PrefectCassandraError) -> None:
        if not self.failing:
            logger.warning(
                "The store of run logs does not take lines; up to %d bytes of them wait: %s",
                self._bound,
                error.message,
            )
        self._failures += 1
        self._refusals = self._refusals + 1 if isinstance(error, StatementError) else 0
        self._let_go(self.counts.taken)
        await self._sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures - 1, 10)))

    def _let_go(self, up_to: int) -> None:
        """Let those go on who wait for lines that were taken before this number."""
        while self._turns and self._turns[0][0] <= up_to:
            _, turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
