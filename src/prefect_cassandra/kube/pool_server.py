"""Reads the live work pool from the Prefect server and carries out what `pool.py` decided."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound

from prefect_cassandra.kube.pool import Change, Pool, Queue, decide
from prefect_cassandra.kube.waiting import answering, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


async def read_live(client: PrefectClient, name: str) -> Pool | None:
    """Ask the server for a pool, None when it has none of that name."""
    try:
        found = await client.read_work_pool(name)
    except ObjectNotFound:
        return None
    queues = tuple(
        Queue(queue.name, queue.priority, queue.concurrency_limit, queue.description)
        for queue in await client.read_work_queues(work_pool_name=name)
    )
    template = found.base_job_template
    return Pool(
        name, template, queues, found.concurrency_limit, found.description or "", found.type
    )


async def carry_out(client: PrefectClient, wanted: Pool, changes: Sequence[Change]) -> None:
    """Do what `decide` decided; safe to repeat."""
    kinds = {change.what for change in changes}
    if "create" in kinds:
        await _create(client, wanted)
    elif kinds & {"template", "limit"}:
        await _update(client, wanted)
    for change in changes:
        if change.queue is not None:
            await _put_queue(client, wanted.name, change.queue, is_new=change.what == "queue")


async def _create(client: PrefectClient, wanted: Pool) -> None:
    await client.create_work_pool(
        WorkPoolCreate(
            name=wanted.name,
            type=wanted.type,
            description=wanted.description,
            base_job_template=dict(wanted.template),
            concurrency_limit=wanted.limit,
        )
    )


async def _update(client: PrefectClient, wanted: Pool) -> None:
    await client.update_work_pool(
        wanted.name,
        WorkPoolUpdate(
            description=wanted.description,
            base_job_template=dict(wanted.template),
            concurrency_limit=wanted.limit,
        ),
    )


async def _put_queue(client: PrefectClient, pool: str, queue: Queue, *, is_new: bool) -> None:
    if is_new:
        await client.create_work_queue(
            name=queue.name,
            description=queue.description,
            concurrency_limit=queue.limit,
            priority=queue.priority,
            work_pool_name=pool,
        )
    else:
        found = (await client.read_work_queue_by_name(queue.name, work_pool_name=pool)).id
        options: dict[str, Any] = {"concurrency_limit": queue.limit}
        if queue.priority is not None:
            options["priority"] = queue.priority
        await client.update_work_queue(found, **options)


async def make(wanted: Pool) -> list[Change]:
    """Make the pool of the server that the settings name the wanted one; return what was done."""
    with answering():
        async with get_client() as client:
            changes = decide(wanted, await read_live(client, wanted.name))
            await carry_out(client, wanted, changes)
    return changes


def ensure(wanted: Pool, *, timeout: float, tell: Callable[[str], None]) -> list[Change]:
    """Do the same as `make`, and wait for the server first.

    Raises:
        PlatformTimeoutError: The server did not answer in time.
    """
    hint = "Is the server's pod ready, and is PREFECT_API_AUTH_STRING the server's?"
    return asyncio.run(
        eventually(lambda: make(wanted), "the Prefect server", tell, timeout=timeout, hint=hint)
    )
