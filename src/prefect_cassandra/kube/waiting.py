"""Waits inside the cluster for something that another pod brings about."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import httpx

from prefect_cassandra.errors import PlatformError, PlatformTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")

_REPEAT = 30.0
_MAY_PASS = {401, 403, 408, 429}
_FIRST_SERVER_ERROR = 500


class NotYetError(Exception):
    """What is waited for is not there; the text says what is instead."""


async def eventually(  # noqa: PLR0913 -- a wait is told apart by what it says
    attempt: Callable[[], Awaitable[T]],
    what: str,
    tell: Callable[[str], None],
    *,
    timeout: float | None = None,  # noqa: ASYNC109 -- the error names what was waited for
    pause: float = 1.0,
    hint: str = "",
) -> T:
    """Try until it works; tells the reason when it changes and now and then.

    Args:
        attempt: Returns what is wanted or raises `NotYetError`.
        what: What is waited for, such as `the database`.
        tell: Called with a line.
        timeout: Seconds; None waits as long as it takes.
        pause: Seconds between two tries.
        hint: What to do when it never comes.

    Raises:
        PlatformTimeoutError: It did not come in time; names the last reason.
    """
    began = time.monotonic()
    known, told = "", 0.0
    while True:
        try:
            return await attempt()
        except NotYetError as error:
            reason = str(error)
        waited = time.monotonic() - began
        if timeout is not None and waited >= timeout:
            raise PlatformTimeoutError(
                f"{what} was not there after {timeout:.0f} s: {reason}", hint=hint
            )
        if reason != known or waited - told >= _REPEAT:
            tell(f"waiting for {what}: {reason}")
            known, told = reason, waited
        await asyncio.sleep(pause)


@contextmanager
def answering() -> Iterator[None]:
    """Turn the ways in which a Prefect server does not answer yet into `NotYetError`.

    Raises:
        PlatformError: It does answer, with a refusal that no waiting mends.
    """
    try:
        yield
    except httpx.HTTPStatusError as error:
        # 401 too: a Secret that was made a moment ago may reach us before it reaches the server.
        status = error.response.status_code
        if status in _MAY_PASS or status >= _FIRST_SERVER_ERROR:
            raise NotYetError(f"it answers {status}") from error
        raise PlatformError(f"The Prefect server refuses: {error}") from error
    except (httpx.HTTPError, OSError) as error:
        raise NotYetError(str(error) or type(error).__name__) from error
