"""Work that blocks, seen from an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(work: Callable[[], T], cancel: Callable[[], None]) -> T:
    """Run `work` in a thread of its own; cancelling the task stops it and waits for its end.

    Args:
        work: What to run.
        cancel: Tells it, from another thread, to come to an end.

    Raises:
        asyncio.CancelledError: The task was cancelled; `work` does nothing any more.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        cancel()
        # Nothing may still be sent once the caller sees the cancellation.
        await asyncio.wait([running])
        raise
