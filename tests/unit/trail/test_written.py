from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.ledger.chunks import ChunkRecord
from prefect_cassandra.ledger.lookup import ChunkAttempt
from prefect_cassandra.trail.written import count_sent, written_by


def attempt(number: int, rows: int, state: Any) -> ChunkAttempt:
    record = ChunkRecord(number, b"d", uuid.uuid4(), 0, 0, rows, state)
    return ChunkAttempt(record, "run", 1)


def test_chunks_count_once_however_many_attempts_sent_them() -> None:
    found = [
        *(attempt(0, 10, "BEGUN"), attempt(0, 10, "DONE")),
        *(attempt(1, 5, "BEGUN"), attempt(2, 7, "REFUSED")),
    ]
    assert count_sent(found) == (2, 15)
    assert count_sent([]) == (0, 0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "Neither a run nor a person"),
        ({"run": "", "person": ""}, "Neither a run nor a person"),
        ({"run": "r", "person": "p"}, "Both a run and a person"),
        (
            {"person": "p", "since": datetime(2013, 7, 4)},  # noqa: DTZ001 -- the point
            "2013-07-04T00:00:00 has no zone",
        ),
    ],
)
def test_a_question_that_is_none_is_refused(asked: dict[str, Any], message: str) -> None:
    session: Any = None  # nobody is asked
    with pytest.raises(ConfigurationError, match=message):
        written_by(session, **asked)
