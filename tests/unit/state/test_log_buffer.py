from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from prefect_cassandra.errors import StatementError, UnreachableError
from prefect_cassandra.state.log_buffer import Counts, LogBuffer
from prefect_cassandra.state.log_query import LogLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

BOUND = 10 * 121


def lines(*numbers: int) -> list[LogLine]:
    """Lines of 121 bytes each."""
    return [LogLine(UUID(int=n), n, 20, "", "x") for n in numbers]


class Store:
    """Takes lines, or not; `away` says that it does not answer, `refuses` which it refuses."""

    def __init__(self) -> None:
        self.away = False
        self.refuses: set[int] = set()
        self.tried: list[list[int]] = []
        self.kept: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.pauses: list[float] = []
        self.failed = asyncio.Event()
        self.again = asyncio.Event()

    async def write(self, some: Sequence[LogLine]) -> None:
        await self.gate.wait()
        self.tried.append([line.at for line in some])
        if self.away:
            raise UnreachableError("no node answers")
        if not self.refuses.isdisjoint(self.tried[-1]):
            raise StatementError("Mutation too large")
        self.kept += [line.at for line in some]

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.failed.set()
        await self.again.wait()
        self.again.clear()

    async def fail_again(self) -> None:
        """Let the buffer try once more, and wait until that has failed too."""
        self.failed.clear()
        self.again.set()
        await self.failed.wait()


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.fixture
async def buffer(store: Store) -> AsyncIterator[LogBuffer]:
    made = LogBuffer(store.write, BOUND, patience=30, sleep=store.sleep)
    made.start()
    yield made
    store.away = False
    store.again.set()
    store.gate.set()
    await made.close(1)


async def test_lines_are_written_when_put_returns(store: Store, buffer: LogBuffer) -> None:
    await buffer.put(lines(1, 2))
    await buffer.put(lines(3))
    assert store.kept == [1, 2, 3]
    assert buffer.counts == Counts(taken=3, written=3)
    assert buffer.held == 0


async def test_what_comes_while_others_are_written_goes_together(
    store: Store, buffer: LogBuffer
) -> None:
    store.gate.clear()
    first = asyncio.create_task(buffer.put(lines(1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(buffer.put(lines(n))) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(first, *others)
    assert store.tried == [[1], [2, 3, 4]]


async def test_nobody_waits_for_a_store_that_is_away_and_nothing_is_lost(
    store: Store, buffer: LogBuffer, caplog: pytest.LogCaptureFixture
) -> None:
    store.away = True
    await buffer.put(lines(1))
    assert buffer.failing
    await buffer.put(lines(2))
    await store.fail_again()
    await store.fail_again()
    assert store.kept == []
    store.away = False
    store.again.set()
    await buffer.put(lines(3))
    await buffer.close(1)
    assert store.kept == [1, 2, 3]
    assert buffer.counts == Counts(taken=3, written=3)
    assert store.pauses == [0.5, 1.0, 2.0]
    said = [one.getMessage() for one in caplog.records]
    assert [text.split(";")[0] for text in said] == [
        "The store of run logs does not take lines",
        "The store of run logs takes lines again",
    ]
    assert "no node answers" in said[0]


async def test_beyond_the_bound_lines_are_dropped_and_counted_with_few_warnings(
    store: Store, buffer: LogBuffer, caplog: pytest.LogCaptureFixture
) -> None:
    store.away = True
    await buffer.put(lines(1))
    caplog.clear()
    await buffer.put(lines(*range(2, 13)))
    assert buffer.counts == Counts(taken=10, dropped=2)
    assert buffer.held == BOUND
    for number in range(100):
        await buffer.put(lines(100 + number))
    assert buffer.counts == Counts(taken=10, dropped=102)
    warned = [one.args[0] for one in caplog.records if one.args]
    assert warned == [2, 4, 8, 16, 32, 64]
    assert {one.levelno for one in caplog.records} == {logging.WARNING}
    store.away = False
    store.again.set()
    await buffer.put(lines(500))
    await buffer.close(1)
    assert store.kept == list(range(1, 11))


async def test_a_line_larger_than_the_bound_goes_when_nothing_else_waits(
    store: Store, buffer: LogBuffer
) -> None:
    await buffer.put([LogLine(UUID(int=1), 1, 20, "", "x" * 10 * BOUND)])
    assert store.kept == [1]


async def test_lines_that_can_never_be_written_do_not_keep_the_others_out(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def write(some: Sequence[LogLine]) -> None:
        if some[0].at == 1:
            raise ValueError("a defect")
        await store.write(some)

    buffer = LogBuffer(write, BOUND)
    buffer.start()
    await buffer.put(lines(1))
    await buffer.put(lines(2))
    await buffer.close(1)
    assert store.kept == [2]
    assert buffer.counts == Counts(taken=2, written=1, dropped=1)
    assert any(one.exc_info for one in caplog.records)


async def test_lines_that_are_refused_again_and_again_are_dropped_and_the_others_written(
    store: Store, buffer: LogBuffer, caplog: pytest.LogCaptureFixture
) -> None:
    store.refuses = {2, 7}
    await buffer.put(lines(*range(1, 9)))
    await buffer.put(lines(9))
    await store.fail_again()
    await store.fail_again()
    assert store.kept == []
    assert buffer.counts == Counts(taken=9), "what is refused now may be taken in a moment"
    store.again.set()
    await buffer.close(30)
    assert store.kept == [1, 3, 4, 5, 6, 8, 9]
    assert buffer.counts == Counts(taken=9, written=7, dropped=2)
    assert "2 lines of run logs are dropped" in caplog.text
    assert "takes lines again" in caplog.text


async def test_a_store_that_goes_away_while_lines_are_sorted_out_loses_none(
    store: Store, buffer: LogBuffer
) -> None:
    store.refuses = {2}
    await buffer.put(lines(1, 2, 3))
    await store.fail_again()
    await store.fail_again()
    store.away = True
    await store.fail_again()
    store.away = False
    store.again.set()
    # Another kind of failure came between: refusals are counted anew.
    await store.fail_again()
    assert buffer.counts == Counts(taken=3)


async def test_the_end_waits_for_lines_and_counts_those_it_could_not_write(store: Store) -> None:
    buffer = LogBuffer(store.write, BOUND, sleep=store.sleep)
    buffer.start()
    store.away = True
    await buffer.put(lines(1, 2))
    await buffer.close(0.01)
    assert buffer.counts == Counts(taken=2, dropped=2)
    assert buffer.held == 0


async def test_who_brings_lines_does_not_wait_for_ever(store: Store) -> None:
    buffer = LogBuffer(store.write, BOUND, patience=0.01)
    buffer.start()
    store.gate.clear()
    await buffer.put(lines(1))
    assert store.kept == []
    store.gate.set()
    await buffer.close(1)
    assert store.kept == [1]
