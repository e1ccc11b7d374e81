"""The verdict of a bench, from runs that are written down here."""

from __future__ import annotations

import pyarrow as pa

from bench.plane.contest import Measured
from bench.plane.data import content_of
from bench.plane.figures import Bar, Ceiling, missed, table


def run(competitor: str, seconds: float, client: float, peak: float = 100.0) -> Measured:
    return Measured("sensors", competitor, 1_000_000, seconds, client, 1.0, peak, 0.3)


RUNS = [
    *(run("ours", 10.0, 2.0), run("peer", 42.0, 30.0)),
    # The machine was busy, for both.
    *(run("ours", 30.0, 3.0), run("peer", 126.0, 45.0)),
    *(run("ours", 10.0, 2.0), run("peer", 42.0, 30.0)),
]


def test_a_bar_that_is_reached_is_not_named() -> None:
    assert Bar("sensors", "ours", "peer", speed=4.0, cost=1 / 8).missed(RUNS) == []


def test_rounds_are_compared_pair_by_pair() -> None:
    said = Bar("sensors", "ours", "peer", speed=4.3, cost=1 / 16).missed(RUNS)

    assert said == [
        "sensors: ours has 4.200 of the rows/s of peer, asked for 4.300",
        "sensors: ours has 0.067 of the client CPU of peer, asked for 0.062",
    ]


def test_who_did_not_run_misses_nothing() -> None:
    bars = [Bar("flights", "ours", "peer", 4.0), Ceiling("large", "ours", 400)]

    assert missed(bars, RUNS) == []


def test_memory_counts_in_every_round() -> None:
    runs = [run("ours", 1.0, 1.0, peak=390.0), run("ours", 1.0, 1.0, peak=410.0)]

    assert Ceiling("sensors", "ours", 400).missed(runs) == [
        "sensors: ours took 410 MiB, allowed are 400"
    ]


def test_table_has_a_line_for_each_competitor() -> None:
    lines = table(RUNS, "sensors").splitlines()

    assert len(lines) == 3
    assert "100,000 (33,333-100,000)" in lines[1]
    assert "30.00" in lines[2]


def test_contents_are_equal_whatever_the_order_and_differ_in_any_cell() -> None:
    rows = pa.table({"k": ["a", "b"], "v": [1.5, None]})
    turned = rows.take(pa.array([1, 0]))
    other = pa.table({"k": ["a", "b"], "v": [1.5, 1.5]})

    assert content_of([rows], ["k", "v"]) == content_of([turned], ["k", "v"])
    assert content_of([rows], ["k", "v"]) != content_of([other], ["k", "v"])
    assert content_of([rows, rows], ["k", "v"]).rows == 4
