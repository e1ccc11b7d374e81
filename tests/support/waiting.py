"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE = 0.05

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str = "", *, within: float) -> T:
    """Return what `condition` answers as soon as that is true.

    Args:
        condition: Asked again and again.
        what: What is waited for; the condition itself when nothing is said.
        within: Seconds until it is an error.
    """
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within} s for {what or condition}, in vain")
        time.sleep(_PAUSE)
    return answer
