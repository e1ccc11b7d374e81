"""The failure hook: one alert for a run that fails, one for a run whose process is killed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from flows.alerts.failing import WEBHOOK_BLOCK, failing
from support.http_server import Answer, LoopbackServer
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import RunningPrefect

ADDRESS = "/services/T0KEN"


@pytest.fixture
def webhook() -> Iterator[LoopbackServer]:
    with LoopbackServer(lambda _: Answer(body={})) as server:
        yield server


def only_alert(webhook: LoopbackServer) -> dict[str, str]:
    """Return what was posted, by exactly one request."""
    (asked,) = webhook.asked
    assert (asked.method, asked.path) == ("POST", ADDRESS)
    told: dict[str, str] = asked.json()
    return told


@pytest.mark.usefixtures("prefect_api")
def test_a_run_that_fails_is_told_once(webhook: LoopbackServer) -> None:
    state = failing("no space left", webhook_url=f"{webhook.url}{ADDRESS}", return_state=True)
    assert state.is_failed()
    told = only_alert(webhook)
    assert told["flow_run_id"] == str(state.state_details.flow_run_id)
    assert told["state"] == "Failed"
    assert "no space left" in told["message"]
    assert told["url"].endswith(f"/runs/flow-run/{told['flow_run_id']}")


@pytest.mark.usefixtures("prefect_api")
def test_the_address_can_be_a_secret(
    webhook: LoopbackServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    Secret(value=f"{webhook.url}{ADDRESS}").save(WEBHOOK_BLOCK, overwrite=True)
    assert failing(return_state=True).is_failed()
    assert only_alert(webhook)["state"] == "Failed"
    output = capsys.readouterr()
    assert "T0KEN" not in output.out + output.err + caplog.text


@pytest.mark.usefixtures("prefect_api")
def test_a_hook_that_cannot_post_leaves_the_error_of_the_run_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="the error that matters"):
        failing("the error that matters", webhook_url=f"http://127.0.0.1:1{ADDRESS}")


def test_a_run_whose_process_is_killed_is_told_once_by_the_worker(
    webhook: LoopbackServer, deployed: RunningPrefect
) -> None:
    run = run_deployment(
        "failing/failing",
        parameters={"how": "crash", "webhook_url": f"{webhook.url}{ADDRESS}"},
        timeout=120,
    )
    assert isinstance(run, FlowRun)
    assert run.state is not None
    assert run.state.is_crashed()
    eventually(lambda: webhook.asked, within=60)
    told = only_alert(webhook)
    assert told["flow_run"] == run.name
    assert told["flow_run_id"] == str(run.id)
    assert told["state"] == "Crashed"
    assert "SIGKILL" in told["message"]
    assert "T0KEN" not in (deployed.folder / "logs" / "worker.log").read_text()
