"""Making a failing case small: fewer steps that still fail, with few tries, as each is dear."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def smallest(steps: Sequence[T], fails: Callable[[Sequence[T]], bool], tries: int = 60) -> list[T]:
    """Leave out steps, large pieces first, as long as the rest still fails.

    Args:
        steps: A case that fails. Any part of it has to be a case too.
        fails: Runs a case and tells whether it fails.
        tries: Most runs.
    """
    kept = list(steps)
    size = max(1, len(kept) // 2)
    while tries > 0:
        start, before = 0, len(kept)
        while start < len(kept) and tries > 0:
            fewer = kept[:start] + kept[start + size :]
            tries -= 1
            if fails(fewer):
                kept = fewer
            else:
                start += size
        if size > 1:
            size //= 2
        elif len(kept) == before:
            break  # no single step can go
    return kept
