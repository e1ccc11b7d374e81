"""Reading the next piece while this one is being written."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

_LOOK = 0.2  # seconds between two looks whether anybody still reads


def read_ahead(pieces: Iterator[T], ahead: int = 1) -> Iterator[T]:
    """Yield what `pieces` yields while a thread of its own fetches the next ones.

    Args:
        pieces: Is iterated, and closed, in that thread.
        ahead: Most pieces that wait; one more is being made. So memory stays bounded.
    """
    waiting: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(ahead)
    stopped = threading.Event()
    thread = threading.Thread(
        target=_fetch, args=(pieces, waiting, stopped), name="read-ahead", daemon=True
    )
    thread.start()
    try:
        while True:
            what, piece = waiting.get()
            if what == "end":
                return
            if what == "error":
                assert isinstance(piece, BaseException)  # noqa: S101 -- for the type checker
                raise piece
            yield piece  # type: ignore[misc]  # a piece by its mark
            # Not kept while the next one is fetched.
            del piece
    finally:
        stopped.set()
        thread.join()


def _fetch(
    pieces: Iterator[T],
    waiting: queue.Queue[tuple[str, T | BaseException | None]],
    stopped: threading.Event,
) -> None:
    def put(what: str, piece: T | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((what, piece), timeout=_LOOK)
            except queue.Full:
                continue
            return True
        return False

    try:
        for piece in pieces:
            if not put("piece", piece):
                break
        else:
            put("end", None)
    except BaseException as error:  # noqa: BLE001 -- raised again where the pieces are used
        put("error", error)
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
