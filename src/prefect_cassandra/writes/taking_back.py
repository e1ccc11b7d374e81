"""What an attempt does whose content was undone or replaced while it was under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect_cassandra.errors import PrefectCassandraError
from prefect_cassandra.writes.undo import undo_contents

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.loads import StampedLoad


def take_back(session: Session, load: StampedLoad, error: PrefectCassandraError) -> None:
    """Take away what an attempt wrote of content that has no place any more; never fails.

    Args:
        session: Where it wrote.
        load: The attempt.
        error: Why it stopped; is told when something stays.
    """
    if load.stays:
        return  # another attempt has finished this content, of which this one wrote nothing else
    try:
        undo_contents(
            session, [load.content], reason=load.ended_by, run=load.identity.provenance.run
        )
    except PrefectCassandraError as trouble:
        error.add_note(
            f"What this attempt had written is still there: {trouble.message} "
            "`prefect-cassandra ledger repair` takes it away."
        )
