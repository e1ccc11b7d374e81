"""Random histories of one partition: attempts of loads that interleave with each other and others.

A case is a list of steps. Any part of it is a case too, so a failing one can be made smaller. It
runs against a real node in a partition of its own; what was sent goes into the model of cells, and
the promises of the ledger are checked on what was sent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from prefect_cassandra.errors import ContentChangedError, SupersededError, UndoneError
from prefect_cassandra.ledger import loads
from prefect_cassandra.ledger.load_store import CassandraLoads
from prefect_cassandra.ledger.opening import StampClock
from prefect_cassandra.ledger.undoing import Content
from prefect_cassandra.writes import loader, stamped
from prefect_cassandra.writes.loader import LoadOptions
from prefect_cassandra.writes.stamped import Stamped, StampedChunks
from prefect_cassandra.writes.undo import undo_contents
from support.cell_writes import KEYS, SETS, SHORT_TTL, TTL_STEP, random_value, random_write
from support.cells import Partition
from support.gates import Walker, gate, gated, gated_each, walker
from support.stamps import WHO

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from prefect_cassandra.driver.session import Session
    from prefect_cassandra.ledger.chunks import LoadBlock
    from support.cells import Seen, Value

Row = dict[str, Any]
Chunks = list[list[Row]]

CHUNK = 2
_TYPES = {
    "p": pa.int32(),
    "k": pa.int32(),
    "v": pa.string(),
    "n": pa.int32(),
    "s": pa.string(),
    "tags": pa.list_(pa.string()),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes:
        what: `begin` starts an attempt at a load; `go` lets one pass some gates, `finish` all;
            `kill` leaves one where it is for good, `sleep` until everything else is over;
            `foreign` is a write of somebody else; `undo` takes back what a load has written by
            then, and `drop` what it has written at the end.
        load: Which load; or which of the attempts that are under way.
        content: Which content; or how many gates.
        replace: Whether other content than before is written.
        seed: Makes the foreign write.
    """

    what: Literal["begin", "go", "finish", "kill", "sleep", "foreign", "undo", "drop"]
    load: int = 0
    content: int = 0
    replace: bool = False
    seed: int = 0


def random_steps(rng: Random) -> list[Step]:
    """Return a case of up to 14 steps."""
    return [_random_step(rng) for _ in range(rng.randrange(3, 15))]


def _random_step(rng: Random) -> Step:
    what = rng.choice(
        (
            *(*("begin",) * 4, *("go",) * 4, "finish", "kill", "sleep"),
            *(*("foreign",) * 3, "undo", "drop"),
        )
    )
    if what == "foreign":
        return Step(what, seed=rng.randrange(10**6))
    if what == "begin":
        return Step(what, rng.randrange(2), rng.randrange(3), replace=rng.random() < 0.5)
    return Step(what, rng.randrange(4), rng.choice((1, 2, 4, 8, 16)))


def content_of(load: int, number: int) -> tuple[Chunks, Literal["unset", "null"]]:
    """Return the rows of a load, chunk by chunk, and what a missing value does.

    The first two contents of a load differ in one chunk, the third is another one altogether.
    """
    rng = Random(f"{load} {number // 2}")  # noqa: S311 -- test data
    names = ["k", *rng.sample(("v", "n", "s", "tags"), rng.randrange(1, 5))]
    # Rows of their own: a row that is taken back hides what an older stamp writes there later.
    keys = KEYS[:3] if load == 0 else KEYS[3:]
    chunks = [_random_chunk(rng, keys, names) for _ in range(rng.randrange(1, 5))]
    mode: Literal["unset", "null"] = rng.choice(("unset", "null"))
    if number == 1:
        place = rng.randrange(len(chunks))
        before = chunks[place]
        while chunks[place] == before:
            chunks[place] = _random_chunk(rng, keys, names)
    return chunks, mode


def _random_chunk(rng: Random, keys: Sequence[int], names: Sequence[str]) -> list[Row]:
    return [
        {"k": rng.choice(keys)} | {name: random_value(rng, name) for name in names[1:]}
        for _ in range(CHUNK)
    ]


def _table(partition: int, rows: Sequence[Row]) -> pa.Table:
    columns: dict[str, Any] = {"p": pa.array([partition] * len(rows), pa.int32())}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name == "tags":
            values = [None if one is None else sorted(one) for one in values]
        columns[name] = pa.array(values, _TYPES[name])
    return pa.table(columns)


@dataclass(slots=True)
class Attempt:
    """One attempt at a load."""

    load: int
    content: int
    walker: Walker
    state: Literal["under way", "killed", "asleep"] = "under way"


@dataclass(slots=True)
class Case:
    """A case while it runs.

    Args:
        session: A flow's, on which `instrument` has put gates.
        table: As `cell_writes.TABLE` makes it.
        partition: One that nobody else writes to.
    """

    session: Session
    table: str
    partition: int
    model: Partition = field(default_factory=Partition)
    attempts: list[Attempt] = field(default_factory=list)
    sent: dict[int, tuple[int, list[Row]]] = field(default_factory=dict)
    contents: dict[int, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    undone: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    expired_at: float = 0.0
    foreign: int = 0

    def run(self, steps: Sequence[Step]) -> None:
        """Carry the steps out, then everything that is still under way, and look at the ledger."""
        for step in steps:
            self._step(step)
        for attempt in self.attempts:
            if attempt.state == "under way":
                attempt.walker.finish()
        before = {load: self._close(load) for load in self.contents}
        for attempt in self.attempts:
            if attempt.state == "asleep":
                attempt.walker.finish()
        for load, generation in before.items():
            self._close(load, generation)
        for attempt in self.attempts:
            self._judge(attempt)
        for load in self.contents:
            self._check_promises(load)
        for load in self.dropped & self.contents.keys():
            self._undo(load)

    def wrong(self, found: dict[int | None, Seen], now: float) -> bool:
        """Whether a read at `now` shows anything but what the promises and the model say."""
        gone = {stamp for load in self.contents for stamp in self._taken_back(load)}
        wanted = self.wanted(now)
        if gone:
            # Whether an empty row is there depends on a mark, which has no write time.
            found = {key: row for key, row in found.items() if row}
            wanted = {key: row for key, row in wanted.items() if row}
        return found != wanted

    def wanted(self, now: float) -> dict[int | None, Seen]:
        """Return what is to be seen: all that was written, without what was taken back."""
        gone = {stamp for load in self.contents for stamp in self._taken_back(load)}
        seen = {key: _without(row, gone) for key, row in self.model.seen(now).items()}
        return {key: row for key, row in seen.items() if row or key is not None}

    def _taken_back(self, load: int) -> set[int]:
        """Return the stamps of a load whose cells have no place in the table."""
        blocks = self._blocks(load)
        newest = max(block.generation for block in blocks)
        return {
            block.slot(number)
            for block in blocks
            for number in range(8)
            if block.generation < newest or load in self.dropped
        }

    def end(self) -> None:
        """End the attempts that were killed, when nobody looks any more."""
        for attempt in self.attempts:
            attempt.walker.abandon()

    def _step(self, step: Step) -> None:
        match step.what:
            case "begin":
                self._begin(step.load, step.content, replace=step.replace)
            case "foreign":
                self._foreign(step.seed)
            case "undo":
                self._undo(step.load % 2)
            case "drop":
                self.dropped.add(step.load % 2)
            case _:
                self._step_of_attempt(step)

    def _step_of_attempt(self, step: Step) -> None:
        under_way = [one for one in self.attempts if one.state == "under way"]
        match step.what:
            case _ if not under_way:
                pass  # in a case from which steps were left out
            case "go":
                chosen = under_way[step.load % len(under_way)].walker
                for _ in range(step.content):
                    chosen.advance()
            case "finish":
                under_way[step.load % len(under_way)].walker.finish()
            case "kill":
                self._kill(under_way[step.load % len(under_way)])
            case "sleep":
                under_way[step.load % len(under_way)].state = "asleep"

    def _kill(self, attempt: Attempt) -> None:
        # One that goes on after its content has lost its place has to live until it notices.
        over = len({block.generation for block in self._blocks(attempt.load)}) > 1
        attempt.state = "asleep" if over or attempt.load in self.undone else "killed"

    def _undo(self, load: int) -> None:
        blocks = self._blocks(load)
        if blocks:
            newest = max(block.generation for block in blocks)
            undo_contents(self.session, [Content(self.table, self._key(load), newest)])
            self.undone.add(load)

    def _begin(self, load: int, content: int, *, replace: bool) -> Attempt:
        chunks, mode = content_of(load, content)
        options = LoadOptions(
            mode=mode,
            in_flight=1,
            stamped=Stamped(self._key(load), WHO, replace=replace),
        )

        def work() -> object:
            tables = [_table(self.partition, rows) for rows in chunks]
            return load_of(self, load, lambda: gated_each(tables), options)

        attempt = Attempt(load, content, Walker(work))
        self.attempts.append(attempt)
        self.contents[load] = content
        attempt.walker.advance()
        return attempt

    def _close(self, load: int, before: int | None = None) -> int:
        """Load the last content once more, to its end; returns the generation it has."""
        attempt = self._begin(load, self.contents[load], replace=True)
        attempt.walker.finish()
        report, error = attempt.walker.result, attempt.walker.error
        generation = self._newest(load).generation
        rows = sum(map(len, content_of(load, self.contents[load])[0]))
        if error is not None:
            self.problems.append(f"load {load} cannot be closed: {error!r}")
        elif report.rows + report.merged + report.skipped_rows < rows:
            self.problems.append(f"load {load} of {rows} rows was closed with {report}")
        elif generation == before and report.rows:
            self.problems.append(f"load {load} was done, and is sent again: {report}")
        return generation

    def _foreign(self, seed: int) -> None:
        rng = Random(seed)  # noqa: S311 -- test data
        now = time.time_ns() // 1_000
        known = sorted(self.sent)
        stamp = now
        over = [block for load in self.contents for block in self._blocks(load)]
        if self.undone or any(block.generation > 1 for block in over):
            # What has been taken back hides what comes with an older time, wherever from.
            stamp = max(now, *(block.slot(8) for block in over))
        elif known and rng.random() < 0.5:
            # Beside one of our own microseconds: just before, or on the one that is to spare.
            stamp = rng.choice(known) + rng.choice((-1, 3))
        self.foreign += 1
        ttl = rng.choice((0, 0, SHORT_TTL, TTL_STEP * self.foreign))
        write = random_write(rng, stamp, ttl)
        cql, parameters = write.cql(self.table, self.partition)
        self.session.execute(cql, parameters, timestamp=stamp)
        write.apply(self.model, int(time.time()))
        if write.ttl == SHORT_TTL:
            self.expired_at = max(self.expired_at, time.time() + SHORT_TTL + 1)

    def note_sent(self, load: int, stamp: int, rows: list[Row], mode: str) -> None:
        """Take a chunk that is about to be sent into the model."""
        other = self.sent.setdefault(stamp, (load, rows))
        if other != (load, rows):
            self.problems.append(f"two contents at {stamp}: {other} and {(load, rows)}")
        for key, values in folded(rows, mode).items():
            self.model.write(key, values, stamp, sets=SETS, mark=key is not None)

    def _key(self, load: int) -> str:
        return f"case {self.partition} load {load}"

    def _blocks(self, load: int) -> list[LoadBlock]:
        return CassandraLoads(self.session).blocks(self.table, self._key(load))

    def _newest(self, load: int) -> LoadBlock:
        """Return the block that counts: the first one of the newest content."""
        return min(self._blocks(load), key=lambda one: (-one.generation, one.start))

    def _judge(self, attempt: Attempt) -> None:
        """See whether an attempt ended as it may."""
        error = attempt.walker.error
        contents = {one.content for one in self.attempts if one.load == attempt.load}
        generations = {one.generation for one in self._blocks(attempt.load)}
        if isinstance(error, ContentChangedError) and len(contents) > 1:
            return
        if isinstance(error, SupersededError) and len(generations) > 1:
            return
        if isinstance(error, UndoneError) and attempt.load in self.undone:
            return
        if error is not None:
            self.problems.append(f"an attempt at load {attempt.load} ended with {error!r}")

    def _check_promises(self, load: int) -> None:
        """Compare the stamps that were used with the blocks on record."""
        newest = self._newest(load)
        slots: dict[int, int] = {}
        for block in self._blocks(load):
            slots |= {
                block.slot(number): block.generation
                for number in range(block.first_chunk, block.first_chunk + 8)
            }
        used = {stamp: rows for stamp, (of, rows) in self.sent.items() if of == load}
        if used.keys() - slots.keys():
            self.problems.append(f"load {load} used stamps that it does not have")
        older = [stamp for stamp in used if slots.get(stamp) != newest.generation]
        chunks, _ = content_of(load, self.contents[load])
        for number, rows in enumerate(chunks):
            if used.get(newest.slot(number)) != rows:
                self.problems.append(f"load {load} does not have chunk {number} of its content")
        if older and max(older) >= newest.start:
            self.problems.append(f"load {load}: newer content has older stamps")


def _without(row: Seen, gone: set[int]) -> Seen:
    """Return a row without the cells that have one of these stamps."""
    left: Seen = {}
    for name, held in row.items():
        if isinstance(held, dict):
            elements = {one: cell for one, cell in held.items() if cell[0] not in gone}
            if elements:
                left[name] = elements
        elif held[1] not in gone:
            left[name] = held
    return left


def folded(rows: Sequence[Row], mode: str) -> dict[int | None, dict[str, Value]]:
    """Return what writing the rows of a chunk one after the other leaves, by key.

    A missing value deletes the cell in mode `null`, and changes nothing in mode `unset`. The key
    None has the static column.
    """
    found: dict[int | None, dict[str, Value]] = {}
    for row in rows:
        given = {name: value for name, value in row.items() if name != "k"}
        if mode == "unset":
            given = {name: value for name, value in given.items() if value is not None}
        static = {name: given.pop(name) for name in ("s",) if name in given}
        found.setdefault(row["k"], {}).update(given)
        if static:
            found.setdefault(None, {}).update(static)
    return found


def load_of(case: Case, load_number: int, data: object, options: LoadOptions) -> object:
    """Run an attempt on the thread of its walker, which `instrument`'s hooks recognise."""
    found = walker()
    assert found is not None
    found.case, found.load = case, load_number  # type: ignore[attr-defined]
    return loader.load(case.session, case.table, data, options)


def instrument(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put gates on everything an attempt does, and let each chunk be two rows."""
    monkeypatch.setattr(stamped, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(stamped, "_MOST_ROWS", CHUNK)
    # An attempt that is behind goes on as long as it can.
    monkeypatch.setattr(loads, "_LOOKS_EVERY", 1e9)
    for name in ("blocks", "chunks", "record", "end"):
        monkeypatch.setattr(CassandraLoads, name, gated(getattr(CassandraLoads, name)))
    monkeypatch.setattr(StampClock, "take", gated(StampClock.take))
    begin, frame_request = StampedChunks.begin, loader.frame_request

    def noting(self: StampedChunks, chunk: Any, columns: Any, plan: Any, mode: str) -> int | None:
        stamp = begin(self, chunk, columns, plan, mode)
        found: Any = walker()
        if found is not None:
            found.chunk = (stamp, _rows(chunk.columns), mode)
        return stamp

    def sending(*arguments: Any, **named: Any) -> Any:
        found: Any = walker()
        if found is not None:
            gate()
            stamp, rows, mode = found.chunk
            found.case.note_sent(found.load, stamp, rows, mode)
        return frame_request(*arguments, **named)

    monkeypatch.setattr(StampedChunks, "begin", noting)
    monkeypatch.setattr(loader, "frame_request", sending)


def _rows(columns: dict[str, Any]) -> list[Row]:
    """Return the rows of a chunk as `content_of` has them."""
    values = {
        name: column if isinstance(column, list) else column.to_pylist()
        for name, column in columns.items()
        if name != "p"
    }
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    for row in rows:
        if row.get("tags") is not None:
            row["tags"] = frozenset(row["tags"])
    return rows
