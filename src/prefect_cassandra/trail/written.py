"""What a run wrote, and what the runs of a person wrote."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.ledger.blocks import moment
from prefect_cassandra.ledger.lookup import chunks_of, records_of_person, records_of_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.lookup import BlockRecord, ChunkAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one load or statement wrote, in one block of its table.

    Attributes:
        table: `keyspace.table`.
        kind: `LOAD`, or the kind of a statement.
        load_key: Which load.
        generation: Which of the load's contents, from 1.
        state: `DONE`, `REPLACED` and so on, as the ledger has it; `OPEN` while it is under way, or
            was left half done.
        at: When the block was taken, UTC.
        chunks: Chunks that were sent, at least in part.
        rows: Rows of the input in them.
        block: First stamp of the block.
        run: Identifier of the flow run.
        task: Identifier of the task run.
        attempt: The attempt that took the block.
        person: Who started the run.
        deployment: Identifier of the deployment.
        version: The deployment's version.
        image: Reference of the image the code ran in.
        commit: Commit of git the code is of.
        source: Where the rows came from.
    """

    table: str
    kind: str
    load_key: str
    generation: int
    state: str
    at: datetime
    chunks: int
    rows: int
    block: int
    run: str
    task: str
    attempt: int
    person: str
    deployment: str
    version: str
    image: str
    commit: str
    source: str

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON knows."""
        return asdict(self) | {"at": self.at.isoformat()}


def written_by_run(session: Session, run: str, table: str | None = None) -> list[Work]:
    """Return what a flow run wrote, by table and then by time.

    Blocks of which no stamp was used are left out.

    Args:
        session: Logged in as a role that may read the ledger.
        run: Identifier of the flow run.
        table: `keyspace.table`, to look at that one alone.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    return _works(session, records_of_run(session, run, table))


def written_by_person(
    session: Session, person: str, since: datetime, until: datetime | None = None
) -> list[Work]:
    """Return what the runs that a person or service started wrote, by table and then by time.

    Args:
        session: Logged in as a role that may read the ledger.
        person: As the ledger has it, which is as Prefect names who created the run.
        since: With its time zone; what was begun before is left out.
        until: The same for what was begun later; now when not given.

    Raises what `Session.execute` does, and NoStampsError when there is no ledger.
    """
    return _works(session, records_of_person(session, person, since, until))


def _works(session: Session, records: Iterable[BlockRecord]) -> list[Work]:
    found = [_work(one, *_counts(session, one)) for one in records]
    return [one for one in found if one.chunks]


def _counts(session: Session, record: BlockRecord) -> tuple[int, int]:
    """Return chunks and rows of a block."""
    asked = record.block.request
    alone = asked.first_chunk == 0 and (record.chunks or 0) <= asked.chunks
    if alone and record.chunks is not None and record.rows is not None:
        return record.chunks, record.rows  # the whole load is in this block
    return count_sent(chunks_of(session, record.block.table, record.block.start))


def count_sent(attempts: Sequence[ChunkAttempt]) -> tuple[int, int]:
    """Return how many chunks were sent, at least in part, and the rows in them."""
    sent = {one.record.number: one.record.rows for one in attempts if one.record.state != "REFUSED"}
    return len(sent), sum(sent.values())


def _work(record: BlockRecord, chunks: int, rows: int) -> Work:
    block, asked = record.block, record.block.request
    return Work(
        table=block.table,
        kind=asked.kind,
        load_key=asked.load_key,
        generation=asked.generation,
        state=record.state or "OPEN",
        at=moment(block.start),
        chunks=chunks,
        rows=rows,
        block=block.start,
        **asdict(asked.provenance),
    )
