from __future__ import annotations

import http.client
import json
from contextlib import closing

import httpx
import pytest

from prefect_cassandra.errors import PlatformError, PlatformTimeoutError
from prefect_cassandra.kube.database import judge, wanted_revisions
from prefect_cassandra.kube.health import served
from prefect_cassandra.kube.waiting import NotYetError, answering, eventually


async def test_a_wait_tells_each_new_reason_once() -> None:
    reasons = iter(["no pod", "no pod", "starting"])
    told: list[str] = []

    async def attempt() -> str:
        for reason in reasons:
            raise NotYetError(reason)
        return "there"

    assert await eventually(attempt, "the server", told.append, pause=0) == "there"
    assert told == ["waiting for the server: no pod", "waiting for the server: starting"]


async def test_a_wait_that_is_too_long_names_the_last_reason() -> None:
    async def attempt() -> None:
        raise NotYetError("no tables")

    with pytest.raises(PlatformTimeoutError, match="after 0 s: no tables"):
        await eventually(attempt, "the database", lambda _: None, timeout=0, pause=0)


@pytest.mark.parametrize("status", [401, 503])
def test_a_server_that_may_come_round_is_waited_for(status: int) -> None:
    request = httpx.Request("GET", "http://pc-server/api")
    response = httpx.Response(status, request=request)
    with pytest.raises(NotYetError, match=f"it answers {status}"), answering():
        response.raise_for_status()


def test_a_refusal_is_not_waited_for() -> None:
    response = httpx.Response(422, request=httpx.Request("GET", "http://pc-server/api"))
    with pytest.raises(PlatformError, match="422"), answering():
        response.raise_for_status()


def test_nobody_there_is_waited_for() -> None:
    with pytest.raises(NotYetError, match="refused"), answering():
        raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"b"}, None),
        (set(), "no revision yet, wanted is b"),
        ({"a"}, "at revision a, wanted is b"),
    ],
)
def test_the_database_is_judged_by_its_revision(found: set[str], said: str | None) -> None:
    problem = judge(found, {"b"})
    assert (problem is None) if said is None else (problem is not None and said in problem)


def test_prefect_brings_one_newest_revision() -> None:
    assert len(wanted_revisions()) == 1


def test_health_follows_the_answer() -> None:
    healthy = [True]
    with served("127.0.0.1", 0, lambda: healthy[0]) as port:

        def ask(path: str) -> tuple[int, str]:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())["message"]

        assert ask("/health") == (200, "OK")
        assert ask("/")[0] == 404
        healthy[0] = False
        assert ask("/health")[0] == 503
