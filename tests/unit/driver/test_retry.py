from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_cassandra.driver.config import RetryRules
from prefect_cassandra.driver.outcomes import Meaning
from prefect_cassandra.driver.retry import Again, GiveUp, NeverInside, backoff, decide


class Highest:
    """The worst luck: every pause is as long as it can be."""

    def uniform(self, low: float, high: float, /) -> float:
        del low
        return high


RULES = RetryRules(attempts=3, backoff=0.1, backoff_max=0.3)


def ask(
    means: Meaning, *, idempotent: bool, attempt: int = 1, rules: RetryRules = RULES
) -> Again | GiveUp:
    return decide(means, idempotent=idempotent, attempt=attempt, rules=rules, rng=Highest())


@pytest.mark.parametrize(
    ("means", "idempotent", "expected"),
    [
        (Meaning.UNSENT, False, Again(0.1, renew=True)),
        (Meaning.UNSENT, True, Again(0.1, renew=True)),
        (Meaning.NOT_APPLIED, False, Again(0.1, next_host=True)),
        (Meaning.NO_ANSWER, True, Again(0.1, next_host=True)),
        (Meaning.UNKNOWN, True, Again(0.1, next_host=True)),
        (Meaning.UNKNOWN, False, GiveUp()),
        (Meaning.UNKNOWN_FOR_GOOD, True, GiveUp()),
        (Meaning.UNKNOWN_FOR_GOOD, False, GiveUp()),
        (Meaning.REFUSED, True, GiveUp()),
        (Meaning.FORBIDDEN, True, GiveUp()),
        (Meaning.LOGIN_REFUSED, True, GiveUp()),
        (Meaning.UNREADABLE, True, GiveUp()),
        (Meaning.OURS, True, GiveUp()),
    ],
)
def test_decision_follows_what_the_error_says_and_whether_a_repeat_is_safe(
    means: Any, idempotent: Any, expected: Any
) -> None:
    assert ask(means, idempotent=idempotent) == expected


def test_every_meaning_is_decided_in_the_table_above() -> None:
    marks = test_decision_follows_what_the_error_says_and_whether_a_repeat_is_safe.pytestmark
    assert {row[0] for row in marks[0].args[1]} == set(Meaning)


def test_repeats_stop_after_the_allowed_number() -> None:
    steps = [ask(Meaning.UNSENT, idempotent=True, attempt=n) for n in range(1, 6)]

    assert [type(step) for step in steps] == [Again, Again, Again, GiveUp, GiveUp]


def test_no_repeats_are_made_when_none_are_allowed() -> None:
    assert ask(Meaning.UNSENT, idempotent=True, rules=RetryRules(attempts=0)) == GiveUp()


def test_longest_pause_doubles_up_to_its_bound() -> None:
    assert [backoff(n, RULES, Highest()) for n in (1, 2, 3, 9)] == [0.1, 0.2, 0.3, 0.3]


@given(
    st.integers(1, 5000),
    st.floats(0, 100),
    st.floats(0, 100),
    st.integers(),
)
def test_pause_is_never_negative_nor_beyond_its_bound(
    attempt: Any, first: Any, longest: Any, seed: Any
) -> None:
    rules = RetryRules(backoff=first, backoff_max=longest)

    assert 0 <= backoff(attempt, rules, random.Random(seed)) <= longest  # noqa: S311 -- jitter


def test_pauses_of_many_clients_are_spread_out() -> None:
    rng = random.Random(1)  # noqa: S311 -- jitter

    pauses = [backoff(1, RULES, rng) for _ in range(1000)]

    assert min(pauses) < 0.01
    assert max(pauses) > 0.09


def test_driver_is_told_to_repeat_nothing_by_itself() -> None:
    policy = NeverInside()

    for ask_policy in (
        policy.on_read_timeout,
        policy.on_write_timeout,
        policy.on_unavailable,
        policy.on_request_error,
    ):
        assert ask_policy(None, 1, retry_num=0) == (policy.RETHROW, None)
