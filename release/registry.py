"""A registry on this machine for as long as a dry run takes."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from prefect_cassandra.kube.tools import attempt, run
from prefect_cassandra.kube.waiting import NotYetError, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGE = "registry:2"
_PORT = "5000/tcp"
_TIMEOUT = 30.0


@contextmanager
def throwaway(tell: Callable[[str], None]) -> Iterator[str]:
    """Run an empty registry, give its address, and remove it with all it holds.

    Docker and helm speak HTTP to it, because it is on a loopback address.

    Args:
        tell: Called with a line when it is there.

    Raises:
        ToolError: Docker failed; quotes its last lines.
        PlatformTimeoutError: It did not answer in time.
    """
    options = ["--detach", "--rm", "--publish", "127.0.0.1::5000"]
    container = run(["docker", "run", *options, IMAGE], timeout=300).strip()
    host = ""
    try:
        host = run(["docker", "port", container, _PORT]).split()[0]
        asyncio.run(eventually(lambda: _answers(host), "the registry", tell, timeout=_TIMEOUT))
        tell(f"a registry for this run is at {host}")
        yield host
    finally:
        attempt(["docker", "rm", "--force", "--volumes", container])
        if host:
            _forget(host)


async def _answers(host: str) -> None:
    """Ask it what every registry answers."""
    async with httpx.AsyncClient() as client:
        try:
            (await client.get(f"http://{host}/v2/")).raise_for_status()
        except httpx.HTTPError as error:
            raise NotYetError(str(error) or type(error).__name__) from error


def _forget(host: str) -> None:
    """Take the names that contain its address away; the images they name are kept."""
    command = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    names = [one for one in attempt(command).output.split() if one.startswith(f"{host}/")]
    if names:
        attempt(["docker", "image", "rm", "--no-prune", *names])
