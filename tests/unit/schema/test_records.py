from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from prefect_cassandra.errors import NotAppliedError, OutcomeUnknownError, StatementError
from prefect_cassandra.schema import records
from prefect_cassandra.schema.records import compare_and_set, once_known


@dataclass
class Answer:
    applied: bool | None


class OneAnswer:
    """Answers every statement alike, or fails alike."""

    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        self.idempotent: list[object] = []

    def execute(
        self, *_: Any, idempotent: object = None, serial_consistency: object = None
    ) -> Answer:
        self.idempotent.append(idempotent)
        # Whatever the session's own level is: the reads that decide are at SERIAL too.
        assert serial_consistency == "SERIAL"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("applied", [True, False])
def test_compare_and_set_takes_the_servers_word_without_looking_again(*, applied: bool) -> None:
    session: Any = OneAnswer(Answer(applied))
    confirmations: list[int] = []
    result = compare_and_set(session, "UPDATE", [], lambda: bool(confirmations.append(1)))
    assert (result, confirmations) == (applied, [])
    # A conditional write that is sent twice could see its own first copy and say "not applied".
    assert session.idempotent == [False]


@pytest.mark.parametrize("mine", [True, False])
def test_compare_and_set_lets_a_serial_read_decide_when_the_outcome_is_unknown(
    *, mine: bool
) -> None:
    session: Any = OneAnswer(OutcomeUnknownError("lost"))
    assert compare_and_set(session, "UPDATE", [], lambda: mine) is mine


def test_compare_and_set_passes_on_that_nothing_was_done() -> None:
    session: Any = OneAnswer(NotAppliedError("too few replicas"))
    with pytest.raises(NotAppliedError):
        compare_and_set(session, "UPDATE", [], lambda: True)


def test_once_known_asks_again_until_the_table_is_there_or_the_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[Any] = [StatementError("table does not exist"), "there"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert once_known(ask) == "there"
    monkeypatch.setattr(records, "_BECOMES_KNOWN", 0.0)
    answers.append(StatementError("table does not exist"))
    with pytest.raises(StatementError):
        once_known(ask)
