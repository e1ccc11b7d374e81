"""Versions of deployments, for tests that need no database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect_cassandra.ledger.versions import Origin, Version, label_of

if TYPE_CHECKING:
    from prefect_cassandra.ledger.versions import State

NAME = "flights/flights"
TAG = "0123456789-abcdef"


def version(number: int, state: State = "REGISTERED", **origin: Any) -> Version:
    """Return a version of one deployment, made on the day of January that its number says."""
    known = {
        "image": f"flows:{TAG}",
        "image_tag": TAG,
        "git_commit": "0123456789abcdef",
        "created_by": "A Person <person@example.org>",
    }
    when = datetime(2026, 1, number, 12, tzinfo=UTC)
    return Version(
        NAME, number, label_of(number, TAG), state, Origin(**(known | origin)), when, "0.1.0"
    )
