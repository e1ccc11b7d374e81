from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.errors import StatementError, UnreachableError
from prefect_cassandra.reads.scan import count_rows

TABLE = TableInfo(
    "ks", "Days", (ColumnInfo("Day", "date", "partition_key"),), ("Day", "origin"), ()
)


class Ring:
    """A node that counts the tokens it holds and gives no answer about ranges that are too wide."""

    def __init__(self, tokens: list[int], widest: int, error: Exception | None = None) -> None:
        self.tokens = tokens
        self.widest = widest
        self.error = error or UnreachableError("no answer")
        self.asked: list[str] = []

    def table(self, *_name: str) -> TableInfo:
        return TABLE

    def execute(self, query: str, bounds: Any = None, **_options: Any) -> Any:
        if "system." in query:
            return [{"tokens": {"-5", "7"}}]
        self.asked.append(query)
        low, high = bounds
        if high - low > self.widest:
            raise self.error
        found = sum(low < token <= high for token in self.tokens)
        return SimpleNamespace(one=lambda: {"rows": found})


TOKENS = [-(2**63) + 1, -5, -4, 0, 7, 8, 2**63 - 1]


@pytest.mark.parametrize("widest", [2**64, 2**57])
def test_count_rows_counts_every_token_once(widest: int) -> None:
    ring = Ring(TOKENS, widest)
    assert count_rows(ring, "ks", "Days") == len(TOKENS)  # type: ignore[arg-type]
    assert 'FROM "ks"."Days" WHERE token("Day", "origin") > ?' in ring.asked[0]


def test_count_rows_gives_up_when_no_range_is_small_enough() -> None:
    with pytest.raises(UnreachableError):
        count_rows(Ring(TOKENS, 0), "ks", "Days")  # type: ignore[arg-type]


def test_count_rows_does_not_cut_for_errors_that_cutting_cannot_mend() -> None:
    ring = Ring(TOKENS, 0, StatementError("no such table"))
    with pytest.raises(StatementError):
        count_rows(ring, "ks", "Days", in_flight=1)  # type: ignore[arg-type]
    assert len(ring.asked) < 70
