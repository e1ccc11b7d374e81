"""Speaks to a Prefect server's API on the loopback, with nothing of Prefect imported."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, Protocol

from prefect_cassandra.project.environment import LOOPBACK

if TYPE_CHECKING:
    from prefect_cassandra.errors import PrefectCassandraError

Body = dict[str, Any] | None
Send = Callable[[str, str, Body], tuple[int, Any]]

_TIMEOUT = 10.0
_PATIENCE = 60.0
_PAUSE = 0.5
_ERROR, _FIRST_SERVER_ERROR = 400, 500


class Ask(Protocol):
    """Asks a Prefect server; repeats while it is busy and raises when it refuses."""

    def __call__(self, method: str, path: str, body: Body = None) -> Any:
        """Send a request to a path such as `/api/flow_runs/...` and return the answer."""


def send(
    port: int, method: str, path: str, body: Body = None, *, auth: str = ""
) -> tuple[int, Any]:
    """Send one request.

    Args:
        port: Port of the server on the loopback.
        method: Of HTTP.
        path: Such as `/api/health`.
        body: Sent as JSON.
        auth: `user:password` of basic authentication; empty where there is none.

    Returns:
        Status and content; 0 and the reason when the server does not answer.
    """
    headers = {"Content-Type": "application/json"}
    if auth:
        headers["Authorization"] = f"Basic {base64.b64encode(auth.encode()).decode()}"
    payload = None if body is None else json.dumps(body)
    with closing(HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT)) as connection:
        try:
            connection.request(method, path, payload, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, HTTPException, ValueError) as error:
            return 0, str(error) or type(error).__name__


def insist(
    send_one: Send,
    method: str,
    path: str,
    body: Body,
    refusal: Callable[[str], PrefectCassandraError],
) -> Any:
    """Ask until there is an answer; a server that is away or busy for a moment is waited out.

    SQLite that is busy shows as 503, a pod that is replaced as no answer at all.

    Raises:
        PrefectCassandraError: What `refusal` makes of the text: it refuses, or stays away.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        status, content = send_one(method, path, body)
        if 0 < status < _ERROR:
            return content
        may_pass = status == 0 or status >= _FIRST_SERVER_ERROR
        if not may_pass or time.monotonic() > deadline:
            answer = f"{status}: {content}" if status else f"nothing: {content}"
            raise refusal(f"the Prefect server answers {method} {path} with {answer}")
        time.sleep(_PAUSE)
