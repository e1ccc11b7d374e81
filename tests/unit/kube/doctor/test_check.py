from __future__ import annotations

import json

import pytest

from prefect_cassandra.cli.doctor_output import show_report, summary
from prefect_cassandra.kube.doctor.check import Check, Report, fail, ok, skipped, warn
from prefect_cassandra.kube.doctor.examine import judge_version

REPORT = Report(
    (
        ok("pods", "3 of 3 serving pods are ready"),
        warn("network", "nothing known [here]", "look"),
        fail("volumes", "there is no storage class fast", "make it", "claim data-0"),
        skipped("images", "may not be seen"),
    )
)


@pytest.mark.parametrize(
    ("checks", "exit_code"),
    [
        ((), 0),
        (REPORT.checks[:2], 0),
        (REPORT.checks[3:], 0),
        (REPORT.checks, 1),
    ],
)
def test_only_a_failure_is_a_negative_finding(checks: tuple[Check, ...], exit_code: int) -> None:
    assert Report(checks).exit_code == exit_code


def test_the_table_names_the_object_and_puts_the_hint_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_report(REPORT, "table")
    lines = capsys.readouterr().out.splitlines()
    assert "ok      pods     3 of 3 serving pods are ready" in lines
    assert "warn    network  nothing known [here]" in lines
    at = lines.index("fail    volumes  claim data-0: there is no storage class fast")
    assert lines[at + 1].strip() == "-> make it"
    assert lines[-1] == "1 fail, 1 warn, 1 ok, 1 skipped"


def test_programs_get_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(REPORT, "json")
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    assert found["checks"][2] == {
        "name": "volumes",
        "status": "fail",
        "evidence": "there is no storage class fast",
        "hint": "make it",
        "subject": "claim data-0",
    }


def test_what_is_not_there_is_not_counted() -> None:
    assert summary(Report(REPORT.checks[:1])) == "1 ok"


def test_another_version_is_said() -> None:
    assert judge_version("0.1.0", "0.1.0").status == "ok"
    assert judge_version("0.1.0", "0.2.0").status == "warn"
