"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE = 0.05


def eventually(condition: Callable[[], object], *, within: float) -> None:
    """Return as soon as `condition` is true.

    Args:
        condition: Asked again and again.
        within: Seconds until it is an error.
    """
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{condition} did not come true within {within} s")
        time.sleep(_PAUSE)
