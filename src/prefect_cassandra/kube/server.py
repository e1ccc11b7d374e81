"""The release's Prefect server, reached from this machine."""

from __future__ import annotations

import base64
import json
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube.kubectl import read_secret
from prefect_cassandra.project.environment import LOOPBACK

if TYPE_CHECKING:
    from prefect_cassandra.kube.forward import Forward
    from prefect_cassandra.kube.kubectl import Release

PORT = 4200
_TIMEOUT = 10.0
_PATIENCE = 60.0
_PAUSE = 0.5
_ERROR, _FIRST_SERVER_ERROR = 400, 500


class Server:
    """Speaks to Prefect's API through a forwarded port; is an `Ask`.

    Args:
        forward: To the Service of the server.
        auth: `user:password` of basic authentication.
    """

    def __init__(self, forward: Forward, auth: str) -> None:
        self._forward = forward
        self.auth = auth

    @property
    def api_url(self) -> str:
        """Return the address of the API as it is now."""
        return f"http://{LOOPBACK}:{self._forward.port}/api"

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask; a server that is away or busy for a moment is waited out.

        Raises:
            PlatformError: It refuses, or stays away.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            status, content = self._send(method, path, body)
            if 0 < status < _ERROR:
                return content
            may_pass = status == 0 or status >= _FIRST_SERVER_ERROR
            if not may_pass or time.monotonic() > deadline:
                answer = f"{status}: {content}" if status else f"nothing: {content}"
                raise PlatformError(f"the Prefect server answers {method} {path} with {answer}")
            time.sleep(_PAUSE)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        token = base64.b64encode(self.auth.encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
        payload = None if body is None else json.dumps(body)
        with closing(HTTPConnection(LOOPBACK, self._forward.port, timeout=_TIMEOUT)) as connection:
            try:
                connection.request(method, path, payload, headers)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read() or b"null")
            except (OSError, HTTPException, ValueError) as error:
                return 0, str(error) or type(error).__name__


def auth_of(release: Release) -> str:
    """Return the server's `user:password`, from its Secret."""
    return read_secret(release, "server-auth")["auth-string"]
