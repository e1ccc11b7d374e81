"""What the local worker and the server beside it make of runs, asked of a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.states import Crashed, Pending, Running

from prefect_cassandra.local.worker import is_reported
from support.waiting import eventually

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

pytestmark = pytest.mark.usefixtures("prefect_api")


@flow
def nothing() -> None:
    """Exist on the server."""


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        ([Running()], False),
        ([Running(), Crashed()], True),
        # Somebody was quick to ask for a retry, and the worker to take it.
        ([Running(), Crashed(), Pending()], True),
        ([Running(), Crashed(), Pending(), Running()], True),
    ],
)
async def test_only_the_end_of_the_attempt_itself_counts(
    attempt: list[State[None]],
    *,
    expected: bool,
) -> None:
    async with get_client() as client:
        run = await client.create_flow_run(nothing, state=Pending())
        # An earlier attempt, which is over, must not speak for this one.
        for state in (Running(), Crashed(), Pending()):
            await client.set_flow_run_state(run.id, state, force=True)
        taken = await client.read_flow_run(run.id)
        for state in attempt:
            await client.set_flow_run_state(run.id, state, force=True)
        assert await is_reported(client, taken) is expected


async def test_the_server_makes_the_runs_of_a_schedule() -> None:
    async with get_client() as client:
        hourly = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(hours=1)))
        deployment = await client.create_deployment(
            flow_id=await client.create_flow(nothing), name="hourly", schedules=[hourly]
        )
    only_these = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))

    def is_scheduled() -> bool:
        with get_client(sync_client=True) as asked:
            runs = asked.read_flow_runs(deployment_filter=only_these)
        return any(run.state is not None and run.state.is_scheduled() for run in runs)

    eventually(is_scheduled, within=90)
    async with get_client() as client:
        await client.delete_deployment(deployment)
