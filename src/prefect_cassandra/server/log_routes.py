"""The routes of run logs: those of Prefect's API, answered from Cassandra.

Live streaming, `/logs/out`, stays Prefect's: it is fed by the messages that new lines are published
as, here as there. Requests that delete runs are passed on to Prefect's own routes, and the lines of
what was deleted go afterwards.
"""

import csv
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Annotated, TypeVar
from urllib.parse import quote
from uuid import UUID

from fastapi import BackgroundTasks, Body, Depends, HTTPException, Path, status
from fastapi.responses import StreamingResponse
from prefect.server import models
from prefect.server.api import dependencies, flow_runs, task_runs
from prefect.server.database import PrefectDBInterface, provide_database_interface
from prefect.server.logs import messaging
from prefect.server.schemas.actions import LogCreate
from prefect.server.schemas.core import Log
from prefect.server.schemas.filters import FlowRunFilter, LogFilter
from prefect.server.schemas.responses import FlowRunBulkDeleteResponse
from prefect.server.schemas.sorting import LogSort
from prefect.server.utilities.server import PrefectRouter
from prefect.settings import get_current_settings

from prefect_cassandra.errors import PrefectCassandraError
from prefect_cassandra.server.log_service import LogService, as_log
from prefect_cassandra.state.log_query import LogLine, LogQuery, Runs

T = TypeVar("T")
logger = logging.getLogger(__name__)

_DOWNLOADED_AT_ONCE = 1000
_COLUMNS = ("timestamp", "level", "flow_run_id", "task_run_id", "message")

Database = Annotated[PrefectDBInterface, Depends(provide_database_interface)]


def log_router(service: LogService) -> PrefectRouter:
    """Return the routes over one store."""
    # The schema of the API has them already, as Prefect's own.
    router = PrefectRouter(tags=["Logs"], include_in_schema=False)
    _add_logs(router, service)
    _add_download(router, service)
    _add_deletes(router, service)
    return router


def _add_logs(router: PrefectRouter, service: LogService) -> None:
    @router.post("/logs/", status_code=status.HTTP_201_CREATED)
    async def create_logs(logs: Sequence[LogCreate]) -> None:
        """Create new logs."""
        lines = await service.take(logs)
        if get_current_settings().server.logs.stream_publishing_enabled:
            await messaging.publish_logs([as_log(line) for line in lines])

    @router.post("/logs/filter")
    async def read_logs(
        limit: Annotated[int, dependencies.LimitBody()],
        offset: Annotated[int, Body(ge=0)] = 0,
        logs: LogFilter | None = None,
        sort: Annotated[LogSort, Body()] = LogSort.TIMESTAMP_ASC,
    ) -> Sequence[Log]:
        """Query for logs."""
        return await _answered(service.read(logs, sort, offset, limit))


def _add_download(router: PrefectRouter, service: LogService) -> None:
    @router.get("/flow_runs/{id:uuid}/logs/download")
    async def download_logs(
        flow_run_id: Annotated[UUID, Path(alias="id")], db: Database
    ) -> StreamingResponse:
        """Download all logs of a flow run as CSV."""
        async with db.session_context() as session:
            reading = models.flow_runs.read_flow_run(session=session, flow_run_id=flow_run_id)
            run = await reading  # type: ignore[attr-defined]  # Prefect's decorator hides its type
            if run is None:
                raise HTTPException(status.HTTP_404_NOT_FOUND, detail="Flow run not found")
            name = quote(f"{run.name}-logs.csv", safe="")
        query = LogQuery(runs=Runs(frozenset([flow_run_id])))
        # The first page is read before the answer begins: an error can still be one.
        first = await _answered(service.store.read(query, 0, _DOWNLOADED_AT_ONCE))
        return StreamingResponse(
            _csv(service, query, first),
            media_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": (
                    f"attachment; filename=\"flow-run-logs.csv\"; filename*=UTF-8''{name}"
                )
            },
        )


async def _csv(service: LogService, query: LogQuery, lines: list[LogLine]) -> AsyncIterator[str]:
    """Yield the rows page by page."""
    yield _rows([_COLUMNS])
    offset = 0
    while lines:
        yield _rows(
            (log.timestamp, log.level, log.flow_run_id, log.task_run_id, log.message)
            for log in map(as_log, lines)
        )
        offset += len(lines)
        lines = await service.store.read(query, offset, _DOWNLOADED_AT_ONCE)


def _rows(rows: object) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


def _add_deletes(router: PrefectRouter, service: LogService) -> None:
    @router.delete("/flow_runs/{id:uuid}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete_flow_run(
        afterwards: BackgroundTasks,
        docket: dependencies.Docket,
        flow_run_id: Annotated[UUID, Path(alias="id")],
        db: Database,
    ) -> None:
        """Delete a flow run by id, and its logs."""
        await flow_runs.delete_flow_run(docket=docket, flow_run_id=flow_run_id, db=db)
        afterwards.add_task(_forget, service.store.delete_runs, [flow_run_id])

    @router.post("/flow_runs/bulk_delete")
    async def bulk_delete_flow_runs(
        afterwards: BackgroundTasks,
        docket: dependencies.Docket,
        db: Database,
        flow_runs_: Annotated[FlowRunFilter | None, Body(alias="flow_runs")] = None,
        limit: Annotated[int, Body(ge=1, le=flow_runs.BULK_OPERATION_LIMIT)] = (
            flow_runs.BULK_OPERATION_LIMIT
        ),
    ) -> FlowRunBulkDeleteResponse:
        """Delete flow runs that match a filter, and their logs."""
        answer = await flow_runs.bulk_delete_flow_runs(
            docket=docket, flow_runs=flow_runs_, limit=limit, db=db
        )
        afterwards.add_task(_forget, service.store.delete_runs, answer.deleted)
        return answer

    @router.delete("/task_runs/{id:uuid}", status_code=status.HTTP_204_NO_CONTENT)
    async def delete_task_run(
        afterwards: BackgroundTasks,
        docket: dependencies.Docket,
        task_run_id: Annotated[UUID, Path(alias="id")],
        db: Database,
    ) -> None:
        """Delete a task run by id, and its logs."""
        await task_runs.delete_task_run(docket=docket, task_run_id=task_run_id, db=db)
        afterwards.add_task(_forget, service.store.delete_tasks, [task_run_id])


async def _forget(delete: Callable[[Iterable[UUID]], Awaitable[None]], ids: Iterable[UUID]) -> None:
    """Delete lines of what is gone already; those that cannot be deleted now expire."""
    try:
        await delete(ids)
    except PrefectCassandraError as error:
        logger.warning("The logs of a deleted run stay until they expire: %s", error.message)


async def _answered(reading: Coroutine[object, object, T]) -> T:
    """Say 503 when the store does not answer: Prefect's clients ask again then."""
    try:
        return await reading
    except PrefectCassandraError as error:
        logger.warning("Run logs cannot be read: %s", error.message)
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, detail=error.message) from error
