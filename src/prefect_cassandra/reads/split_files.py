"""Writing the files of an unload, several at a time, each whole or not there at all."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from prefect_cassandra.reads.formats import BatchFile, instead
from prefect_cassandra.reads.range_reader import RangeReader
from prefect_cassandra.reads.report import UnloadReport
from prefect_cassandra.reads.unload_plan import Done, Plan, Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.reads.destination import Destination
    from prefect_cassandra.reads.unload import UnloadOptions

_PROGRESS_SECONDS = 0.25


class SplitFiles:
    """One attempt to write the files of some splits that are missing.

    Args:
        session: Where the rows come from.
        folder: Where the files go.
        plan: What was planned there.
        options: How to read, in agreement with the plan.
        cancelled: Set from outside to stop.
        progress: Called after a batch, at most four times a second.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- private; each is another thing
        self,
        session: Session,
        folder: Destination,
        plan: Plan,
        options: UnloadOptions,
        cancelled: threading.Event | None,
        progress: Callable[[UnloadReport], None] | None,
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._on_record = Progress(folder)
        self._cancelled = cancelled or threading.Event()
        self._stop = threading.Event()
        self._progress = progress
        self._in_flight = options.in_flight
        self._reader = RangeReader(
            session,
            session.table(*plan.table.split(".")),
            options.selection,
            consistency=options.consistency,
            instead=instead(plan.format, plan.numbers),
        )
        self._lock = threading.Lock()
        self._done: dict[int, Done] = {}
        self._rows = self._resumed = 0
        self._started = self._told = time.monotonic()

    def run(self, numbers: set[int]) -> UnloadReport:
        """Write the files of these splits, and return what was done.

        Raises what `unload` does; files that were completed stay.
        """
        done = self._on_record.done(self._plan)
        self._done = {number: one for number, one in done.items() if number in numbers}
        self._resumed = len(self._done)
        self._rows = sum(one.rows for one in self._done.values())
        missing = [number for number in sorted(numbers) if number not in done]
        with ThreadPoolExecutor(self._in_flight, thread_name_prefix="unload") as threads:
            try:
                for _ in threads.map(self._split, missing):
                    pass
            except BaseException:
                self._stop.set()
                threads.shutdown(wait=True, cancel_futures=True)
                raise
        return self._report(len(numbers))

    def _split(self, number: int) -> None:
        """Write one file, unless everything is to stop."""
        if self._halted:
            return
        plan, on_record = self._plan, self._on_record
        name = plan.file(number)
        try:
            with self._folder.new_file(name) as path:
                rows = self._write(number, path)
                done = Done(name, rows, path.stat().st_size, _digest(path))
                on_record.require(plan)
        except _HaltedError:
            return
        except FileNotFoundError:
            # Whoever threw this unload away took the file under way along.
            on_record.require(plan)
            raise
        if on_record.owner() != plan.id:
            # It was thrown away between the look and the move.
            self._folder.remove([name])
            on_record.require(plan)
        on_record.record(plan, number, done)
        with self._lock:
            self._done[number] = done

    def _write(self, number: int, path: Path) -> int:
        plan = self._plan
        with BatchFile(path, self._reader.decoder, plan.format, plan.compression) as file:
            for one in plan.splits[number].ranges:
                for batch in self._reader.batches(one):
                    if self._halted:
                        raise _HaltedError
                    file.write(batch)
                    self._tell(batch.num_rows)
        return file.rows

    @property
    def _halted(self) -> bool:
        return self._stop.is_set() or self._cancelled.is_set()

    def _tell(self, rows: int) -> None:
        with self._lock:
            self._rows += rows
            now = time.monotonic()
            if self._progress is None or now - self._told < _PROGRESS_SECONDS:
                return
            self._told = now
            report = self._report(len(self._plan.splits))
        self._progress(report)

    def _report(self, splits: int) -> UnloadReport:
        return UnloadReport(
            table=self._plan.table,
            url=self._folder.url,
            format=self._plan.format,
            rows=self._rows,
            bytes=sum(one.bytes for one in self._done.values()),
            files=len(self._done),
            splits=splits,
            resumed=self._resumed,
            retries=self._reader.retries,
            seconds=time.monotonic() - self._started,
            cancelled=self._cancelled.is_set(),
        )


class _HaltedError(Exception):
    """The file under way is given up because everything stops."""


def _digest(path: Path) -> str:
    with path.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()
