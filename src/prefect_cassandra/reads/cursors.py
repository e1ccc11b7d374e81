"""Places inside long results, kept between calls that each take a few rows."""

from __future__ import annotations

from typing import Any


class Cursors:
    """Where the statements used last stopped; belongs to one process."""

    _KEPT = 16

    def __init__(self) -> None:
        self._places: dict[str, Any] = {}

    def take(self, key: object) -> Any:
        """Remove and return a place, or None; a second caller meanwhile starts anew."""
        return self._places.pop(repr(key), None)

    def put(self, key: object, cursor: Any) -> None:
        """Keep a place as the latest one, and drop the oldest beyond the limit."""
        self._places[repr(key)] = cursor
        for oldest in list(self._places)[: -self._KEPT]:
            self._places.pop(oldest, None)

    def clear(self) -> None:
        """Forget all places."""
        self._places.clear()

    # A live cursor cannot leave its process, and does not make two of its owners different.
    def __reduce__(self) -> tuple[type[Cursors], tuple[()]]:
        return Cursors, ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cursors)

    __hash__ = None  # type: ignore[assignment]
