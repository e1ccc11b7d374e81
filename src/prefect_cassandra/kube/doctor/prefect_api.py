"""Prefect's API as the doctor asks it: once, and each way not to get an answer is an error."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import AuthenticationError, PlatformError, UnreachableError

if TYPE_CHECKING:
    from prefect_cassandra.kube.server import Server

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _FIRST_ERROR = 401, 403, 404, 400
_BUSY = 503
_PAUSES = (0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class PrefectApi:
    """Asks one server.

    Args:
        server: Whom.
    """

    server: Server

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer to one question; None when there is no such thing.

        Raises:
            UnreachableError: The server does not answer, or is not Prefect's.
            AuthenticationError: It refuses the login.
            PlatformError: It answers with another error.
        """
        status, content = self.server.send(method, path, body)
        # A database that is busy for a moment; Prefect's own client asks again as well.
        for pause in _PAUSES:
            if status != _BUSY:
                break
            time.sleep(pause)
            status, content = self.server.send(method, path, body)
        url = self.server.api_url
        if not status:
            raise UnreachableError(f"{url} does not answer: {content}")
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise AuthenticationError(f"{url} refuses the login ({status})")
        if status == _NOT_FOUND:
            return None
        if status >= _FIRST_ERROR:
            raise PlatformError(f"{url}{path} answers {status}: {content}")
        return content

    def timed(self, path: str) -> tuple[Any, float]:
        """Return an answer and the seconds that it took."""
        began = time.monotonic()
        return self.ask("GET", path), time.monotonic() - began
