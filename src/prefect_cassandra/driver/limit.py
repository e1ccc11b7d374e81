"""How many requests may be unanswered at one time, learned from how they are answered.

Two signs move the limit, and neither needs to know what a cluster can bear:

- Refusals and lost answers (`Overloaded`, timeouts) halve it, and every round without one gives
  one back: additive increase, multiplicative decrease, as TCP does (RFC 5681, section 3.1). The
  start doubles the limit round by round until the first such sign.
- Slowness. By Little's law the latency divided by the requests under way is the time the server
  takes for one. Latency alone would grow with the limit itself; this does not. While it is more
  than twice the usual, the limit shrinks in proportion, so that an answer takes at most about
  twice as long as usual, however slow the server has become.

Nothing here knows the clock or the network: times come in as arguments.
"""

from __future__ import annotations

import cassandra
from cassandra.protocol import OverloadedErrorMessage

# How far a round moves the usual: fifty rounds to get used to a slower server, ten to a faster one,
# because the first answers of a cold node are its slowest.
_SLOWER, _FASTER = 0.02, 0.1
_TOLERANCE = 2.0
_START = 8
# An answer that took this share of its timeout is a lost answer that was lucky.
_LATE = 0.5


class InFlightLimit:
    """The limit of one stream of requests.

    Args:
        ceiling: Most requests ever allowed at one time.
        floor: Fewest; at least 1, or the stream would never learn that the server is well again.
    """

    def __init__(self, ceiling: int, floor: int = 1) -> None:
        self._ceiling, self._floor = ceiling, min(floor, ceiling)
        self._bearable = float(min(ceiling, _START))
        self._starting = True
        self._shrink = 1.0
        self._cut_at = float("-inf")
        self._usual = 0.0
        self._answers = self._round = 0
        self._latencies = self._under_way = 0.0
        self._begin_round()

    @property
    def allowed(self) -> int:
        """Requests that may be unanswered now."""
        return max(self._floor, int(self._bearable * self._shrink))

    def answered(self, sent: float, now: float, under_way: int, timeout: float) -> None:
        """Learn from an answer.

        Args:
            sent: When the request was sent, in seconds of any clock.
            now: When its answer came, by the same clock.
            under_way: Requests unanswered when it came, itself included.
            timeout: Seconds after which it would have been given up; 0 for never.
        """
        latency = max(0.0, now - sent)
        if timeout and latency > _LATE * timeout:
            self.refused(sent, now)
        self._answers += 1
        self._latencies += latency
        self._under_way += max(1, under_way)
        if self._answers >= self._round:
            self._end_round()

    def refused(self, sent: float, now: float) -> None:
        """Learn from a refusal, or from an answer that did not come; see `overload`.

        Requests sent before the last cut tell of the time before it, and do not cut again.
        """
        if sent < self._cut_at:
            return
        self._cut_at = now
        self._starting = False
        self._bearable = max(float(self._floor), self._bearable / 2)
        self._begin_round()

    def _end_round(self) -> None:
        """Once in as many answers as may be under way, move the limit."""
        # Both sums are over the same answers, so this is mean latency by mean number under way.
        cost = self._latencies / self._under_way
        if not self._usual:
            self._usual = cost
        slowness = cost / self._usual if self._usual else 1.0
        self._shrink = min(1.0, _TOLERANCE / slowness) if slowness else 1.0
        self._usual += (cost - self._usual) * (_SLOWER if slowness > 1 else _FASTER)
        # A stream that does not use its limit learns nothing about a higher one.
        if self._under_way >= self._answers * self.allowed / 2:
            self._bearable += self._bearable if self._starting else 1.0
            self._bearable = min(float(self._ceiling), self._bearable)
        self._begin_round()

    def _begin_round(self) -> None:
        self._answers = 0
        self._latencies = self._under_way = 0.0
        self._round = self.allowed


def overload(error: BaseException) -> bool:
    """Tell whether an error says that the cluster has more to do than it can bear.

    A dead node does not: fewer requests would not bring it back.

    Args:
        error: What the driver raised.
    """
    return isinstance(
        error, OverloadedErrorMessage | cassandra.OperationTimedOut | cassandra.Timeout
    )
