"""Prefect's API as the doctor asks it: once, with a plain answer also when it refuses."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from prefect_cassandra.errors import AuthenticationError, PlatformError, UnreachableError
from prefect_cassandra.project.environment import LOOPBACK

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_TIMEOUT = 15.0
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _FIRST_ERROR = 401, 403, 404, 400


@dataclass(frozen=True, slots=True)
class PrefectAddress:
    """Where Prefect's API is and how to get in.

    Args:
        url: Of the API, such as `http://pc-server:4200/api`.
        login: `user:password`, or an API key; empty where nothing is asked for.
        is_key: Whether the login is an API key.
    """

    url: str
    login: str = field(default="", repr=False)
    is_key: bool = False


class PrefectApi:
    """Asks one server while a block runs.

    Args:
        address: Where it is.
    """

    def __init__(self, address: PrefectAddress) -> None:
        headers, auth = {}, None
        if address.login and address.is_key:
            headers["Authorization"] = f"Bearer {address.login}"
        elif address.login:
            user, _, password = address.login.partition(":")
            auth = httpx.BasicAuth(user, password)
        self.url = address.url
        # A proxy of the environment is for the world outside, not for a forwarded port.
        is_here = urlsplit(address.url).hostname == LOOPBACK
        self._client = httpx.Client(
            headers=headers, auth=auth, timeout=_TIMEOUT, trust_env=not is_here
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the answer to one question; None when there is no such thing.

        Raises:
            UnreachableError: The server does not answer.
            AuthenticationError: It refuses the login.
            PlatformError: It answers with another error.
        """
        try:
            answer = self._client.request(method, f"{self.url}{path}", json=body)
        except (httpx.HTTPError, OSError) as error:
            said = str(error) or type(error).__name__
            raise UnreachableError(f"{self.url} does not answer: {said}") from error
        if answer.status_code in {_UNAUTHORIZED, _FORBIDDEN}:
            raise AuthenticationError(f"{self.url} refuses the login ({answer.status_code})")
        if answer.status_code == _NOT_FOUND:
            return None
        if answer.status_code >= _FIRST_ERROR:
            said = answer.text[:200]
            raise PlatformError(f"{self.url}{path} answers {answer.status_code}: {said}")
        try:
            return answer.json()
        except ValueError as error:
            raise PlatformError(
                f"{self.url}{path} does not answer like Prefect's API",
                hint="Does the URL end with /api?",
            ) from error

    def timed(self, path: str) -> tuple[Any, float]:
        """Return an answer and the seconds that it took."""
        began = time.monotonic()
        return self.ask("GET", path), time.monotonic() - began
