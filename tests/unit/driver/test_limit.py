"""What the limit learns, with a server made of arithmetic instead of a network."""

from __future__ import annotations

import heapq

import pytest
from cassandra import (
    ConsistencyLevel,
    InvalidRequest,
    OperationTimedOut,
    ReadTimeout,
    Unavailable,
    WriteTimeout,
    WriteType,
)
from cassandra.connection import ConnectionShutdown
from cassandra.protocol import OverloadedErrorMessage
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver.limit import InFlightLimit, overload

TIMEOUT = 20.0


class Server:
    """Serves one request after another, each in `service` seconds, after `distance` on the way.

    Args:
        limit: Learns from the answers.
        capacity: Requests it holds at one time; more are refused at once.
    """

    def __init__(self, limit: InFlightLimit, capacity: int = 10**6) -> None:
        self.limit = limit
        self.capacity = capacity
        self.service, self.distance = 0.0005, 0.0002
        self.now = self.free = 0.0
        self.under_way: list[tuple[float, float]] = []
        self.refusals = 0

    def serve(self, requests: int) -> list[int]:
        """Send `requests`, always as many at a time as allowed; return the limit after each."""
        seen = []
        for _ in range(requests):
            while len(self.under_way) < self.limit.allowed:
                self._take()
            answered, sent = heapq.heappop(self.under_way)
            self.now = max(self.now, answered)
            self.limit.answered(sent, answered, len(self.under_way) + 1, TIMEOUT)
            seen.append(self.limit.allowed)
        return seen

    def _take(self) -> None:
        if len(self.under_way) >= self.capacity:
            self.refusals += 1
            self.limit.refused(self.now, self.now)
            return
        self.free = max(self.free, self.now) + self.service
        heapq.heappush(self.under_way, (self.free + self.distance, self.now))


def test_a_healthy_server_gets_all_that_is_allowed_after_a_few_rounds() -> None:
    limit = InFlightLimit(32)

    seen = Server(limit).serve(2000)

    assert seen[0] == 8
    assert seen.index(32) < 100
    assert set(seen[100:]) == {32}


def test_a_distant_server_gets_all_that_is_allowed() -> None:
    limit = InFlightLimit(64)
    server = Server(limit)
    server.distance = 0.1

    seen = server.serve(2000)

    assert set(seen[300:]) == {64}


def test_server_that_becomes_ten_times_slower_gets_fewer_at_a_time_and_then_all_again() -> None:
    limit = InFlightLimit(32)
    server = Server(limit)
    server.serve(2000)

    server.service *= 10
    slow = server.serve(100)
    server.service /= 10
    well = server.serve(400)

    assert min(slow) <= 8
    # An answer is awaited about twice as long as usual, not ten times.
    assert slow[-1] * server.service * 10 < 3 * 32 * server.service
    assert well[-1] == 32


def test_server_that_stays_slow_becomes_the_usual() -> None:
    limit = InFlightLimit(32)
    server = Server(limit)
    server.serve(2000)

    server.service *= 5

    assert server.serve(4000)[-1] == 32


def test_one_pause_of_the_server_is_forgotten_after_a_round() -> None:
    limit = InFlightLimit(32)
    server = Server(limit)
    server.serve(2000)

    server.free = server.now + 0.2
    seen = server.serve(200)

    assert min(seen) < 32
    assert seen[-1] == 32


@pytest.mark.parametrize("capacity", [2, 5, 20])
def test_server_that_refuses_is_asked_about_as_much_as_it_bears(capacity: int) -> None:
    server = Server(InFlightLimit(64), capacity)
    server.serve(500)
    server.refusals = 0

    seen = server.serve(2000)

    assert capacity / 2 - 1 <= min(seen)
    assert max(seen) <= capacity + 1
    assert server.refusals < len(seen) / capacity


def test_answers_to_what_was_sent_before_a_cut_do_not_cut_again() -> None:
    limit = InFlightLimit(16)
    for _ in range(40):
        limit.answered(0.0, 0.001, limit.allowed, TIMEOUT)
    assert limit.allowed == 16

    for _ in range(16):
        limit.refused(sent=1.0, now=2.0)

    assert limit.allowed == 8
    limit.refused(sent=2.5, now=3.0)
    assert limit.allowed == 4


def test_answer_that_nearly_came_too_late_counts_as_one_that_did() -> None:
    limit = InFlightLimit(8)

    limit.answered(0.0, 0.6 * TIMEOUT, 8, TIMEOUT)

    assert limit.allowed == 4


def test_stream_that_sends_little_does_not_raise_its_limit() -> None:
    limit = InFlightLimit(64)

    for number in range(1000):
        limit.answered(number, number + 0.001, 1, TIMEOUT)

    assert limit.allowed == 8


@given(
    st.integers(1, 100),
    st.lists(
        st.tuples(
            st.floats(0, 1e6, allow_nan=False),
            st.floats(-1, 1e6, allow_nan=False),
            st.integers(0, 100),
            st.booleans(),
        ),
        max_size=200,
    ),
)
def test_limit_is_never_less_than_one_or_more_than_its_ceiling(
    ceiling: int, events: list[tuple[float, float, int, bool]]
) -> None:
    limit = InFlightLimit(ceiling)

    for sent, took, under_way, answered in events:
        if answered:
            limit.answered(sent, sent + took, under_way, TIMEOUT)
        else:
            limit.refused(sent, sent + took)
        assert 1 <= limit.allowed <= ceiling


@pytest.mark.parametrize(
    ("error", "says_so"),
    [
        (OverloadedErrorMessage(0x1001, "overloaded", None), True),
        (OperationTimedOut({}, "10.0.0.1"), True),
        (WriteTimeout("late", write_type=WriteType.SIMPLE), True),
        (ReadTimeout("late"), True),
        (Unavailable("down", ConsistencyLevel.ONE, 1, 0), False),
        (ConnectionShutdown("gone"), False),
        (InvalidRequest("no"), False),
    ],
)
def test_only_refusals_and_lost_answers_tell_of_overload(
    error: Exception, *, says_so: bool
) -> None:
    assert overload(error) is says_so
