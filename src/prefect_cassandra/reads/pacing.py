"""How many rows a page should have, and what to do when a page was too much: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# A page of this size keeps the cost of a round trip small and the memory of a scan bounded, for a
# page is held two or three times while it is read and decoded.
_PAGE_BYTES = 1 << 20
_MOST_ROWS = 10_000
# Nobody knows how wide rows are until some of them came. The first page must stay small even of
# rows of megabytes, and a few lucky narrow ones must not decide how many wide ones are asked for.
_FIRST_ROWS, GROWTH = 8, 4
# A page that fails is halved so many times; after that it is the range that is too large: rows
# that are deleted cost a read as much as rows that are there, and no page is small enough for them.
_HALVINGS = 3
_CUTS = 12
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class PageSize:
    """Learns from the pages of a scan how many rows make a page; shared by its threads.

    Races between threads lose an update and nothing else.
    """

    def __init__(self) -> None:
        self._bytes = self._rows = self._largest = 0

    @property
    def rows(self) -> int:
        """Rows to ask for: a few at first, then ever more until a page has its size."""
        if not self._rows:
            return _FIRST_ROWS
        fit = _PAGE_BYTES * self._rows // max(1, self._bytes)
        return max(1, min(_MOST_ROWS, fit, GROWTH * max(_FIRST_ROWS, self._largest)))

    def learn(self, rows: int, size: int) -> None:
        """Take note of a page: its rows and its bytes.

        Later pages weigh more, because rows of one table change from range to range.
        """
        if rows:
            self._bytes, self._rows = self._bytes // 2 + size, self._rows // 2 + rows
            self._largest = max(self._largest, rows)


class Step(Enum):
    """What to do after a page that was too much."""

    SMALLER = "ask for half as many rows"
    SPLIT = "cut the range in two"
    GIVE_UP = "name what cannot be read"


@dataclass(slots=True)
class Patience:
    """What was tried for one range since its last page.

    Args:
        failures: Failures of pages in a row.
        cuts: Times what is read was cut in two.
    """

    failures: int = 0
    cuts: int = 0

    def step(self) -> Step:
        """Say what follows one more failure."""
        self.failures += 1
        if self.failures <= _HALVINGS:
            return Step.SMALLER
        if self.cuts < _CUTS:
            self.cuts += 1
            # The halves start with small pages already: one more halving, then the next cut.
            self.failures = _HALVINGS - 1
            return Step.SPLIT
        return Step.GIVE_UP

    @property
    def pause(self) -> float:
        """Seconds to wait before the next try, so that a busy node is not asked at once again."""
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self.failures + self.cuts))

    def answered(self) -> None:
        """Take note of a page that came."""
        self.failures = 0
