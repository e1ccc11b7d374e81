"""A flow that fails, and a hook that tells a webhook so.

The hook is what to copy: `@flow(on_failure=[notify], on_crashed=[notify])`. The flow is only there
to fail, so that an alert channel can be tried without breaking anything.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Any, Literal, cast

import httpx
from prefect import Flow, flow, get_run_logger, task
from prefect.blocks.system import Secret
from prefect.logging.loggers import flow_run_logger
from prefect.utilities.urls import url_for

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

# httpx writes every address it asks into the log at level INFO, and this one is a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)

WEBHOOK_BLOCK = "alerts-webhook"
TIMEOUT = 10.0  # seconds


def alert(flow_run: FlowRun, state: State[Any]) -> dict[str, str | None]:
    """Return what the webhook is told."""
    return {
        "flow_run": flow_run.name,
        "flow_run_id": str(flow_run.id),
        "state": state.name,
        "message": state.message,
        "url": url_for("flow-run", flow_run.id),
    }


def webhook_url(parameters: dict[str, Any]) -> str:
    """Return the run's own `webhook_url`, else the one kept in the Secret block."""
    if url := parameters.get("webhook_url"):
        return str(url)
    return cast("Secret[str]", Secret.load(WEBHOOK_BLOCK)).get()


def notify(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Post the run's end to a webhook; whatever goes wrong here is logged and goes no further."""
    logger = flow_run_logger(flow_run, flow)
    try:
        answer = httpx.post(
            webhook_url(flow_run.parameters), json=alert(flow_run, state), timeout=TIMEOUT
        )
    except Exception as error:  # noqa: BLE001 -- the run's own error is the one that matters
        # Only the kind of error: its text may hold the address, and the address is the secret.
        logger.warning("The webhook was not notified: %s", type(error).__name__)
        return
    if answer.is_success:
        logger.info("The webhook was notified")
    else:
        logger.warning("The webhook was not notified: it answered %s", answer.status_code)


@task(retries=1, retry_delay_seconds=1)
def break_down(reason: str) -> None:
    """Fail for the given reason."""
    raise RuntimeError(reason)


@flow(name="failing", on_failure=[notify], on_crashed=[notify])
def failing(
    reason: str = "this flow always fails",
    how: Literal["fail", "crash"] = "fail",
    webhook_url: str | None = None,  # noqa: ARG001 -- the hook reads it from the run's parameters
) -> None:
    """Fail, so that the webhook is told.

    Args:
        reason: What the error says.
        how: `fail` raises an error; `crash` kills the process, as a node out of memory would. Only
            a worker can tell of a crash, so use `crash` with the deployment.
        webhook_url: Where to post; the Secret block `alerts-webhook` when absent. Everybody who
            sees a run can read its parameters, so an address that is a secret belongs in the block.
    """
    get_run_logger().info("About to %s", how)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    break_down(reason)
