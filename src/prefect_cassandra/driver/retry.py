"""When a request is sent again, and after which pause: a pure decision and nothing else.

The driver asks its retry policies on the thread that serves every connection, where nobody may
wait; it never looks at idempotence and repeats without a pause or an end. So inside the driver
nothing is repeated (`NeverInside`), and the session repeats outside, by `decide`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cassandra.policies import RetryPolicy

from prefect_cassandra.driver.outcomes import Meaning

if TYPE_CHECKING:
    from prefect_cassandra.driver.config import RetryRules


class Random(Protocol):
    """The one thing asked of a random number generator."""

    def uniform(self, low: float, high: float, /) -> float:
        """Return a number between `low` and `high`."""


@dataclass(frozen=True, slots=True)
class Again:
    """Send it again.

    Args:
        pause: Seconds to wait first.
        next_host: Ask another node first, because this one said it cannot.
        renew: Every known node is gone: look the contact points up again before the repeat.
    """

    pause: float
    next_host: bool = False
    renew: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not send it again; the error stands."""


_ALWAYS_SAFE = (Meaning.UNSENT, Meaning.NOT_APPLIED, Meaning.NO_ANSWER)


def decide(
    means: Meaning, *, idempotent: bool, attempt: int, rules: RetryRules, rng: Random
) -> Again | GiveUp:
    """Decide what follows an error.

    Args:
        means: What the error says about the request.
        idempotent: Whether applying the request twice ends as applying it once.
        attempt: Tries made so far, from 1.
        rules: How often and how patiently.
        rng: Where the jitter comes from.
    """
    safe = means in _ALWAYS_SAFE or (means is Meaning.UNKNOWN and idempotent)
    if not safe or attempt > rules.attempts:
        return GiveUp()
    return Again(
        pause=backoff(attempt, rules, rng),
        next_host=means is not Meaning.UNSENT,
        renew=means is Meaning.UNSENT,
    )


def backoff(attempt: int, rules: RetryRules, rng: Random) -> float:
    """Return the seconds to wait after the `attempt`-th try, counted from 1.

    Full jitter: anything from nothing to the doubled bound, so that clients that failed together
    do not return together.
    """
    # The exponent is bounded because 2.0 ** 1024 is an error, not a large number.
    bound = min(rules.backoff_max, rules.backoff * 2.0 ** min(attempt - 1, 64))
    return rng.uniform(0.0, bound)


class NeverInside(RetryPolicy):  # type: ignore[misc]  # the driver has no types
    """Tells the driver to hand every error over at once."""

    def on_read_timeout(self, *_args: Any, **_kwargs: Any) -> tuple[int, None]:
        """Hand the error over."""
        return self.RETHROW, None

    on_write_timeout = on_unavailable = on_request_error = on_read_timeout
