from __future__ import annotations

import random

import pytest

from prefect_cassandra.writes.batching import (
    BATCH_BYTES,
    BATCH_ROWS,
    batches,
    fold_duplicates,
)

Columns = list[list[bytes | None]]


def test_fold_duplicates_returns_the_columns_when_keys_differ() -> None:
    columns: Columns = [[b"a", b"a"], [b"1", b"2"]]
    assert fold_duplicates(columns, 2, keep_earlier=True) == (columns, 0)


def test_fold_duplicates_lets_the_last_row_win_in_its_place() -> None:
    columns: Columns = [[b"a", b"b", b"a"], [b"1", b"2", b"3"]]
    assert fold_duplicates(columns, 1, keep_earlier=True) == ([[b"b", b"a"], [b"2", b"3"]], 1)


def test_fold_duplicates_fills_gaps_from_earlier_rows_when_missing_means_unset() -> None:
    columns: Columns = [[b"a"] * 3, [b"1", b"2", None], [b"x", None, None]]
    assert fold_duplicates(columns, 1, keep_earlier=True) == ([[b"a"], [b"2"], [b"x"]], 2)
    assert columns[1] == [b"1", b"2", None], "the caller's columns were changed"


def test_fold_duplicates_keeps_gaps_when_missing_means_null() -> None:
    columns: Columns = [[b"a"] * 2, [b"1", None]]
    assert fold_duplicates(columns, 1, keep_earlier=False) == ([[b"a"], [None]], 1)


def test_batches_keep_partitions_apart_and_rows_in_order() -> None:
    columns: Columns = [[b"a", b"b", b"a"], [b"1", b"2", b"3"]]
    assert list(batches(columns, 1, BATCH_BYTES)) == [[(b"a", b"1"), (b"a", b"3")], [(b"b", b"2")]]


def test_batches_compare_every_part_of_the_partition_key() -> None:
    columns: Columns = [[b"a", b"a"], [b"1", b"2"], [b"x", b"y"]]
    assert [len(batch) for batch in batches(columns, 2, 2)] == [1, 1]


@pytest.mark.parametrize("widest", [1, BATCH_BYTES])
def test_batches_stop_at_the_row_limit(widest: int) -> None:
    rows = 2 * BATCH_ROWS + 1
    columns: Columns = [[b"a"] * rows, [b"%d" % n for n in range(rows)]]
    assert [len(batch) for batch in batches(columns, 1, widest)] == [BATCH_ROWS, BATCH_ROWS, 1]


def test_batches_stop_at_the_size_limit_and_send_a_large_row_alone() -> None:
    big = b"x" * BATCH_BYTES
    columns: Columns = [[b"a"] * 4, [b"1", big, b"2", b"3"]]
    assert [len(batch) for batch in batches(columns, 1, BATCH_BYTES)] == [1, 1, 2]


def test_batches_lose_and_invent_no_row_for_random_input() -> None:
    rng = random.Random(7)  # noqa: S311 -- reproducible, not secret
    columns: Columns = [
        [b"%d" % rng.randrange(40) for _ in range(3000)],
        [b"%d" % n for n in range(3000)],
        [rng.choice([None, b"v" * rng.randrange(3000)]) for _ in range(3000)],
    ]
    out = list(batches(columns, 1, BATCH_BYTES))
    sent = sorted((row for batch in out for row in batch), key=lambda row: int(row[1] or b"0"))
    assert sent == list(zip(*columns, strict=True))
    for batch in out:
        assert len({row[0] for row in batch}) == 1
        assert len(batch) <= BATCH_ROWS
        size = sum(len(value) for row in batch for value in row if value)
        assert size <= BATCH_BYTES or len(batch) == 1
