from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_cassandra.errors import (
    LedgerError,
    NotAppliedError,
    PrefectCassandraError,
    StampClockError,
    UnreachableError,
)
from prefect_cassandra.ledger.blocks import LEAD, LONGEST, SECOND, Block
from prefect_cassandra.ledger.stamps import Clock, StampClock, place
from support.stamps import NOON, TABLE, WHO, Row, Store, asking
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.ledger.blocks import BlockRequest

FATES = ("fine", "fine", "fine", "fine", "lost", "late", "dropped", "dead")


def clock_at(stamp: int) -> Clock:
    return Clock(stamp, (Block(TABLE, stamp - 12, None, asking(provenance=WHO)),))


def taker(store: Store) -> StampClock:
    return StampClock(store, TABLE, sleep=store.sleep)


@pytest.mark.parametrize(
    ("ahead", "chunks", "starts", "wait"),
    [
        # A clock that was never moved, or lags, gives now; a later one gives its own next stamp.
        (None, [3], [0], 0),
        (-5 * SECOND, [3], [0], 0),
        (7, [3], [7], 0),
        # Those who ask together stand one behind the other.
        (7, [3, 1, 2], [7, 19, 23], 0),
        # A block ends at most half a second after now, not one stamp later.
        (LEAD - 12, [3], [LEAD - 12], 0),
        (LEAD - 11, [3], [], 1),
        (None, [LONGEST], [0], 0),
        (100_000, [LONGEST], [], 100_000),
        # Who does not fit waits for the next move; nobody is passed over.
        (LEAD - 12, [3, 1], [LEAD - 12], 0),
        (LEAD - 4, [3, 1], [], 8),
        # Ahead, but not so far that somebody's time must be wrong.
        (5 * SECOND, [1], [], 5 * SECOND + 4 - LEAD),
    ],
)
def test_where_blocks_start(
    ahead: int | None, chunks: list[int], starts: list[int], wait: int
) -> None:
    clock = None if ahead is None else clock_at(NOON + ahead)
    wanted = [asking(chunks=count) for count in chunks]
    placed, found = place(TABLE, clock, NOON, wanted)
    assert [block.start - NOON for block in placed] == starts
    assert found == wait
    before = clock.newest[-1].start if clock else None
    assert [block.previous for block in placed] == [before, *(one.start for one in placed)][:-1]


def test_a_clock_far_ahead_is_an_error_that_names_the_table_and_the_taker() -> None:
    with pytest.raises(StampClockError) as raised:
        place(TABLE, clock_at(NOON + 3600 * SECOND), NOON, [asking()])
    text = str(raised.value)
    assert f"the stamp clock of {TABLE} is 3,600.0 s ahead" in text
    assert "taken by run 6f0c, task load flights, person someone" in text
    assert "2027-01-15 09:00:00 UTC" in text


def test_one_block_costs_one_move_and_one_read() -> None:
    calls: list[str] = []
    store = Store(Row(), fate=lambda: calls.append("step") or "fine")
    clock = taker(store)
    clock.take(asking())
    assert len(calls) == 3  # read, move, file
    clock.take(asking())
    assert len(calls) == 5  # move, file
    assert len(store.row.moves) == 2


def test_threads_that_ask_at_once_share_a_move() -> None:
    row = Row()
    first, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        first.set()
        assert go_on.wait(30)

    clock = taker(Store(row, between=hold))
    with ThreadPoolExecutor(9) as pool:
        early = pool.submit(clock.take, asking("early"))
        assert first.wait(30)
        others = [pool.submit(clock.take, asking(f"{n}")) for n in range(8)]
        eventually(lambda: len(clock._asks) == 9, within=30)
        go_on.set()
        blocks = [early.result(), *(one.result() for one in others)]
    assert [len(move.newest) for move in row.moves] == [1, 8]
    assert len({block.start for block in blocks}) == 9
    assert {block.request.load_key for block in blocks} == {"early", *"01234567"}
    assert set(row.filed.values()) == set(blocks)


def test_who_asks_while_a_move_is_lost_goes_along_with_the_next_try() -> None:
    row = Row()
    rival, late = taker(Store(row)), threading.Event()
    lost = iter([True])

    def lose_once() -> None:
        if next(lost, False):
            rival.take(asking("rival"))
            late.set()
            eventually(lambda: len(clock._asks) == 2, within=30)

    clock = taker(Store(row, between=lose_once))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(clock.take, asking("first"))
        assert late.wait(30)
        second = pool.submit(clock.take, asking("second"))
        assert second.result(30).start == first.result(30).end
    assert [len(move.newest) for move in row.moves] == [1, 2]


@pytest.mark.parametrize("steps", [["dead"], ["fine", "dead"], ["fine", "fine", "dead"]])
def test_who_asked_for_a_move_that_failed_hears_of_it_and_the_next_one_works(
    steps: list[str],
) -> None:
    fates = iter(steps)
    clock = taker(Store(Row(), fate=lambda: next(fates, "fine")))
    with pytest.raises((NotAppliedError, UnreachableError)):
        clock.take(asking())
    # A block whose taker never heard of it is left over.
    assert clock.take(asking()).start == NOON + 12 * (len(steps) == 3)
    assert clock._asks == []


def test_a_taker_that_always_loses_gives_up() -> None:
    row = Row()
    rival = taker(Store(row))
    loser = Store(row, between=lambda: rival.take(asking("rival")) and None)
    clock = StampClock(loser, TABLE, sleep=loser.sleep, patience=-1)
    with pytest.raises(LedgerError, match="was moved by others for -1 s"):
        clock.take(asking("loser"))
    assert {block.request.load_key for block in row.filed.values()} == {"rival"}


def test_who_dies_before_filing_is_filed_by_the_next() -> None:
    row = Row()
    fates = iter(["fine", "fine", "dead"])  # read, move, and dead before the record
    with pytest.raises(UnreachableError):
        taker(Store(row, fate=lambda: next(fates))).take(asking("died", provenance=WHO))
    assert row.filed == {}
    after = taker(Store(row)).take(asking("next"))
    died, found = sorted(row.filed.values(), key=lambda block: block.start)
    assert found == after
    assert (died.request.load_key, died.request.provenance) == ("died", WHO)
    assert died.end == after.start


def test_a_lost_answer_takes_one_block_and_not_two() -> None:
    row = Row()
    fates = iter(["fine", "lost"])
    block = taker(Store(row, fate=lambda: next(fates, "fine"))).take(asking())
    assert [move.newest for move in row.moves] == [(block,)]


def test_a_move_that_comes_after_it_was_given_up_is_recognised() -> None:
    row = Row()
    # Lost, not there at the look, and there when the next one is sent.
    fates = iter(["fine", "late", "fine"])
    store = Store(row, fate=lambda: next(fates, "fine"), between=row.arrive_late)
    block = taker(store).take(asking())
    assert [move.newest for move in row.moves] == [(block,)]
    assert list(row.filed.values()) == [block]


@given(
    fates=st.lists(st.sampled_from(FATES), max_size=60),
    skews=st.lists(
        st.integers(-7 * SECOND, 7 * SECOND) | st.sampled_from([3600 * SECOND, -3600 * SECOND]),
        min_size=3,
        max_size=3,
    ),
    steps=st.lists(
        st.tuples(
            st.integers(0, 2),  # who takes
            st.integers(0, 2),  # who comes between, if it is another
            st.sampled_from([1, 3, 1000, LONGEST]),
            st.integers(0, SECOND),  # how long after the last
        ),
        max_size=12,
    ),
)
@settings(deadline=None, max_examples=60)
def test_blocks_never_overlap_never_go_back_and_are_filed_before_use(
    fates: list[str], skews: list[int], steps: list[tuple[int, int, int, int]]
) -> None:
    row, left = Row(), iter(fates)
    stores = [Store(row, skew, lambda: next(left, "fine")) for skew in skews]
    clocks = [taker(store) for store in stores]
    taken: list[Block] = []

    def take(who: int, request: BlockRequest) -> None:
        try:
            block = clocks[who].take(request)
        except PrefectCassandraError:
            return
        # What was returned before is below, wherever the time of this machine stands.
        assert all(block.start >= one.end for one in taken)
        assert block.end <= stores[who].now() + LEAD
        assert row.filed[block.start, block.request.id] == block
        assert block.request is request
        taken.append(block)

    def intrude(host: int, guest: int) -> Callable[[], None]:
        once = iter([True])

        def between() -> None:
            # A process does not wait for itself: a guest is another one.
            if guest != host and next(once, False):
                take(guest, asking(f"guest of {host}"))

        return between

    for who, guest, chunks, later in steps:
        row.time += later
        stores[who].between = intrude(who, guest)
        take(who, asking(f"{who}", chunks))
        stores[who].between = lambda: None
    row.arrive_late()
    given_out = [block for move in row.moves for block in move.newest]
    assert all(a.end <= b.start for a, b in pairwise(given_out))
    assert [b.previous for b in given_out] == [None, *(b.start for b in given_out)][:-1]
    assert set(taken) <= set(given_out)
    assert {(b.start, b.request.id) for move in row.moves[:-1] for b in move.newest} <= set(
        row.filed
    )
