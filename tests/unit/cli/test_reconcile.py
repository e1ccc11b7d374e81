from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.cli.reconcile import app
from prefect_cassandra.cli.reconcile_output import show_findings
from prefect_cassandra.kube.reconciling import loop
from prefect_cassandra.kube.reconciling.acting import Outcome
from prefect_cassandra.kube.reconciling.decisions import Rules, decide
from prefect_cassandra.kube.reconciling.loop import Findings, line_of, rules_of
from prefect_cassandra.settings import ReconcilerSettings
from support.reconciling import job, pod, run, sight

if TYPE_CHECKING:
    from prefect_cassandra.kube.reconciling.decisions import Action


def actions() -> list[Action]:
    ended, waits = run("FAILED"), run("PENDING")
    living = job(pods=(pod(),))
    found = (
        decide(ended, (living,), sight(ended), Rules()),
        decide(waits, (), sight(waits), Rules()),
    )
    return [one for one in found if one is not None]


def findings() -> Findings:
    delete, requeue = actions()
    outcomes = (
        Outcome(delete, is_done=True),
        Outcome(requeue, is_done=False, text="the server refuses: because"),
    )
    return Findings(7, 3, (delete, requeue), outcomes)


def test_people_see_what_why_and_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings(findings(), "table")
    shown = capsys.readouterr().out
    for part in (
        "delete  run late-bee, Failed since 2030-01-01 11:43:20",
        "Jobs: job-1",
        "-> done",
        "requeue run late-bee, Pending",
        "pending without a Job: no Job was made for it",
        "-> the server refuses: because",
        "7 runs and 3 Jobs looked at, 2 to put right, 1 done",
    ):
        assert part in shown


def test_programs_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings(findings(), "json")
    shown = json.loads(capsys.readouterr().out)
    assert (shown["runs"], shown["jobs"]) == (7, 3)
    assert [one["action"] for one in shown["actions"]] == ["delete", "requeue"]
    assert shown["actions"][0]["jobs"] == ["job-1"]
    assert shown["actions"][1]["delay_seconds"] == 10
    assert shown["actions"][1]["result"] == "the server refuses: because"


def test_a_line_of_the_log_says_what_was_done_or_why_not() -> None:
    done, left = findings().outcomes
    assert line_of(done).endswith("Job job-1 deleted: the run is Failed")
    assert line_of(left).endswith("left alone: the server refuses: because")


@pytest.mark.parametrize(
    ("words", "found", "code"),
    [
        ("--dry-run", Findings(1, 1), 0),
        ("--dry-run", Findings(1, 1, tuple(actions())), 1),
        ("--once", Findings(1, 1), 0),
        ("--once", findings(), 1),
    ],
)
def test_exit_codes(
    words: str, found: Findings, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_: Any) -> Findings:
        return found

    monkeypatch.setattr(loop, "look_once", answer)
    monkeypatch.setattr(loop, "reconcile_once", answer)
    assert app([words], exit_on_error=False, result_action="return_value") == code


def test_defaults_of_settings_and_rules_are_the_same() -> None:
    """The rules' own defaults are what the tests of the table are about."""
    assert rules_of(ReconcilerSettings()) == Rules()
