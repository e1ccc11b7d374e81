"""Blocks of stamps: what a load asks a table's clock for, and what it gets.

A stamp is a write timestamp, microseconds since 1970, that was taken from the table's clock and not
from a wall clock. A block is a run of them that belongs to one load: chunk `n` is written at
`start + (n - first_chunk) * stride`, its slot. The other stamps of a slot are kept for undoing it.

A block of a stream whose end nobody knows may be too short; then the load takes another one, whose
`first_chunk` says where it goes on. A load whose content is replaced gets a new generation.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

SECOND = 1_000_000
LEAD = SECOND // 2
"""How far a clock may run ahead of now, in stamps (microseconds); no block can be longer."""
STRIDE = 4
"""Stamps to a slot: the write, its undoing, the values restored by that, and one to spare."""
WRITTEN, UNDONE, RESTORED, SPARE = range(STRIDE)
"""Places in a slot. The tombstones of an undoing are at UNDONE, and what it brings back is at
RESTORED: both lie below every write that came later, so undoing never touches those. No cell is
at SPARE: overwriting a collection at the next slot deletes what is older at the stamp before it."""
LONGEST = LEAD // STRIDE
"""Most chunks that one block has room for."""
_HOUR = 3600 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who writes, with what code and from where; empty where nobody knows.

    Attributes:
        run: Identifier of the flow run.
        task: Identifier of the task run, or the name of what else writes.
        attempt: Which attempt of the task, from 1.
        deployment: `flow/deployment`.
        version: The deployment's version.
        image: Reference of the image the code ran in, by digest.
        commit: Commit of git the code is of.
        person: The person or service that started the run.
        source: Where the rows come from: a URL, or the kind of the object.
    """

    run: str = ""
    task: str = ""
    attempt: int = 1
    deployment: str = ""
    version: str = ""
    image: str = ""
    commit: str = ""
    person: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRequest:
    """What is asked of a clock.

    Attributes:
        load_key: Which load: the same load has the same key in each of its attempts.
        chunks: Slots wanted.
        chunk_rows: Rows to a chunk as a rule; its own record says how many each has.
        kind: What is written: `LOAD`, or the kind of a statement.
        provenance: Who writes.
        generation: Counts the contents that the load had, from 1.
        first_chunk: Number of the chunk that has the first slot.
        stride: Stamps to a slot, at least 4.
        id: Tells this request from all others; it is the same when the request is repeated.
        created_at: UTC, whole milliseconds, as the database keeps them.

    Raises:
        ConfigurationError: No block can be like that.
    """

    load_key: str
    chunks: int
    chunk_rows: int = 0
    kind: str = "LOAD"
    provenance: Provenance = Provenance()
    generation: int = 1
    first_chunk: int = 0
    stride: int = STRIDE
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    created_at: datetime = field(default_factory=lambda: _milliseconds(datetime.now(UTC)))

    def __post_init__(self) -> None:
        if self.stride < STRIDE or self.chunks < 1 or self.length > LEAD:
            raise ConfigurationError(
                f"no block has {self.chunks:,} chunks of {self.stride} stamps",
                hint=f"Ask for 1 to {LONGEST:,} chunks of {STRIDE} stamps; a longer load takes "
                "several blocks.",
            )

    @property
    def length(self) -> int:
        """Stamps wanted."""
        return self.chunks * self.stride


@dataclass(frozen=True, slots=True)
class Block:
    """Stamps that belong to one load and to nobody else.

    Attributes:
        table: `keyspace.table`.
        start: The first of its stamps.
        previous: Start of the table's block before this one; None for the first.
        request: Who has it and what for.
    """

    table: str
    start: int
    previous: int | None
    request: BlockRequest

    @property
    def end(self) -> int:
        """The stamp after its last one."""
        return self.start + self.request.length

    @property
    def hour(self) -> datetime:
        """The hour its record is filed under."""
        return hour_of(self.start)

    @property
    def next_chunk(self) -> int:
        """Number of the first chunk that has no slot here any more."""
        return self.request.first_chunk + self.request.chunks

    def slot(self, number: int) -> int:
        """Return the stamp of a chunk.

        Raises:
            ValueError: The chunk's slot is not in this block.
        """
        if not self.request.first_chunk <= number < self.next_chunk:
            raise ValueError(f"chunk {number} has no slot in the block at {self.start}")
        return self.start + (number - self.request.first_chunk) * self.request.stride


def hour_of(stamp: int) -> datetime:
    """Return the full hour a stamp lies in; a block never spans more than two."""
    return moment(stamp - stamp % _HOUR)


def moment(stamp: int) -> datetime:
    """Return a stamp as a time, UTC."""
    return EPOCH + timedelta(microseconds=stamp)


def to_json(blocks: Iterable[Block]) -> str:
    """Write blocks as the clock's own cell holds them."""
    return json.dumps([_plain(block) for block in blocks], separators=(",", ":"))


def from_json(table: str, text: str) -> tuple[Block, ...]:
    """Read what `to_json` wrote; what a later version added is left out."""
    return tuple(_block(table, found) for found in json.loads(text))


def _plain(block: Block) -> dict[str, Any]:
    asked = asdict(block.request)
    asked |= {"id": str(block.request.id), "created_at": block.request.created_at.isoformat()}
    return {"start": block.start, "previous": block.previous, **asked}


def _block(table: str, found: dict[str, Any]) -> Block:
    asked = _known(BlockRequest, found)
    asked |= {
        "id": uuid.UUID(found["id"]),
        "created_at": datetime.fromisoformat(found["created_at"]),
        "provenance": Provenance(**_known(Provenance, found["provenance"])),
    }
    return Block(table, found["start"], found["previous"], BlockRequest(**asked))


def _known(kind: type, found: dict[str, Any]) -> dict[str, Any]:
    return {one.name: found[one.name] for one in fields(kind) if one.name in found}


def _milliseconds(when: datetime) -> datetime:
    return when.replace(microsecond=when.microsecond // 1000 * 1000)
