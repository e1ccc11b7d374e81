"""How far a load or an unload has come: a moving line on a terminal, else a line now and then."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from rich.text import Text

from prefect_cassandra.cli.output import messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.progress import Progress


class Report(Protocol):
    """What a load and an unload tell of themselves."""

    @property
    def table(self) -> str:
        """`keyspace.table`."""

    @property
    def rows(self) -> int:
        """Rows so far."""

    @property
    def seconds(self) -> float:
        """Wall time so far."""


R = TypeVar("R", bound=Report)

# A log that nobody watches needs a line now and then; a terminal shows every change.
_LINE_SECONDS = 5.0
_LOOK = 0.2  # seconds between two looks for a signal


@dataclass
class Following:
    """Shows reports as they come; a context manager, called from any thread."""

    console: Console = field(default_factory=messages)
    _progress: Progress | None = field(default=None, init=False)
    _task: Any = field(default=None, init=False)
    _told: float = field(default=0.0, init=False)

    def __call__(self, report: Report) -> None:
        """Show how far it has come."""
        if self._progress is None:
            if time.monotonic() - self._told >= _LINE_SECONDS:
                self._told = time.monotonic()
                self.console.print(Text(f"{report}, going on"))
            return
        # A load does not know how many rows will come; an unload knows how many files.
        done, total = getattr(report, "files", 0), getattr(report, "splits", 0) or None
        self._progress.update(
            self._task,
            description=report.table,
            completed=done,
            total=total,
            rows=f"{report.rows:,} rows",
            speed=f"{report.rows / report.seconds:,.0f}/s" if report.seconds else "",
        )

    def __enter__(self) -> Self:
        self._told = time.monotonic()
        if self.console.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[rows]}"),
                TextColumn("{task.fields[speed]}"),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._progress.add_task("", total=None, rows="", speed="")
            self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._progress is not None:
            self._progress.stop()


def run_followed(work: Callable[[Callable[[Any], None], threading.Event], R]) -> R:
    """Run something long in a thread of its own, show how far it is, and let Ctrl-C end it well.

    Args:
        work: Is given what to tell its reports to, and an event that asks it to stop.

    Returns:
        Its report; of one that was stopped, how far it came.
    """
    cancelled = threading.Event()
    # What asks a program to end in a script or a pod is to be answered like Ctrl-C.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Following() as following:
            future: Future[R] = Future()
            thread = threading.Thread(target=_fulfil, args=(future, work, following, cancelled))
            try:
                thread.start()
                # A signal may wake another thread, and only this one acts on it.
                while not future.done():
                    wait([future], timeout=_LOOK)
            except KeyboardInterrupt:
                cancelled.set()
                if thread.ident is None:
                    raise
            return future.result()
    finally:
        signal.signal(signal.SIGTERM, before)


def _fulfil(
    future: Future[R],
    work: Callable[[Callable[[Any], None], threading.Event], R],
    tell: Callable[[Any], None],
    cancelled: threading.Event,
) -> None:
    try:
        future.set_result(work(tell, cancelled))
    except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
        future.set_exception(error)
