"""Lines of run logs and the questions asked of them: filters, order and pages. Pure.

A question says the same as Prefect's own filter of logs: each criterion that is given must hold,
or, with `any_of`, one of them. Lines are ordered by their time; lines of the same microsecond by
their id, which rises in the order in which a server took them.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

Criterion = Callable[["LogLine"], bool]

NOBODY = UUID(int=0)
"""Stands in keys where a line belongs to no flow run."""

BUCKET = 600_000_000  # microseconds
"""Length of a bucket: ten minutes. At a thousand lines of 150 bytes a second, which is more than a
flow run is seen to write, a partition of one run and one bucket has 90 MB."""

HOUR = 3_600_000_000  # microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
EARLIEST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
LATEST = (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def microseconds(moment: datetime) -> int:
    """Return a time with a zone as microseconds since 1970, exactly."""
    # The plain subtraction: that of pendulum, whose times Prefect hands on, takes 50 us.
    since = datetime.__sub__(moment, _EPOCH)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment_of(at: int) -> datetime:
    """Return microseconds since 1970 as a time in UTC."""
    return _EPOCH + timedelta(microseconds=at)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log.

    Attributes:
        id: Made by `LineIds` when a server takes the line.
        at: When it was written, in microseconds since 1970, by the clock of who wrote it.
        level: As Python's `logging` numbers them.
        name: The logger.
        message: The text.
        flow_run_id: The flow run it belongs to, if any.
        task_run_id: The task run it belongs to, if any.
    """

    id: UUID
    at: int
    level: int
    name: str
    message: str
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Its place among others, by time and then by arrival."""
        return self.at, self.id.int

    @property
    def size(self) -> int:
        """Bytes it takes in memory and on the wire, roughly."""
        return 120 + len(self.name) + len(self.message)

    @property
    def taken(self) -> datetime:
        """When a server took it, to the millisecond; the id says so."""
        return _EPOCH + timedelta(milliseconds=self.id.int >> 80)


class LineIds:
    """Identifiers that rise in the order they are made: UUIDs of version 7 (RFC 9562, 5.7).

    48 bits of milliseconds, 12 and 14 bits of a counter within the millisecond, 48 random bits of
    this process. Thread-safe. When more than 2^26 are made in a millisecond, or the clock goes
    back, time stands still for them.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = self._count = 0
        self._process = secrets.randbits(48)

    def make(self) -> UUID:
        """Return the next one."""
        with self._lock:
            now = int(self._clock() * 1000)
            if now > self._last:
                self._last, self._count = now, 0
            else:
                self._count += 1
                if self._count >> 26:
                    self._last, self._count = self._last + 1, 0
            last, count = self._last, self._count
        upper = last << 80 | 0x7 << 76 | (count >> 14) << 64
        return UUID(int=upper | 0b10 << 62 | (count & 0x3FFF) << 48 | self._process)


def bucket_of(at: int, length: int = BUCKET) -> int:
    """Return when the bucket of a time begins, both in microseconds since 1970."""
    return at - at % length


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels from `lowest` to `highest`, both included; None is no bound."""

    lowest: int | None = None
    highest: int | None = None

    def holds(self, line: LogLine) -> bool:
        """Tell whether a line's level is one of them."""
        return (self.lowest is None or line.level >= self.lowest) and (
            self.highest is None or line.level <= self.highest
        )


@dataclass(frozen=True, slots=True)
class Times:
    """The times from `first` to `last` in microseconds since 1970, both included."""

    first: int = EARLIEST
    last: int = LATEST

    def holds(self, line: LogLine) -> bool:
        """Tell whether a line was written at one of them."""
        return self.first <= line.at <= self.last


@dataclass(frozen=True, slots=True)
class Runs:
    """The flow runs whose lines are meant; None for all lines."""

    any_of: frozenset[UUID] | None = None

    def holds(self, line: LogLine) -> bool:
        """Tell whether a line belongs to one of them."""
        return self.any_of is None or line.flow_run_id in self.any_of


@dataclass(frozen=True, slots=True)
class Tasks:
    """The task runs whose lines are meant.

    Attributes:
        any_of: One of these; None for all.
        missing: True for lines of no task run, False for lines of any, None for both.
    """

    any_of: frozenset[UUID] | None = None
    missing: bool | None = None

    def holds(self, line: LogLine) -> bool:
        """Tell whether a line belongs to one of them."""
        return (self.any_of is None or line.task_run_id in self.any_of) and (
            self.missing is None or (line.task_run_id is None) == self.missing
        )


@dataclass(frozen=True, slots=True)
class Words:
    """Pieces of text to look for in message and logger name, whatever their case.

    Attributes:
        include: One of these has to be there.
        exclude: None of these may be there.
        require: All of these have to be there.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    require: tuple[str, ...] = ()

    def criteria(self) -> list[Criterion]:
        """Return a criterion for each kind of piece that is given; `any_of` takes them singly."""
        found: list[Criterion] = []
        if self.include:
            found.append(lambda line: any(map(_text(line).__contains__, _lower(self.include))))
        if self.exclude:
            found.append(lambda line: not any(map(_text(line).__contains__, _lower(self.exclude))))
        if self.require:
            found.append(lambda line: all(map(_text(line).__contains__, _lower(self.require))))
        return found


def _text(line: LogLine) -> str:
    return f"{line.message} {line.name}".lower()


def _lower(pieces: tuple[str, ...]) -> list[str]:
    return [piece.lower() for piece in pieces]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines, in which order; criteria that are None were not given.

    Attributes:
        any_of: Whether one criterion is enough; else all have to hold.
        descending: The newest first.
    """

    levels: Levels | None = None
    times: Times | None = None
    runs: Runs | None = None
    tasks: Tasks | None = None
    words: Words | None = None
    any_of: bool = False
    descending: bool = False

    def criteria(self) -> list[Criterion]:
        """Return what a line is measured by."""
        given = (self.levels, self.times, self.runs, self.tasks)
        found: list[Criterion] = [one.holds for one in given if one is not None]
        return found + (self.words.criteria() if self.words is not None else [])

    def matcher(self) -> Criterion:
        """Return what tells whether a line is meant; without criteria all are."""
        criteria = self.criteria()
        if not criteria:
            return lambda _line: True
        together = any if self.any_of else all
        return lambda line: together(criterion(line) for criterion in criteria)

    def reach(self) -> Reach:
        """Return where such lines can be at all."""
        if self.any_of and len(self.criteria()) > 1:
            return Reach()
        times = self.times or Times()
        runs = self.runs.any_of if self.runs is not None else None
        tasks = self.tasks.any_of if self.tasks is not None else None
        return Reach(max(times.first, EARLIEST), min(times.last, LATEST), runs, tasks)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where to look for lines: not outside these times, runs and tasks."""

    first: int = EARLIEST
    last: int = LATEST
    runs: frozenset[UUID] | None = None
    tasks: frozenset[UUID] | None = None

    def after(self, place: tuple[int, int] | None, *, descending: bool) -> Reach:
        """Return what is left of it behind the place of a line that was read already."""
        if place is None:
            return self
        if descending:
            return Reach(self.first, min(self.last, place[0]), self.runs, self.tasks)
        return Reach(max(self.first, place[0]), self.last, self.runs, self.tasks)
