from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from prefect_cassandra.errors import NotAppliedError, PrefectCassandraError, StatementError
from prefect_cassandra.kube.doctor.data import judge_migrations, look_at_canary, migration_states
from prefect_cassandra.schema.migrations import Migration, Record, checksum

if TYPE_CHECKING:
    from prefect_cassandra.driver.session import Session

WHEN = datetime(2030, 1, 1, tzinfo=UTC)


def record(number: int, state: Any = "APPLIED", text: str = "a") -> Record:
    done = 1 if state == "APPLIED" else 0
    runner = ("prefect_owner", 1, "0.1.0", 1, "host", 1)
    marks = (checksum(text), 1, done, checksum(""))
    return Record(number, "first", *marks, state, WHEN, WHEN, *runner)


def migration(number: int, text: str = "a") -> Migration:
    return Migration("flights", number, "first", checksum(text), (), ())


@pytest.mark.parametrize(
    ("files", "records", "status", "said"),
    [
        ([migration(1)], [record(1)], "ok", "1 carried out, as the files say"),
        ([migration(1), migration(2)], [record(1)], "warn", "pending: flights/0002_first"),
        ([migration(1)], [record(1), record(2)], "warn", "not in the folder: flights/0002_first"),
        ([migration(1, "b")], [record(1)], "fail", "changed after they were carried out"),
        ([migration(1)], [record(1, "RUNNING")], "fail", "unfinished: flights/0001_first"),
        (None, [record(1)], "ok", "1 carried out, none open"),
        (None, [record(1), record(2, "RUNNING")], "fail", "unfinished: flights/0002_first"),
    ],
)
def test_migrations_are_compared_with_files_where_there_are_any(
    files: list[Migration] | None, records: list[Record], status: str, said: str
) -> None:
    known = {"flights": {one.number: one for one in records}}
    states = migration_states(None if files is None else {"flights": files}, known)
    check = judge_migrations(states, compared=files is not None)
    assert check.status == status
    assert said in check.evidence


class Refusing:
    """A session of which every statement fails in one way."""

    def __init__(self, error: PrefectCassandraError) -> None:
        self.error = error

    def execute(self, *_: Any, **__: Any) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        (StatementError("table canary does not exist"), "no table prefect_ledger.canary",
         "helm upgrade"),
        (NotAppliedError("1 of 2 replicas"), "1 of 2 replicas", "cassandra.ring"),
    ],
)  # fmt: skip
def test_a_canary_that_cannot_sing_says_why(
    error: PrefectCassandraError, said: str, hint: str
) -> None:
    check = look_at_canary(cast("Session", Refusing(error)))
    assert check.status == "fail"
    assert said in check.evidence
    assert hint in check.hint
