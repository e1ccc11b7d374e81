"""Threads that go one step at a time, so that a test decides how they interleave."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_here = threading.local()
_PATIENCE = 60.0


class AbandonedError(BaseException):
    """Ends a thread that stands at a gate and will not be let through any more."""


class Walker:
    """Carries work out in a thread of its own that stops at every gate.

    Args:
        work: What to do. It is started by the first `advance`.

    Attributes:
        result: What it returned.
        error: What it raised instead.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._work = work
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._abandoned = False
        self._thread: threading.Thread | None = None
        self.ended = False

    def advance(self) -> bool:
        """Let it go to its next gate; False when it has come to its end."""
        if self.ended:
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._walk, daemon=True)
            self._thread.start()
        else:
            self._go.release()
        if not self._back.acquire(timeout=_PATIENCE):
            raise TimeoutError(f"no gate within {_PATIENCE} s")
        return not self.ended

    def finish(self) -> None:
        """Let it go to its end."""
        while self.advance():
            pass

    def abandon(self) -> None:
        """End it where it stands."""
        self._abandoned = True
        if self._thread is None:
            self.ended = True
        else:
            self.finish()

    def stand(self) -> None:
        """Wait here, inside the thread, until it may go on."""
        self._back.release()
        self._go.acquire()
        if self._abandoned:
            raise AbandonedError

    def _walk(self) -> None:
        _here.walker = self
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 -- whoever started it looks at it
            self.error = error
        self.ended = True
        self._back.release()


def walker() -> Walker | None:
    """Return whom this thread belongs to, if anyone."""
    return getattr(_here, "walker", None)


def gate() -> None:
    """Stop here until the test says so; nothing in a thread that is nobody's."""
    found = walker()
    if found is not None:
        found.stand()


def gated(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with a gate before it."""

    def through(*arguments: Any, **named: Any) -> Any:
        gate()
        return call(*arguments, **named)

    return through


def gated_each(items: Iterable[Any]) -> Iterable[Any]:
    """Yield items, with a gate before each."""
    for item in items:
        gate()
        yield item
