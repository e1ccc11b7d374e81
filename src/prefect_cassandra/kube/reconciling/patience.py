"""Two looks that agree, some time apart: one alone may have seen the middle of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect_cassandra.kube.reconciling.decisions import Action


class Patience:
    """Remembers since when each decision has stood.

    Args:
        settle: Seconds that a decision has to stand before it is carried out.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._since: dict[tuple[str, ...], float] = {}

    def due(self, found: Sequence[Action], seconds: float) -> list[Action]:
        """Return the decisions that have stood for long enough; forgets those that fell.

        Args:
            found: What the latest look came to.
            seconds: A clock that never goes back.
        """
        self._since = {action.key: self._since.get(action.key, seconds) for action in found}
        return [one for one in found if seconds - self._since[one.key] >= self._settle]
