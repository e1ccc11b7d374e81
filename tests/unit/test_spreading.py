"""Adding up the reports of parts."""

from __future__ import annotations

import pytest

from prefect_cassandra import LoadReport, Reject, combined
from prefect_cassandra.errors import ConfigurationError


def test_reports_of_parts_are_added_up() -> None:
    first = LoadReport("ks.t", rows=2, rejected=1, rejects=(Reject(0, "n", "bad"),), seconds=2.0)
    second = LoadReport("ks.t", rows=3, retries=4, seconds=1.0, cancelled=True)
    whole = combined([first, second])
    assert (whole.rows, whole.rejected, whole.retries) == (5, 1, 4)
    assert whole.rejects == first.rejects
    # Parts run at the same time: the slowest is how long it took.
    assert whole.seconds == 2.0
    assert whole.cancelled


@pytest.mark.parametrize("reports", [[], [LoadReport("ks.a"), LoadReport("ks.b")]])
def test_reports_of_no_or_of_several_tables_are_refused(reports: list[LoadReport]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be added up"):
        combined(reports)
