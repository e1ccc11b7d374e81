"""Cutting the token ring into ranges that together hold every row exactly once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Murmur3Partitioner: tokens run from -2^63 to 2^63 - 1. The lowest is never the token of a row, so
# "greater than the lowest" loses nothing.
LOWEST = -(2**63)
HIGHEST = 2**63 - 1
RING = HIGHEST - LOWEST


@dataclass(frozen=True, slots=True, order=True)
class TokenRange:
    """The rows with `start < token <= end`; never wraps around the end of the ring."""

    start: int
    end: int

    @property
    def width(self) -> int:
        """How many tokens it holds."""
        return self.end - self.start

    def halves(self) -> tuple[TokenRange, TokenRange] | None:
        """Cut the range in two; None when it holds a single token."""
        parts = self.cut(2)
        return (parts[0], parts[1]) if len(parts) > 1 else None

    def cut(self, pieces: int) -> list[TokenRange]:
        """Cut the range into `pieces` of almost one width; fewer when it has fewer tokens."""
        pieces = min(pieces, self.width)
        # Multiply before dividing: rounding each step would drift and leave rows out at the end.
        bounds = [self.start + self.width * part // pieces for part in range(pieces + 1)]
        return [TokenRange(low, high) for low, high in pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class Split:
    """What one worker reads at a time.

    Args:
        ranges: Ranges in token order, all held by the same nodes.
        replicas: Addresses of these nodes; empty when they are not known.
    """

    ranges: tuple[TokenRange, ...]
    replicas: tuple[str, ...] = ()


def token_ranges(ring: Iterable[int] = (), pieces: int = 1) -> list[TokenRange]:
    """Cut the ring at every node's token and then into at least `pieces` ranges.

    Args:
        ring: The nodes' tokens, in any order. The range that wraps from the highest token to the
            lowest comes out as two, cut at the end of the ring.
        pieces: Ranges wanted; large ones are cut further, none is joined.
    """
    return [
        part
        for whole in _between(sorted({token for token in ring if LOWEST < token < HIGHEST}))
        for part in whole.cut(_parts(whole, pieces))
    ]


def splits(owners: Mapping[int, tuple[str, ...]], wanted: int) -> list[Split]:
    """Cut the ring into about `wanted` splits of about one width, each held by the same nodes.

    With virtual nodes a ring has many more ranges than a small table needs queries: ranges beside
    each other that the same nodes hold are joined first, and small ones then share a split. Their
    order takes from each set of nodes in turn, so that a few read at a time keep all nodes busy.

    Args:
        owners: Each token of the ring with the nodes that hold the range it ends, as
            `token_owners` returns them; empty when no ring is known.
        wanted: Splits wanted; there are more when one per set of nodes is more.
    """
    by_nodes: defaultdict[tuple[str, ...], list[TokenRange]] = defaultdict(list)
    for whole, nodes in _joined(owners):
        by_nodes[nodes] += whole.cut(_parts(whole, wanted))
    groups = [
        [Split(tuple(some), nodes) for some in _bundles(ranges, RING // wanted)]
        for nodes, ranges in sorted(by_nodes.items())
    ]
    return [split for row in zip_longest(*groups) for split in row if split is not None]


def _parts(whole: TokenRange, wanted: int) -> int:
    """Return into how many parts to cut a range, so that none is wider than its share."""
    return -(-whole.width * wanted // (RING + wanted))


def _between(cuts: list[int]) -> list[TokenRange]:
    return [TokenRange(start, end) for start, end in pairwise([LOWEST, *cuts, HIGHEST])]


def _joined(owners: Mapping[int, tuple[str, ...]]) -> list[tuple[TokenRange, tuple[str, ...]]]:
    """Return the ring's ranges with their nodes; neighbours with the same nodes as one."""
    tokens = sorted(owners)
    # What lies behind the highest token belongs to the nodes of the lowest: the ring is closed.
    behind = owners[tokens[0]] if tokens else ()
    joined: list[tuple[TokenRange, tuple[str, ...]]] = []
    for whole in _between([token for token in tokens if LOWEST < token < HIGHEST]):
        nodes = owners.get(whole.end, behind)
        if joined and joined[-1][1] == nodes:
            whole = TokenRange(joined.pop()[0].start, whole.end)  # noqa: PLW2901 -- the joined one
        joined.append((whole, nodes))
    return joined


def _bundles(ranges: list[TokenRange], width: int) -> list[list[TokenRange]]:
    """Put ranges together until they reach a width."""
    bundles: list[list[TokenRange]] = []
    held = width
    for one in ranges:
        if held + one.width // 2 >= width:
            bundles.append([])
            held = 0
        bundles[-1].append(one)
        held += one.width
    return bundles
