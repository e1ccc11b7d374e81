"""The Prefect server and the worker of a local stack: their settings, their start, their health.

Nothing of Prefect is imported here: the supervisor speaks HTTP to the server, and the imports that
make up most of the start go on in both child processes at once.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prefect_cassandra.local.guard import BRANCH, MARK, mark_of, unmarked
from prefect_cassandra.local.parts import Child, wait_for
from prefect_cassandra.project.asking import send
from prefect_cassandra.project.environment import LOOPBACK, prefect_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig

HOST = LOOPBACK
POOL = "local"
QUEUES = ("default", "loads")
WORKER_NAME = "local"
WORKER_BRANCH = "worker"
GO = b"go\n"

_OK = 200


def api_url(port: int) -> str:
    """Return the address of the server's API."""
    return f"http://{HOST}:{port}/api"


def ui_url(port: int) -> str:
    """Return the address of the server's pages for people."""
    return f"http://{HOST}:{port}"


def client_environment(folder: Path, port: int, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which Prefect means this stack and nothing else.

    Args:
        folder: Data folder of the stack.
        port: Port of the server.
        base: Environment to start from.
    """
    return prefect_environment(folder / "prefect", api_url(port), unmarked(base))


def part_environment(folder: Path, port: int, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the server and the worker; flow runs inherit the worker's."""
    return client_environment(folder, port, base) | {
        MARK: mark_of(folder),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": api_url(port),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # Without it a run triggered by hand waits up to ten seconds for the next poll.
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_HEARTBEAT_SECONDS": "10",
        # A run cancelled while pending would otherwise start all the same.
        "PREFECT_WORKER_ENABLE_CANCELLATION": "true",
        "PYTHONUNBUFFERED": "1",
    }


@dataclass
class Services:
    """The server and the worker of one stack.

    Args:
        folder: Data folder of the stack.
        cache: Folder of downloads, where an empty database is kept for new folders.
        port: Port of the server.
        drain: Seconds that running flows get to end when the worker is asked to stop.
        logs: Environment of a server that keeps run logs in Cassandra, see `logs_in_cassandra`;
            none for Prefect's own server.
    """

    folder: Path
    cache: Path
    port: int
    drain: float
    logs: Mapping[str, str] | None = None
    server: Child = field(init=False)
    worker: Child = field(init=False)

    def __post_init__(self) -> None:
        self.server = server_part(self.folder, self.port, self.logs)
        self.worker = _worker(self.folder, self.port, self.drain)

    def start(
        self, timeout: float, *, aborted: Callable[[], bool], on_ready: Callable[[Child], None]
    ) -> None:
        """Start both at once and return when the worker is seen online.

        Args:
            timeout: Seconds for each of them.
            aborted: Asked again and again; true ends the start.
            on_ready: Told of each when it is ready.

        Raises:
            LocalStackError: One of them ended or did not get ready in time.
        """
        home = self.folder / "prefect"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not (home / "prefect.db").exists()
        if is_new:
            copy_template(self.cache, home)
        self.server.start()
        self.worker.start()
        what = f"answer on {api_url(self.port)}/ready"
        wait_for(
            lambda: is_server_ready(self.port), self.server, timeout, what=what, aborted=aborted
        )
        on_ready(self.server)
        if is_new:
            keep_template(home, self.cache)
        since = time.time()
        self.worker.say(GO)
        wait_for(
            lambda: is_worker_online(self.port, since),
            self.worker,
            timeout,
            what="report to the server",
            aborted=aborted,
        )
        on_ready(self.worker)


def logs_in_cassandra(config: ClusterConfig) -> dict[str, str]:
    """Return the environment in which the server keeps run logs in Cassandra.

    Args:
        config: How the server reaches the nodes, with a folder as its login.
    """
    found = {
        "LOG_STORE": "cassandra",
        "CONTACT_POINTS": ",".join(config.contact_points),
        "PORT": str(config.port),
        "LOCAL_DATACENTER": config.local_datacenter or "",
        "LOGIN_FOLDER": str(config.login.folder) if config.login else "",
        "CA_FILE": str(config.tls.ca_file) if config.tls else "",
    }
    prefix = "PREFECT_INTEGRATIONS_CASSANDRA_SERVER_"
    return {prefix + name: value for name, value in found.items() if value}


def server_part(folder: Path, port: int, logs: Mapping[str, str] | None = None) -> Child:
    """Describe the server's process.

    The command is the one `prefect server start --background` builds for itself; started directly
    it saves loading Prefect's command line, about 2 s on a busy machine.
    """
    environment = part_environment(folder, port, os.environ)
    environment["PREFECT__SERVER_FINAL"] = "1"
    environment |= logs or {}
    app = "prefect_cassandra.server.app" if logs else "prefect.server.api.server"
    return Child(
        name="server",
        command=[
            *(sys.executable, "-m", "uvicorn", "--factory", f"{app}:create_app"),
            *("--host", HOST, "--port", str(port), "--log-level", "warning"),
            # A browser that watches keeps its connection open for ever.
            *("--timeout-graceful-shutdown", "3"),
        ],
        environment=environment,
        log=folder / "logs" / "server.log",
        address=ui_url(port),
    )


def _worker(folder: Path, port: int, drain: float) -> Child:
    """Describe the worker's process; it waits for the word `GO` once it has imported everything."""
    return Child(
        name="worker",
        command=[sys.executable, "-m", "prefect_cassandra.local.worker", str(drain)],
        environment={**part_environment(folder, port, os.environ), BRANCH: WORKER_BRANCH},
        log=folder / "logs" / "worker.log",
        address=f"pool {POOL}",
    )


def request(
    port: int, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[int, Any] | None:
    """Ask the server; None when it does not answer."""
    status, content = send(port, method, path, body)
    return (status, content) if status else None


def is_server_ready(port: int) -> bool:
    """Tell whether the server answers and reaches its database."""
    health = request(port, "GET", "/api/health")
    if health is None or health[0] != _OK:
        return False
    ready = request(port, "GET", "/api/ready")
    return ready is not None and ready[0] == _OK


def is_worker_online(port: int, since: float = 0.0) -> bool:
    """Tell whether the server has heard from our worker after `since` (Unix time).

    The worker of an earlier start stays in the list as online for a while.
    """
    answer = request(port, "POST", f"/api/work_pools/{POOL}/workers/filter", {})
    if answer is None or answer[0] != _OK:
        return False
    return any(
        one["name"] == WORKER_NAME
        and one["status"] == "ONLINE"
        and datetime.fromisoformat(one["last_heartbeat_time"]).timestamp() >= since
        for one in answer[1]
    )


def template_path(cache: Path) -> Path:
    """Return where the empty database of this version of Prefect is kept."""
    return cache / "prefect" / f"empty-{version('prefect')}.db"


def copy_template(cache: Path, home: Path) -> None:
    """Begin with an empty database that has its tables already.

    Prefect makes them by more than a hundred migrations, 10 s of CPU time in every new folder.
    """
    with suppress(OSError):
        _copy_database(template_path(cache), home / "prefect.db")


def keep_template(home: Path, cache: Path) -> None:
    """Keep the database for the next new folder; called before anything was stored in it."""
    template = template_path(cache)
    if template.exists():
        return
    with suppress(OSError, sqlite3.Error):
        template.parent.mkdir(parents=True, exist_ok=True)
        _copy_database(home / "prefect.db", template)


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that may be in use, whole or not at all."""
    if not source.exists():
        return
    draft = target.with_suffix(f".{os.getpid()}")
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as origin,
        closing(sqlite3.connect(draft)) as copy,
    ):
        origin.backup(copy)
    draft.replace(target)
