"""The release's Prefect server, reached from this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PlatformError
from prefect_cassandra.kube.kubectl import read_secret
from prefect_cassandra.project.asking import insist, send
from prefect_cassandra.project.environment import LOOPBACK

if TYPE_CHECKING:
    from prefect_cassandra.kube.forward import Forward
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.project.asking import Body

PORT = 4200


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

    def __call__(self, method: str, path: str, body: Body = None) -> Any:
        """Ask; a server that is away or busy for a moment is waited out.

        Raises:
            PlatformError: It refuses, or stays away.
        """
        return insist(self._send, method, path, body, PlatformError)

    def _send(self, method: str, path: str, body: Body) -> tuple[int, Any]:
        # The port is another one when the pod behind it was replaced.
        return send(self._forward.port, method, path, body, auth=self.auth)


def auth_of(release: Release) -> str:
    """Return the server's `user:password`, from its Secret."""
    return read_secret(release, "server-auth")["auth-string"]
