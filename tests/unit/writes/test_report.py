from __future__ import annotations

import pickle

import pytest

from prefect_cassandra.writes.report import LoadReport, Reject


def test_report_reads_as_one_line() -> None:
    report = LoadReport("ks.t", rows=1_000, requests=20, seconds=0.5)
    assert str(report) == "ks.t: 1,000 rows in 0.5 s (2,000/s, 20 requests)"


def test_report_tells_what_did_not_go_straight() -> None:
    text = str(LoadReport("ks.t", 10, merged=2, rejected=3, requests=1, retries=4, seconds=1.0))
    assert "4 sent again" in text
    assert "2 merged into a later row" in text
    assert text.endswith("3 rejected")


@pytest.mark.parametrize(("rows", "seconds", "rate"), [(10, 2.0, 5.0), (0, 0.0, 0.0)])
def test_rows_per_second_is_nothing_for_an_empty_load(
    rows: int, seconds: float, rate: float
) -> None:
    assert LoadReport("ks.t", rows=rows, seconds=seconds).rows_per_second == rate


def test_report_survives_pickling() -> None:
    report = LoadReport("ks.t", rejects=(Reject(3, "day", "gone"),))
    assert pickle.loads(pickle.dumps(report)) == report  # noqa: S301 -- our own bytes
    assert str(report.rejects[0]) == "row 3, column day: gone"
