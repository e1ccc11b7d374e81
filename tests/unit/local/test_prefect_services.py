from __future__ import annotations

import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from prefect.settings import get_current_settings
from prefect.settings.context import temporary_settings

from prefect_cassandra.local import prefect_services
from prefect_cassandra.local.guard import BRANCH, MARK
from prefect_cassandra.local.prefect_services import (
    client_environment,
    copy_template,
    is_server_ready,
    is_worker_online,
    keep_template,
    part_environment,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path("/data")
USERS = {
    "PATH": "/bin",
    "PREFECT_API_URL": "https://elsewhere/api",
    "PREFECT_API_KEY": "their-secret",
    "PREFECT_PROFILE": "production",
    "PREFECT_HOME": "/home/someone/.prefect",
    "PREFECT_LOGGING_LEVEL": "DEBUG",
    "PREFECT_INTEGRATIONS_CASSANDRA_DRIVER_RETRY_ATTEMPTS": "1",
    "no_proxy": "intranet",
}


def test_environment_means_this_stack_and_not_the_users_prefect() -> None:
    environment = client_environment(FOLDER, 4200, USERS)
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert environment["PREFECT_HOME"] == "/data/prefect"
    assert environment["PREFECT_PROFILES_PATH"] == "/data/prefect/profiles.toml"
    assert "PREFECT_API_KEY" not in environment
    assert "PREFECT_PROFILE" not in environment
    assert environment["PATH"] == "/bin"


def test_environment_keeps_our_settings_and_how_loud_to_be() -> None:
    environment = client_environment(FOLDER, 4200, USERS)
    assert environment["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert environment["PREFECT_INTEGRATIONS_CASSANDRA_DRIVER_RETRY_ATTEMPTS"] == "1"


def test_environment_goes_around_proxies_for_the_loopback() -> None:
    environment = client_environment(FOLDER, 4200, USERS)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "intranet,127.0.0.1,localhost"


def test_only_parts_carry_the_mark_and_only_the_worker_its_branch() -> None:
    assert MARK not in client_environment(FOLDER, 4200, {})
    services = prefect_services.Services(FOLDER, FOLDER, 4200, 1.0)
    assert services.server.environment[MARK] == str(FOLDER)
    assert BRANCH not in services.server.environment
    assert services.worker.environment[BRANCH] == "worker"


def test_every_prefect_variable_is_one_that_prefect_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = part_environment(FOLDER, 4321, {})
    ours = {name: value for name, value in environment.items() if name.startswith("PREFECT_")}
    for name in (MARK, BRANCH):
        ours.pop(name, None)
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    with temporary_settings():
        known = get_current_settings().model_validate({})
    assert (known.server.api.host, known.server.api.port) == ("127.0.0.1", 4321)
    assert known.server.ui.api_url == "http://127.0.0.1:4321/api"
    assert known.worker.query_seconds == 1
    assert known.worker.enable_cancellation
    assert not known.server.analytics_enabled
    assert set(ours) <= set(known.to_environment_variables(exclude_unset=True)) | {
        # Read by another name than they are written; the asserts above show that they are read.
        *("PREFECT_SERVER_UI_API_URL", "PREFECT_HOME", "PREFECT_PROFILES_PATH")
    }


def database(path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE flow_run (id INTEGER)")
        connection.executemany("INSERT INTO flow_run VALUES (?)", [(row,) for row in range(rows)])
        connection.commit()


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM flow_run").fetchone()[0])


def test_template_of_one_folder_serves_the_next(tmp_path: Path) -> None:
    cache, first, second = tmp_path / "cache", tmp_path / "first", tmp_path / "second"
    database(first / "prefect.db", 0)
    second.mkdir()
    keep_template(first, cache)
    copy_template(cache, second)
    assert count(second / "prefect.db") == 0
    assert [one.name for one in second.iterdir()] == ["prefect.db"]


def test_template_is_kept_once_and_never_replaced(tmp_path: Path) -> None:
    cache, first, later = tmp_path / "cache", tmp_path / "first", tmp_path / "later"
    database(first / "prefect.db", 0)
    database(later / "prefect.db", 5)
    keep_template(first, cache)
    keep_template(later, cache)
    assert count(prefect_services.template_path(cache)) == 0


def test_copy_template_without_a_template_leaves_the_folder_empty(tmp_path: Path) -> None:
    copy_template(tmp_path / "cache", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def api() -> Iterator[tuple[int, dict[str, Any]]]:
    """A server that answers what the test puts into the table."""
    answers: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(200 if body is not None else 503)
            self.end_headers()
            self.wfile.write((body or "null").encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, answers
        server.shutdown()
        thread.join()


def test_server_is_ready_when_its_database_is(api: tuple[int, dict[str, Any]]) -> None:
    port, answers = api
    assert not is_server_ready(port)
    answers["/api/health"] = "true"
    assert not is_server_ready(port)
    answers["/api/ready"] = "{}"
    assert is_server_ready(port)


def test_server_is_not_ready_when_nothing_listens(unused_tcp_port: int) -> None:
    assert not is_server_ready(unused_tcp_port)


WORKER = '[{"name": "%s", "status": "%s", "last_heartbeat_time": "2026-11-21T10:00:00.500000Z"}]'


@pytest.mark.parametrize(
    ("workers", "since", "expected"),
    [
        (WORKER % ("local", "ONLINE"), 1795255200.0, True),
        (WORKER % ("local", "ONLINE"), 1795255201.0, False),
        (WORKER % ("local", "OFFLINE"), 1795255200.0, False),
        (WORKER % ("another", "ONLINE"), 1795255200.0, False),
        ("[]", 0.0, False),
        (None, 0.0, False),
    ],
    ids=["online", "before this start", "offline", "somebody else's", "none", "no pool"],
)
def test_worker_is_online_when_it_was_heard_since_its_start(
    *, api: tuple[int, dict[str, Any]], workers: str | None, since: float, expected: bool
) -> None:
    port, answers = api
    answers["/api/work_pools/local/workers/filter"] = workers
    assert is_worker_online(port, since) is expected
