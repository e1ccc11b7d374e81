"""Prefect's server app with our routes before its own.

```
uvicorn --factory prefect_cassandra.server.app:create_app
```

Which layers there are is said by `ServerSettings`; without any this is Prefect's own app. Routes
are matched in order, so ours, put first, take the requests and the rest of Prefect's stay as they
are. Seen to work with prefect 3.8.8 on fastapi 0.150.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from fastapi import Depends
from prefect.server.api import server as prefect_server

from prefect_cassandra.driver.config import ClusterConfig, Login, RetryRules, Tls
from prefect_cassandra.driver.session import Session
from prefect_cassandra.server.log_routes import log_router
from prefect_cassandra.server.log_service import LogService
from prefect_cassandra.settings import ServerSettings
from prefect_cassandra.state.log_buffer import LogBuffer
from prefect_cassandra.state.logs import CassandraLogs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import APIRouter, FastAPI

_MIB = 1 << 20
# The buffer repeats by itself and for as long as it takes: a request need not.
_PATIENCE = RetryRules(attempts=1)
_REQUEST_TIMEOUT = 5.0


def create_app(settings: ServerSettings | None = None) -> FastAPI:
    """Return the server's app; for each process of the server, once.

    Args:
        settings: Those of the environment when not given.
    """
    chosen = settings or ServerSettings()
    app: FastAPI = prefect_server.create_app(ignore_cache=settings is not None)
    if chosen.log_store == "cassandra" and not hasattr(app.state, "run_logs"):
        _keep_logs(app, chosen)
    return app


def cluster_config(settings: ServerSettings) -> ClusterConfig:
    """Return how the server reaches Cassandra.

    Raises:
        ConfigurationError: The settings contradict each other.
    """
    points = [point.strip() for point in settings.contact_points.split(",")]
    tls = Tls(ca_file=settings.ca_file, server_name=settings.server_name)
    return ClusterConfig(
        contact_points=tuple(point for point in points if point),
        port=settings.port,
        local_datacenter=settings.local_datacenter,
        login=None if settings.login_folder is None else Login(folder=settings.login_folder),
        tls=tls if settings.ca_file is not None else None,
        request_timeout=_REQUEST_TIMEOUT,
        retry=_PATIENCE,
    )


def _keep_logs(app: FastAPI, settings: ServerSettings) -> None:
    """Put the routes of the log store first, and let it live as long as the app."""
    session = Session(cluster_config(settings))
    store = CassandraLogs(session, timedelta(days=settings.log_retention_days))
    buffer = LogBuffer(store.write, settings.log_buffer_mib * _MIB)
    service = LogService(store, buffer)
    app.state.run_logs = service
    put_first(app.api_app, log_router(service))  # type: ignore[attr-defined]  # set by Prefect
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def with_logs(running: FastAPI) -> AsyncIterator[None]:
        async with lifespan(running):
            service.start()
            try:
                yield
            finally:
                await service.close()
                session.close()

    app.router.lifespan_context = with_logs


def put_first(api: FastAPI, router: APIRouter) -> None:
    """Include a router before everything that is there, under the rules of Prefect's own."""
    there = len(api.router.routes)
    api.include_router(router, dependencies=[Depends(prefect_server.enforce_minimum_version)])
    ours = api.router.routes[there:]
    del api.router.routes[there:]
    api.router.routes[0:0] = ours
