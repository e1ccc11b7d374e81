"""What every task shares: its tag, and where it tells what it does."""

from __future__ import annotations

from typing import Any

from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

# A concurrency limit on this tag bounds how many tasks talk to Cassandra at once.
TAGS = ["cassandra"]


def run_logger() -> Any:
    """Return the run's logger, or a plain one for calls outside of a run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("prefect_cassandra")
