from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from prefect_cassandra.driver.encoded import (
    Cells,
    FixedCells,
    VariedCells,
    encode_rows,
    equal_codes,
)
from prefect_cassandra.writes.batching import (
    arrange,
    by_group,
    cuts,
    grouped,
    shared,
    spread_static,
)
from prefect_cassandra.writes.limits import BatchLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

Column = list[bytes | None]


def cells(*columns: Column) -> list[Cells]:
    return [VariedCells(pa.array(column, pa.large_binary())) for column in columns]


def values(columns: Sequence[Cells]) -> list[Column]:
    return [[column.value(row) for row in range(len(column))] for column in columns]


def folded(*columns: Column, key: int, keep_earlier: bool = True) -> tuple[list[Column], int]:
    found = arrange(cells(*columns), 1, key, keep_earlier=keep_earlier)
    return values(found.columns), found.merged


def test_arrange_changes_nothing_when_keys_differ() -> None:
    columns: list[Column] = [[b"a", b"a"], [b"1", b"2"]]
    assert folded(*columns, key=2) == (columns, 0)


def test_arrange_lets_the_last_row_win_in_its_place() -> None:
    columns: list[Column] = [[b"a", b"b", b"a"], [b"1", b"2", b"3"]]
    assert folded(*columns, key=1) == ([[b"a", b"b"], [b"3", b"2"]], 1)


def test_arrange_fills_gaps_from_earlier_rows_when_missing_means_unset() -> None:
    columns: list[Column] = [[b"a"] * 3, [b"1", b"2", None], [b"x", None, None]]
    assert folded(*columns, key=1) == ([[b"a"], [b"2"], [b"x"]], 2)


def test_arrange_keeps_gaps_when_missing_means_null() -> None:
    columns: list[Column] = [[b"a"] * 2, [b"1", None]]
    assert folded(*columns, key=1, keep_earlier=False) == ([[b"a"], [None]], 1)


def test_arrange_does_not_fill_a_gap_from_another_key() -> None:
    columns: list[Column] = [[b"a", b"b", b"b"], [b"1", None, None]]
    assert folded(*columns, key=1) == ([[b"a", b"b"], [b"1", None]], 1)


@pytest.mark.parametrize("keep_earlier", [True, False])
def test_arrange_leaves_what_writing_row_by_row_would(keep_earlier: bool) -> None:  # noqa: FBT001 -- a case
    rng = random.Random(11)  # noqa: S311 -- reproducible, not secret
    rows = [
        (b"%d" % rng.randrange(5), b"%d" % rng.randrange(5), rng.choice([None, b"%d" % n]))
        for n in range(200)
    ]
    stored: dict[tuple[bytes, bytes], bytes | None] = {}
    for first, second, value in rows:
        before = stored.pop((first, second), None)
        stored[first, second] = before if value is None and keep_earlier else value
    left, count = folded(*map(list, zip(*rows, strict=True)), key=2, keep_earlier=keep_earlier)
    assert {(p, c): value for p, c, value in zip(*left, strict=True)} == stored
    assert count == len(rows) - len(stored)


def test_spread_static_gives_a_partition_its_last_value() -> None:
    static = cells([b"1", b"2", None, None, b"3"])
    codes = np.array([0, 0, 0, 1, 2])
    assert values(spread_static(static, codes, keep_earlier=True)) == [
        [b"2", b"2", b"2", None, b"3"]
    ]
    assert values(spread_static(static, codes, keep_earlier=False)) == [
        [None, None, None, None, b"3"]
    ]


def test_arrange_finds_the_last_static_value_in_a_row_that_is_folded_away_too() -> None:
    partition, clustering = [b"p"] * 3, [b"1", b"2", b"1"]
    columns = cells(partition, clustering, [b"old", b"new", None])
    found = arrange(columns, 1, 2, (2,), keep_earlier=True)
    assert values(found.columns) == [[b"p", b"p"], [b"2", b"1"], [b"new", b"new"]]
    assert found.merged == 1


def test_keys_are_equal_where_what_is_sent_is() -> None:
    zeros = FixedCells(np.array([0.0, -0.0, 0.0]), np.dtype(">f8"))
    assert arrange([zeros], 1, 1, keep_earlier=True).merged == 1
    close = FixedCells(np.array([0.1, 0.1 + 1e-12]), np.dtype(">f4"))
    assert arrange([*cells([b"p", b"p"]), close], 1, 2, keep_earlier=True).merged == 1


def test_grouped_brings_partitions_together_and_keeps_the_order_of_their_rows() -> None:
    order = grouped(equal_codes(cells([b"b", b"a", b"b", b"c", b"a"])))
    assert order is not None
    assert order.tolist() == [0, 2, 1, 4, 3]


def test_grouped_leaves_rows_alone_that_are_side_by_side() -> None:
    assert grouped(equal_codes(cells([b"b", b"b", b"a"]))) is None
    assert grouped(equal_codes(cells([]))) is None


def test_grouped_knows_more_partitions_than_sixteen_bits_count() -> None:
    codes = np.arange(70_000)
    codes[-1] = 0
    order = grouped(codes)
    assert order is not None
    assert order.tolist() == [0, 69_999, *range(1, 69_999)]


def test_equal_codes_compare_every_part_of_the_key() -> None:
    columns = cells([b"a", b"a", b"", b"a"], [b"x", b"y", b"ax", b"x"])
    assert equal_codes(columns).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("kind", [">i1", ">i4", ">f8", "V16", "V3"])
def test_equal_codes_compare_numbers_by_their_bytes(kind: str) -> None:
    wire = np.dtype(kind)
    raw = np.frombuffer(bytes(wire.itemsize) + b"\1" * wire.itemsize + bytes(wire.itemsize), wire)
    assert equal_codes([FixedCells(raw, wire)]).tolist() == [0, 1, 0]


def cut(
    *columns: Column, partition: int, most_rows: int = 50, most_bytes: int = 10_000
) -> list[tuple[int, int]]:
    encoded = cells(*columns)
    rows = encode_rows(b"", encoded, -2)
    limits = BatchLimits(rows=most_rows, bytes=most_bytes)
    return list(cuts(rows, equal_codes(encoded[:partition]), limits))


def test_cuts_keep_partitions_apart() -> None:
    assert cut([b"a", b"a", b"b"], [b"1", b"2", b"3"], partition=1) == [(0, 2), (2, 3)]
    assert cut([b"a", b"a"], [b"1", b"2"], [b"x", b"y"], partition=2) == [(0, 1), (1, 2)]


def test_cuts_stop_at_the_row_limit() -> None:
    found = cut([b"a"] * 7, [b"%d" % n for n in range(7)], partition=1, most_rows=3)
    assert found == [(0, 3), (3, 6), (6, 7)]


def test_cuts_are_even() -> None:
    found = cut([b"a"] * 10, [b"%d" % n for n in range(10)], partition=1, most_rows=6)
    assert found == [(0, 5), (5, 10)]


def test_cuts_stop_at_the_size_limit_and_send_a_large_row_alone() -> None:
    big = b"x" * 100
    found = cut([b"a"] * 4, [b"1", big, b"2", b"3"], partition=1, most_bytes=100)
    assert found == [(0, 1), (1, 2), (2, 4)]


def test_cuts_of_nothing_are_none() -> None:
    assert cut([], [], partition=1) == []


def test_cuts_lose_and_invent_no_row_for_random_input() -> None:
    rng = random.Random(7)  # noqa: S311 -- reproducible, not secret
    encoded = cells(
        [b"%d" % rng.randrange(40) for _ in range(3000)],
        [b"%d" % n for n in range(3000)],
        [rng.choice([None, b"v" * rng.randrange(3000)]) for _ in range(3000)],
    )
    codes = equal_codes(encoded[:1])
    order = grouped(codes)
    assert order is not None
    rows = encode_rows(b"head", [column.take(order) for column in encoded], -1)
    found = list(cuts(rows, codes[order], BatchLimits(rows=50, bytes=20_000)))
    assert [row for first, stop in found for row in range(first, stop)] == list(range(3000))
    for first, stop in found:
        assert len(set(codes[order][first:stop].tolist())) == 1
        assert stop - first <= 50
        assert len(rows.body(first, stop)) <= 20_000 or stop - first == 1


def cut_shared(sizes: list[int], groups: list[int], limits: BatchLimits) -> list[tuple[int, int]]:
    partitions = np.repeat(np.arange(len(sizes)), sizes)
    encoded = cells([b"%d" % number for number in partitions], [b"x" * 10] * len(partitions))
    rows = replace(encode_rows(b"", encoded, -2), overhead=0)
    return list(cuts(rows, partitions, limits, np.repeat(groups, sizes)))


def test_cuts_let_small_partitions_of_a_group_share() -> None:
    limits = BatchLimits(shared_partitions=3, shared_bytes=1_000)
    assert cut_shared([1, 2, 1, 1, 1], [0] * 5, limits) == [(0, 4), (4, 6)]
    assert cut_shared([1, 2, 1, 1, 1], [0, 0, 1, 1, 2], limits) == [(0, 3), (3, 5), (5, 6)]


def test_cuts_let_large_partitions_share_with_nobody() -> None:
    limits = BatchLimits(rows=4, shared_partitions=3, shared_bytes=40)
    assert cut_shared([1, 6, 1, 1], [0] * 4, limits) == [(0, 1), (1, 4), (4, 7), (7, 9)]


def test_cuts_weigh_shared_requests_as_the_server_does() -> None:
    partitions = np.arange(4)
    rows = encode_rows(b"", cells([b"1", b"2", b"3", b"4"], [b"x" * 10] * 4), -2)
    weight = 2 * (1 + 10 + 2 * 4 + 2 * 16)
    limits = BatchLimits(shared_partitions=10, shared_bytes=weight)
    assert list(cuts(rows, partitions, limits, np.zeros(4, int))) == [(0, 2), (2, 4)]


@pytest.mark.parametrize(
    ("sizes", "expected"), [([1] * 20, True), ([9] * 5, True), ([10] * 5, False), ([], False)]
)
def test_partitions_share_requests_when_they_have_few_rows(
    sizes: list[int],
    expected: bool,  # noqa: FBT001 -- a case
) -> None:
    partitions = np.repeat(np.arange(len(sizes)), sizes)
    assert shared(partitions, BatchLimits(shared_partitions=10)) is expected
    assert not shared(partitions, BatchLimits(shared_partitions=1))


def test_by_group_brings_partitions_of_the_same_nodes_together() -> None:
    encoded = cells([b"a", b"a", b"b", b"c"])
    found = arrange(encoded, 1, 1, keep_earlier=True)
    assert values(found.columns) == [[b"a", b"b", b"c"]]
    ordered, groups = by_group(found, np.array([0, 1, 0]))
    assert values(ordered.columns) == [[b"a", b"c", b"b"]]
    assert groups.tolist() == [0, 0, 1]
    assert ordered.partitions.tolist() == [0, 2, 1]
