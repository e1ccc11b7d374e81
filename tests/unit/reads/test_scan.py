from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from prefect_cassandra.driver.tables import ColumnInfo, TableInfo
from prefect_cassandra.errors import StatementError, UnreachableError
from prefect_cassandra.reads.ranges import Split, TokenRange
from prefect_cassandra.reads.scan import Scan, count_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class SlowReader:
    """Reads ranges of one row, each when it is let."""

    def __init__(self, *_about: Any, **_options: Any) -> None:
        self.decoder = SimpleNamespace(schema=pa.schema([("a", pa.int64())]))
        self.asked, self.let = threading.Event(), threading.Event()

    def batches(self, _range: TokenRange) -> Iterator[pa.RecordBatch]:
        self.asked.set()
        self.let.wait(10)
        yield pa.record_batch({"a": [1]})


def test_who_waits_for_a_scan_that_is_closed_waits_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As an asynchronous flow does that is cancelled: its thread asks for the next batch."""
    monkeypatch.setattr("prefect_cassandra.reads.range_reader.RangeReader", SlowReader)
    one = Split((TokenRange(0, 1),))
    monkeypatch.setattr("prefect_cassandra.reads.scan.plan_splits", lambda *_: [one])
    scan = Scan(Ring([], 1), "ks.Days")  # type: ignore[arg-type]
    seen: list[pa.RecordBatch] = []
    waiting = threading.Thread(target=lambda: seen.extend(scan), daemon=True)
    waiting.start()
    reader: Any = scan._reader
    assert reader.asked.wait(10)
    closing = threading.Thread(target=scan.close)
    closing.start()
    assert scan._stop.wait(10)
    reader.let.set()
    closing.join(10)
    waiting.join(10)
    assert not waiting.is_alive()
    assert seen == []
