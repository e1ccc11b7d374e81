"""Whose a stamp is, told by what the ledger has on record of it. Decisions only.

A write of others may happen to carry one of our stamps, because theirs are microseconds as well. So
a stamp is ours only where a chunk used it, and certainly ours only where that chunk's key filter
has the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from prefect_cassandra.ledger.blocks import RESTORED, WRITTEN, Block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.ledger.lookup import ChunkAttempt


class Proof(StrEnum):
    """How sure it is that a cell is of the writer that is named."""

    PROVEN = "proven"
    """Its stamp was used by that chunk, and the chunk's key filter has the row."""
    BY_STAMP = "by stamp"
    """Its stamp was used by that chunk, which has no filter, or none any more."""
    NOT_OURS = "not ours"
    """No load or statement of this ledger wrote it."""


class Keys(Protocol):
    """A filter of keys: `ledger.keys.KeyFilter`."""

    def might_hold(self, key: int) -> bool:
        """Whether the key of this hash may be in it; False is certain."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stamp lies in a block.

    Attributes:
        number: Of the chunk that has the slot.
        offset: Which stamp of the slot, see `blocks.STRIDE`.
    """

    number: int
    offset: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose a stamp is.

    Attributes:
        proof: How sure that is.
        why: The reason, half a sentence.
        writer: The attempt that wrote the chunk; None where it is not ours.
    """

    proof: Proof
    why: str
    writer: ChunkAttempt | None = None


def place_of(block: Block, stamp: int) -> Place:
    """Return where in its block a stamp lies."""
    slot, offset = divmod(stamp - block.start, block.request.stride)
    return Place(block.request.first_chunk + slot, offset)


def judge(
    place: Place | None,
    attempts: Sequence[ChunkAttempt],
    filters: Sequence[Keys],
    key: int,
    *,
    undone: bool = False,
) -> Verdict:
    """Say whose a cell is.

    Args:
        place: Where its stamp lies; None when no block has it.
        attempts: What is on record for that chunk.
        filters: The chunk's key filters: one for each content it was sent with.
        key: Hash of the row's key; of a static column of the partition key.
        undone: Whether the load was undone, so that values may have been restored.
    """
    sent = [one for one in attempts if one.record.state != "REFUSED"]
    stranger = _stranger(place, sent, undone=undone)
    if place is None or stranger:
        return Verdict(Proof.NOT_OURS, stranger)
    proof, why = _proof(sent, filters, key)
    return Verdict(proof, why, None if proof is Proof.NOT_OURS else _writer(sent))


def _stranger(place: Place | None, sent: Sequence[ChunkAttempt], *, undone: bool) -> str:
    """Return why nobody of ours can have used a stamp; empty where somebody can."""
    if place is None:
        return "no block has its stamp"
    if not sent:
        return "its stamp lies in a block, where no chunk used it"
    if place.offset == WRITTEN or (place.offset == RESTORED and undone):
        return ""
    return "its stamp lies between those of two chunks, where nobody wrote"


def _proof(sent: Sequence[ChunkAttempt], filters: Sequence[Keys], key: int) -> tuple[Proof, str]:
    if any(one.might_hold(key) for one in filters):
        return Proof.PROVEN, "the chunk's key filter has the row"
    # A content whose filter was never kept, or is kept no more, may have held the row.
    if len(filters) < len({one.record.digest for one in sent}):
        return Proof.BY_STAMP, "no key filter of the chunk is kept"
    return Proof.NOT_OURS, "a chunk used its stamp, but did not write this row"


def _writer(sent: Sequence[ChunkAttempt]) -> ChunkAttempt:
    """Return the attempt that has the chunk done, else the latest that began it."""
    return max(sent, key=lambda one: (one.record.state == "DONE", one.attempt))
