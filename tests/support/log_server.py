"""A Prefect server whose run logs are in the node of this run, and what is asked of its API."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from prefect_cassandra.local import prefect_services
from support.ports import free_ports
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.local.parts import Child

PATIENCE = 120.0
BUSY = b'"exception_message":"Service Unavailable"'


@dataclass(frozen=True)
class Api:
    """The API of a server."""

    client: httpx.Client
    url: str
    part: Child | None = None

    def send(self, lines: list[dict[str, Any]]) -> None:
        """Send new lines and see them accepted."""
        answer = self.client.post("/logs/", json=lines)
        assert answer.status_code == 201, answer.text

    def read(self, logs: dict[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
        """Return a page of lines."""
        answer = self.client.post("/logs/filter", json={"logs": logs, **more})
        assert answer.status_code == 200, answer.text
        return list(answer.json())

    def messages(self, logs: dict[str, Any] | None = None, **more: Any) -> list[str]:
        """Return the texts of a page of lines."""
        return [line["message"] for line in self.read(logs, **more)]

    def make_run(self) -> dict[str, Any]:
        """Make a flow run."""
        flow = self.client.post("/flows/", json={"name": f"flow-{uuid.uuid4()}"}).json()
        answer = self.client.post("/flow_runs/", json={"flow_id": flow["id"]})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def make_task(self, run: str) -> str:
        """Make a task run of a flow run and return its id."""
        body = {"flow_run_id": run, "task_key": "t", "dynamic_key": uuid.uuid4().hex}
        answer = self.client.post("/task_runs/", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


class Insistent(httpx.HTTPTransport):
    """Asks again while Prefect's SQLite is busy, as Prefect's own client does."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        def answered() -> httpx.Response | None:
            answer = super(Insistent, self).handle_request(request)
            answer.read()
            return None if answer.status_code == 503 and BUSY in answer.content else answer

        return eventually(answered, "SQLite to be free", within=PATIENCE)


@contextmanager
def api_at(url: str, part: Child | None = None) -> Iterator[Api]:
    """The API at an address."""
    transport = Insistent()
    with httpx.Client(base_url=url, timeout=30, trust_env=False, transport=transport) as client:
        yield Api(client, url, part)


@contextmanager
def log_server(
    folder: Path, cache: Path, cassandra: ClusterConfig, more: Mapping[str, str]
) -> Iterator[Api]:
    """Run a server with its run logs in Cassandra, as the local stack starts it.

    Args:
        folder: For its database and its log.
        cache: Where the stack keeps an empty database.
        cassandra: How the server reaches the node.
        more: Further environment.
    """
    (port,) = free_ports(1)
    (folder / "prefect").mkdir(parents=True)
    prefect_services.copy_template(cache, folder / "prefect")
    logs = prefect_services.logs_in_cassandra(cassandra) | more
    part = prefect_services.server_part(folder, port, logs)
    part.start()
    try:
        eventually(lambda: part.ended() or prefect_services.is_server_ready(port), within=PATIENCE)
        assert not part.ended(), part.log_tail()
        with api_at(prefect_services.api_url(port), part) as api:
            yield api
    finally:
        part.stop(20)
