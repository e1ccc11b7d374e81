from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from prefect_cassandra.kube.doctor.runs import Jobs, judge_runs, stuck

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
DONE = {"conditions": [{"type": "Complete", "status": "True",
                        "lastTransitionTime": "2030-01-01T11:00:00Z"}]}  # fmt: skip
JUST_DONE = {"conditions": [{"type": "Complete", "status": "True",
                             "lastTransitionTime": "2030-01-01T11:59:50Z"}]}  # fmt: skip
FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}
FOUND: dict[str, Any] = {
    "alive": {"status": {"active": 1}},
    "done": {"status": DONE},
    "just-done": {"status": JUST_DONE},
    "failed": {"status": FAILED},
}
JOBS = Jobs("prefect", FOUND)


def run(kind: str, since: str = "11:00:00", due: str = "11:00:00", pid: str = "") -> Any:
    state = {"type": kind, "timestamp": f"2030-01-01T{since}Z"}
    return {
        "name": "busy-bee",
        "state": state,
        "expected_start_time": f"2030-01-01T{due}Z",
        "infrastructure_pid": pid or None,
    }


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (run("SCHEDULED", due="11:59:30"), None),
        (run("SCHEDULED", due="11:50:00"), "late by 10 min"),
        (run("SCHEDULED", due="09:00:00"), "late by 3 h"),
        (run("PENDING", since="11:58:00"), None),
        (run("PENDING", since="11:50:00"), "pending for 10 min"),
        (run("CANCELLING", since="11:59:00"), None),
        (run("CANCELLING", since="11:50:00"), "cancelling for 10 min"),
        (run("RUNNING", pid="prefect:alive"), None),
        (run("RUNNING", pid="prefect:gone"), "running, but its Job prefect:gone is gone"),
        (run("RUNNING", since="11:59:30", pid="prefect:gone"), None),
        (run("RUNNING", pid="prefect:done"), "running, but its Job prefect:done is complete"),
        (run("RUNNING", pid="prefect:just-done"), None),
        (run("RUNNING", pid="prefect:failed"), "failed (DeadlineExceeded)"),
        # Started by somebody else, or in a namespace that was not looked at.
        (run("RUNNING"), None),
        (run("RUNNING", pid="host:1234"), None),
    ],
)
def test_a_run_is_stuck_when_nothing_will_move_it(one: Any, why: str | None) -> None:
    found = stuck([one], JOBS, NOW)
    if why is None:
        assert found == []
    else:
        assert why in found[0].why
        assert found[0].hint


def test_a_run_without_its_job_is_a_failure_and_a_late_one_a_warning() -> None:
    found = stuck([run("RUNNING", pid="prefect:gone"), run("SCHEDULED")], JOBS, NOW)
    assert [check.status for check in judge_runs(found, 2)] == ["fail", "warn"]


def test_of_many_a_few_are_named_and_the_rest_counted() -> None:
    found = stuck([run("SCHEDULED")] * 30, JOBS, NOW)
    checks = judge_runs(found, 30)
    assert len(checks) == 6
    assert checks[-1].evidence == "25 more runs are stuck"


def test_none_is_well() -> None:
    (check,) = judge_runs([], 4)
    assert (check.status, check.evidence) == ("ok", "none of 4 unfinished runs is stuck")


def test_where_all_jobs_are_gone_every_running_run_has_lost_its_own() -> None:
    found = stuck([run("RUNNING", pid="prefect:gone")], Jobs("prefect", {}), NOW)
    assert "is gone" in found[0].why
