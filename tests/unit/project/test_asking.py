from __future__ import annotations

import base64
import socket
from urllib.parse import urlsplit

import pytest

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.project import asking
from prefect_cassandra.project.asking import insist, send
from support.http_server import Answer, Asked, LoopbackServer


def port_of(server: LoopbackServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def test_a_request_carries_its_body_and_its_login() -> None:
    with LoopbackServer(lambda _: Answer(201, {"id": 7})) as server:
        answer = send(port_of(server), "POST", "/api/x", {"a": 1}, auth="admin:päss")
    assert answer == (201, {"id": 7})
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.json()) == ("POST", "/api/x", {"a": 1})
    scheme, _, login = asked.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(login).decode()) == ("Basic", "admin:päss")


def test_without_a_login_none_is_sent() -> None:
    with LoopbackServer(lambda _: Answer()) as server:
        assert send(port_of(server), "GET", "/api/x") == (200, None)
    assert "Authorization" not in server.asked[0].headers


def test_silence_is_zero_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    status, reason = send(port, "GET", "/api/x")
    assert status == 0
    assert "refused" in reason


def test_what_is_no_json_is_no_answer() -> None:
    with LoopbackServer(lambda _: Answer(200, b"<html>")) as server:
        assert send(port_of(server), "GET", "/api/x")[0] == 0


@pytest.mark.parametrize("away", [(0, "refused"), (503, "busy"), (500, "restarting")])
def test_a_server_that_is_away_for_a_moment_is_asked_again(
    away: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_PAUSE", 0)
    answers = [away, away, (200, "there")]
    assert insist(lambda *_: answers.pop(0), "GET", "/x", None, PlatformError) == "there"
    assert answers == []


def test_a_refusal_is_told_at_once() -> None:
    def answer(_: Asked) -> Answer:
        return Answer(422, {"detail": "no such queue"})

    with LoopbackServer(answer) as server:
        port = port_of(server)
        with pytest.raises(PlatformError, match=r"POST /api/x with 422.*no such queue"):
            insist(lambda *it: send(port, *it), "POST", "/api/x", {}, PlatformError)
    assert len(server.asked) == 1


def test_patience_ends_and_the_last_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PATIENCE", 0)
    monkeypatch.setattr(asking, "_PAUSE", 0)
    with pytest.raises(PlatformError, match="GET /x with nothing: refused"):
        insist(lambda *_: (0, "refused"), "GET", "/x", None, PlatformError)
