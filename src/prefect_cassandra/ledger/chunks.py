"""Chunks of a load: which of them an attempt sends, skips or refuses. Decisions only.

The first attempt cuts the input into chunks of a fixed number of rows, and every later one cuts at
the same places. Before a chunk is sent, its digest is on record; when its rows are acknowledged,
that it is done. So a retry skips what is done and sends the rest at the same stamps, and content
that changed is noticed before any of it is sent.

Attempts may run at the same time: one that was thought dead wakes up. Each records a chunk in a row
of its own, by digest and attempt, and looks at the rows of the others afterwards. Of two that want
to send different content for one chunk at least one sees the other and stops.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from prefect_cassandra.ledger.blocks import LONGEST

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Sequence

ChunkState = Literal["BEGUN", "DONE", "REFUSED"]
BlockState = Literal["DONE", "UNUSED", "REPLACED", "UNDONE"]

# A stream whose end nobody knows begins with 4 ms of the clock, so that many may begin at once
# without waiting for each other. Few are longer, and those get far with the next two blocks.
_UNKNOWN = (1_024, 32_768)
_MOST = LONGEST * 4 // 5


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """What one attempt recorded of one chunk.

    Attributes:
        number: Which chunk, from 0.
        digest: Of its content.
        owner: Which attempt.
        slot: Its stamp.
        first_row: Where its first row is in the input, from 0.
        rows: How many rows of the input it has.
        state: BEGUN before it is sent, then DONE; REFUSED when it never was.
    """

    number: int
    digest: bytes
    owner: uuid.UUID
    slot: int
    first_row: int
    rows: int
    state: ChunkState


@dataclass(frozen=True, slots=True)
class LoadBlock:
    """A block of a load, as the load's own records have it.

    Attributes:
        generation: Counts the contents that the load had.
        start: The block's first stamp.
        length: Its stamps.
        stride: Stamps to a slot.
        first_chunk: Number of the chunk with the first slot.
        chunk_rows: Rows to a chunk.
        id: Of the request that got it.
        state: None while the load is under way, or was left so.
        chunks: Chunks of the whole load, once it is DONE.
        rows: Rows of the whole load, once it is DONE.
    """

    generation: int
    start: int
    length: int
    stride: int
    first_chunk: int
    chunk_rows: int
    id: uuid.UUID
    state: BlockState | None = None
    chunks: int | None = None
    rows: int | None = None

    @property
    def next_chunk(self) -> int:
        """Number of the first chunk that has no slot here any more."""
        return self.first_chunk + self.length // self.stride

    def slot(self, number: int) -> int:
        """Return the stamp of a chunk that has a slot here."""
        return self.start + (number - self.first_chunk) * self.stride


class Step(Enum):
    """What an attempt does with a chunk."""

    SEND = "send it"
    SKIP = "it is done already"
    REFUSE = "other content was recorded for it"


def decide(
    digest: bytes, found: Iterable[ChunkRecord], owner: uuid.UUID
) -> tuple[Step, bytes | None]:
    """Decide what to do with a chunk.

    Args:
        digest: Of the content at hand.
        found: What is on record for this chunk.
        owner: The attempt that asks.

    Returns:
        The step, and the other digest if the chunk is refused.
    """
    counting = [one for one in found if one.state != "REFUSED"]
    for one in counting:
        if one.digest != digest and one.owner != owner:
            return Step.REFUSE, one.digest
    done = any(one.state == "DONE" for one in counting)
    return (Step.SKIP if done else Step.SEND), None


def chain(blocks: Iterable[LoadBlock]) -> list[LoadBlock]:
    """Return the blocks that count: of the newest content, one behind the other, without gaps.

    Attempts that ran at the same time may each have taken one. The one with the lowest stamps
    counts: whoever took a later one sees it, because it was filed before the clock moved on.
    """
    ordered = sorted(blocks, key=lambda block: block.start)
    newest = max((block.generation for block in ordered), default=0)
    found: list[LoadBlock] = []
    wanted = 0
    for block in ordered:
        if block.generation == newest and block.first_chunk == wanted:
            found.append(block)
            wanted = block.next_chunk
    return found


def slots_wanted(total: int | None, taken: int, blocks: int) -> int:
    """Return for how many chunks the next block of a load should have room.

    Args:
        total: Chunks of the whole load, when they can be counted beforehand.
        taken: Chunks that have slots already.
        blocks: Blocks that the load has already.
    """
    if total is not None and total > taken:
        return min(total - taken, _MOST)
    return _UNKNOWN[blocks] if blocks < len(_UNKNOWN) else _MOST


def digest_of(about: str, buffers: Iterable[Any]) -> bytes:
    """Return the SHA-256 digest of a chunk's content.

    Each buffer goes in behind its length, so that no two contents run into the same bytes.

    Args:
        about: What the buffers mean: names and types of the columns, what a missing value does.
        buffers: Objects with the buffer protocol, contiguous.
    """
    made = hashlib.sha256()
    for buffer in (about.encode(), *buffers):
        view = memoryview(buffer)
        made.update(view.nbytes.to_bytes(8, "big"))
        made.update(view)
    return made.digest()


def missing_at_end(chunks: int, found: Sequence[ChunkRecord]) -> ChunkRecord | None:
    """Return the first chunk on record that the input, which has `chunks`, no longer holds."""
    beyond = [one for one in found if one.number >= chunks and one.state != "REFUSED"]
    return min(beyond, key=lambda one: one.number, default=None)
