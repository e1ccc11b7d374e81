"""What a run wrote, and what the runs of a person wrote."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.ledger.blocks import moment
from prefect_cassandra.ledger.lookup import chunks_of, records_of_person, records_of_run
from prefect_cassandra.trail.report import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.lookup import BlockRecord, ChunkAttempt

_DAY = timedelta(days=1)


def written_by(
    session: Session,
    *,
    run: str | None = None,
    person: str | None = None,
    since: datetime | None = None,
    table: str | None = None,
) -> list[Work]:
    """Return what a flow run wrote, or the runs of a person, by table and then by time.

    Blocks of which no stamp was used are left out.

    Args:
        session: Logged in as a role that may read the ledger.
        run: Identifier of the flow run.
        person: Instead of a run: the person or service that started runs, as the ledger has it,
            which is as Prefect names who created them.
        since: With a person: what was begun before is left out; the last 24 hours when absent.
        table: `keyspace.table`, to look at that one alone.

    Raises:
        ConfigurationError: Neither a run nor a person is named, or both, or `since` has no zone.
        NoStampsError: The cluster has no ledger, or not for this role.

    Also raises what `Session.execute` does.
    """
    if not run and not person:
        raise ConfigurationError("Neither a run nor a person is named.", hint="Name one of them.")
    if run and person:
        raise ConfigurationError("Both a run and a person are named.", hint="Leave one out.")
    if run:
        return _works(session, records_of_run(session, run, table))
    since = since or datetime.now(UTC) - _DAY
    if since.tzinfo is None:
        raise ConfigurationError(
            f"The time {since.isoformat()} has no zone.", hint="As in 2013-07-04T00:00:00Z."
        )
    found = records_of_person(session, person or "", since)
    return _works(session, [one for one in found if table in (None, one.block.table)])


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
