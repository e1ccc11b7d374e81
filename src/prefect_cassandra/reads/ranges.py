"""Cutting the token ring into ranges that together hold every row exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Murmur3Partitioner: tokens run from -2^63 to 2^63 - 1. The lowest is never the token of a row, so
# "greater than the lowest" loses nothing.
LOWEST = -(2**63)
HIGHEST = 2**63 - 1


@dataclass(frozen=True, slots=True, order=True)
class TokenRange:
    """The rows with `start < token <= end`; never wraps around the end of the ring."""

    start: int
    end: int

    def halves(self) -> tuple[TokenRange, TokenRange] | None:
        """Cut the range in two; None when it holds a single token."""
        if self.end - self.start < 2:  # noqa: PLR2004 -- two tokens make two halves
            return None
        middle = self.start + (self.end - self.start) // 2
        return TokenRange(self.start, middle), TokenRange(middle, self.end)


def token_ranges(ring: Iterable[int] = (), pieces: int = 1) -> list[TokenRange]:
    """Cut the ring at every node's token and then into at least `pieces` ranges.

    Args:
        ring: The nodes' tokens, in any order. The range that wraps from the highest token to the
            lowest comes out as two, cut at the end of the ring.
        pieces: Ranges wanted; large ones are cut further, none is joined.
    """
    cuts = sorted({token for token in ring if LOWEST < token < HIGHEST})
    bounds = [LOWEST, *cuts, HIGHEST]
    width = (HIGHEST - LOWEST) // pieces + 1
    ranges: list[TokenRange] = []
    for start, end in pairwise(bounds):
        parts = -(-(end - start) // width)
        # Multiply before dividing: rounding each step would drift and leave rows out at the end.
        inner = [start + (end - start) * part // parts for part in range(parts + 1)]
        ranges += [TokenRange(low, high) for low, high in pairwise(inner)]
    return ranges
