from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.kube.doctor.prefect_api import PrefectApi
from prefect_cassandra.kube.doctor.server import (
    judge_paused,
    judge_pool,
    judge_workers,
    look_at_health,
    look_at_pool,
)
from prefect_cassandra.kube.pool import Pool, Queue, described
from prefect_cassandra.kube.server import Server
from support.http_server import Answer, LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.http_server import Asked

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
TEMPLATE: dict[str, Any] = {"variables": {"image": "flows:1"}, "job_configuration": {}}
WANTED = Pool("cassandra", TEMPLATE, (Queue("default", 1),), description=described(TEMPLATE))


@pytest.mark.parametrize(
    ("live", "status", "said"),
    [
        (WANTED, "ok", "has the chart's template"),
        (None, "fail", "has no work pool cassandra"),
        (replace(WANTED, template={"variables": {"image": "theirs"}, "job_configuration": {}}),
         "fail", "changed by somebody else"),
        (replace(WANTED, queues=(Queue("default", 5),)), "warn", "priority 5 -> 1"),
        (replace(WANTED, type="process"), "fail", "of type 'process'"),
    ],
)  # fmt: skip
def test_the_pool_is_compared_with_the_charts(live: Pool | None, status: str, said: str) -> None:
    check = judge_pool(WANTED, live, "cassandra")
    assert check.status == status
    assert said in check.evidence


def test_a_pool_that_cannot_be_compared_is_not_well() -> None:
    assert judge_pool(None, WANTED, "cassandra").status == "skipped"


def worker(status: str, beat: str | None) -> dict[str, Any]:
    return {"status": status, "last_heartbeat_time": beat}


@pytest.mark.parametrize(
    ("workers", "status", "said"),
    [
        ([worker("ONLINE", "2030-01-01T11:59:50Z")], "ok", "last heartbeat 10 s ago"),
        ([worker("OFFLINE", "2030-01-01T11:00:00Z")], "fail", "the last heartbeat was 3600 s ago"),
        ([], "fail", "no worker has ever polled"),
        ([worker("OFFLINE", "2030-01-01T11:00:00Z"), worker("ONLINE", "2030-01-01T11:59:59Z")],
         "ok", "1 polling"),
    ],
)  # fmt: skip
def test_a_worker_is_alive_by_its_heartbeat(workers: list[Any], status: str, said: str) -> None:
    check = judge_workers(workers, "cassandra", NOW)
    assert check.status == status
    assert said in check.evidence


def test_what_is_paused_is_said() -> None:
    pool, queue = {"name": "cassandra"}, {"name": "heavy", "is_paused": True}
    assert judge_paused(pool, [{"name": "default"}]) is None
    paused = judge_paused(pool, [queue])
    assert paused is not None
    assert paused.evidence == "paused queues: heavy"
    whole = judge_paused(pool | {"is_paused": True}, [queue])
    assert whole is not None
    assert "the work pool cassandra is paused" in whole.evidence


def healthy(asked: Asked) -> Answer:
    if asked.path == "/api/ready":
        return Answer(200, {"message": "OK"})
    if not asked.headers.get("Authorization"):
        return Answer(401, {})
    answers = {
        "/api/admin/version": "3.8.8",
        "/api/work_pools/cassandra": {
            "name": "cassandra",
            "type": "kubernetes",
            "base_job_template": TEMPLATE,
            "description": WANTED.description,
        },
        "/api/work_pools/cassandra/queues/filter": [{"name": "default", "priority": 1}],
        "/api/work_pools/cassandra/workers/filter": [worker("ONLINE", "2030-01-01T11:59:59Z")],
    }
    found = answers.get(asked.path)
    return Answer(404, {}) if found is None else Answer(200, found)


def health_of(answer: Callable[[Asked], Answer], login: str = "admin:secret") -> Any:
    with (
        LoopbackServer(answer) as server,
        closing(Server(f"{server.url}/api", login)) as there,
    ):
        return look_at_health(PrefectApi(there))


def test_health_is_that_of_server_database_and_login() -> None:
    assert health_of(healthy).evidence.startswith("Prefect 3.8.8 and its database answer in ")


@pytest.mark.parametrize(
    ("answer", "login", "said"),
    [
        (healthy, "", "refuses the login (401)"),
        (lambda _: Answer(503, {"message": "Database is not available"}), "a:b", "503"),
        (lambda _: Answer(200, b"<html>"), "a:b", "this is not Prefect's API"),
    ],
)
def test_a_server_that_cannot_serve_says_why(
    answer: Callable[[Asked], Answer], login: str, said: str
) -> None:
    check = health_of(answer, login)
    assert check.status == "fail"
    assert said in check.evidence
    assert check.hint


def test_a_server_that_is_away_is_a_finding_and_no_error() -> None:
    with LoopbackServer(healthy) as server:
        url = f"{server.url}/api"
    with closing(Server(url, "admin:secret")) as there:
        check = look_at_health(PrefectApi(there))
    assert check.status == "fail"
    assert "does not answer" in check.evidence
    assert "secret" not in json.dumps([check.evidence, check.hint])


def test_the_pool_and_its_workers_are_asked_for() -> None:
    with (
        LoopbackServer(healthy) as server,
        closing(Server(f"{server.url}/api", "a:b")) as there,
    ):
        api = PrefectApi(there)
        found = look_at_pool(api, WANTED, "cassandra", NOW)
        missing = look_at_pool(api, WANTED, "other", NOW)
    assert [check.status for check in found] == ["ok", "ok"]
    assert [check.status for check in missing] == ["fail", "skipped"]
