"""What became of flow runs, asked of the Prefect server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.client.schemas.objects import State

    from prefect_cassandra.ledger.repair import RunFate


class RunFates:
    """Tells the fate of flow runs; each is asked for once.

    Args:
        dead: Runs that have ended, whatever the server says.
    """

    def __init__(self, dead: Iterable[str] = ()) -> None:
        self._known: dict[str, RunFate] = dict.fromkeys(dead, "dead")

    def __call__(self, run: str) -> RunFate:
        """Return the fate of a run.

        Raises what Prefect's client does when the server does not answer.
        """
        if run not in self._known:
            self._known[run] = _ask(run)
        return self._known[run]


def fate_of(state: State | None) -> RunFate:
    """Return what the state of a flow run says about it."""
    if state is None or not state.is_final():
        return "alive"
    return "completed" if state.is_completed() else "dead"


def _ask(run: str) -> RunFate:
    try:
        identifier = UUID(run)
    except ValueError:
        return "unknown"
    with get_client(sync_client=True) as client:
        try:
            return fate_of(client.read_flow_run(identifier).state)
        except ObjectNotFound:
            return "unknown"
