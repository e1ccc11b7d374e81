"""What the failure hook tells, and what it keeps to itself."""

from __future__ import annotations

import logging
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_UI_URL, temporary_settings
from prefect.states import Failed

from flows.alerts import failing

SECRET = "http://hooks.test/services/T0KEN"
LOGGER = "prefect.flow_runs"


def a_run(**parameters: str) -> FlowRun:
    return FlowRun(flow_id=uuid4(), name="brave-otter", parameters=parameters)


def test_an_alert_names_the_run_and_says_why() -> None:
    run = a_run()
    with temporary_settings({PREFECT_UI_URL: "http://prefect.test"}):
        told = failing.alert(run, Failed(message="no space left"))
    assert told == {
        "flow_run": "brave-otter",
        "flow_run_id": str(run.id),
        "state": "Failed",
        "message": "no space left",
        "url": f"http://prefect.test/runs/flow-run/{run.id}",
    }


@pytest.mark.parametrize(
    ("outcome", "logged"),
    [
        (httpx.ConnectError(f"cannot reach {SECRET}"), "not notified: ConnectError"),
        (httpx.Response(500), "not notified: it answered 500"),
        (httpx.Response(200), "The webhook was notified"),
    ],
)
def test_the_hook_never_raises_and_never_logs_the_address(
    outcome: httpx.Response | Exception,
    logged: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def post(*_args: object, **_options: object) -> httpx.Response:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(failing.httpx, "post", post)
    with caplog.at_level(logging.INFO, logger=LOGGER):
        failing.notify(failing.failing, a_run(webhook_url=SECRET), Failed())
    assert logged in caplog.text
    assert "T0KEN" not in caplog.text
