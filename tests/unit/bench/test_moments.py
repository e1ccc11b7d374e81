from __future__ import annotations

from bench.moments import PHASES, TO_JOB, TO_RUNNING, Moments, seconds, table

RUNS = [
    Moments(triggered=100.0, job=100.5, pod=102.0, flow=104.0, row=105.0),
    Moments(triggered=200.0, job=201.5, pod=202.0, flow=203.0, row=205.0),
    Moments(triggered=300.0, job=301.0, pod=303.0, flow=309.0, row=310.0),
]


def test_phases_are_the_time_between_moments() -> None:
    assert seconds(RUNS, TO_JOB) == [0.5, 1.5, 1.0]
    assert seconds(RUNS, TO_RUNNING) == [4.0, 3.0, 9.0]


def test_the_table_has_medians_and_extremes() -> None:
    lines = table({"ours": RUNS, "stock": RUNS[:2]}).splitlines()
    assert lines[0].split() == ["seconds,", "median", "of", "2", "ours", "stock"]
    assert len(lines) == 1 + len(PHASES)
    (line,) = (line for line in lines if line.startswith(TO_JOB))
    assert line.removeprefix(TO_JOB).split() == ["1.00", "(0.50-1.50)", "1.00", "(0.50-1.50)"]
