"""The Prefect server of a release, its own or one elsewhere, reached from this machine."""

from __future__ import annotations

import base64
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from prefect_cassandra.errors import PlatformError, ToolError
from prefect_cassandra.kube.forward import Forward
from prefect_cassandra.kube.kubectl import secret_data
from prefect_cassandra.kube.services import find_service
from prefect_cassandra.project.asking import insist
from prefect_cassandra.project.environment import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.kube.installation import InstalledRelease, InstalledServer
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.project.asking import Body

PORT = 4200
BASIC, API_KEY = "basic", "api-key"
_API = "/api"
_TIMEOUT = 10.0
_HTTP_PORT = 80
_SHOWN = 200


class Server:
    """Speaks to Prefect's API; is an `Ask`.

    Paths begin with `/api`, which stands for wherever the API is: Prefect Cloud has it elsewhere.

    Args:
        way: A forwarded port to its Service, or the address of its API.
        auth: `user:password` of basic authentication, or an API key; empty where it asks for none.
        kind: `basic` or `api-key`.
        path: Where the API is behind a forwarded port.
    """

    def __init__(self, way: Forward | str, auth: str, kind: str = BASIC, path: str = _API) -> None:
        self._way = way
        self._path = path
        self._kind = kind
        self.auth = auth
        self._client = httpx.Client(
            timeout=_TIMEOUT,
            headers=headers_of(auth, kind),
            # A proxy of this machine knows nothing of its loopback.
            trust_env=isinstance(way, str) and urlsplit(way).hostname != LOOPBACK,
            # What is behind a forwarded port may be replaced between two requests.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    @property
    def api_url(self) -> str:
        """Return the address of the API as it is now."""
        if isinstance(self._way, str):
            return self._way
        # The port is another one when the pod behind it was replaced.
        return f"http://{LOOPBACK}:{self._way.port}{self._path}"

    def environment(self) -> dict[str, str]:
        """Return Prefect's setting with the credential, for a process that speaks to the server."""
        if not self.auth:
            return {}
        return {
            "PREFECT_API_KEY" if self._kind == API_KEY else "PREFECT_API_AUTH_STRING": self.auth
        }

    def __call__(self, method: str, path: str, body: Body = None) -> Any:
        """Ask; a server that is away or busy for a moment is waited out.

        Raises:
            PlatformError: It refuses, or stays away.
        """
        return insist(self.send, method, path, body, self._refusal)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, method: str, path: str, body: Body = None) -> tuple[int, Any]:
        """Ask once; returns status and content, or 0 and the reason when there is no answer."""
        try:
            answer = self._client.request(
                method, f"{self.api_url}{path.removeprefix(_API)}", json=body
            )
        except (httpx.HTTPError, OSError) as error:
            return 0, str(error) or type(error).__name__
        try:
            return answer.status_code, answer.json() if answer.content else None
        except ValueError:
            shown = answer.text[:_SHOWN]
            if answer.is_error:
                return answer.status_code, shown
            return 0, f"this is not Prefect's API, whose address ends with /api: {shown}"

    def _refusal(self, text: str) -> PlatformError:
        if not isinstance(self._way, str):
            return PlatformError(text)
        hint = (
            f"The release names {self._way} (externalServer.apiUrl), and this machine speaks to it "
            "itself: it has to be reachable from here, and the credential in the Secret valid."
        )
        return PlatformError(text, hint=hint)


def headers_of(auth: str, kind: str) -> dict[str, str]:
    """Return the header that carries a credential, none for an empty one."""
    if not auth:
        return {}
    if kind == API_KEY:
        return {"Authorization": f"Bearer {auth}"}
    return {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"}


@contextmanager
def reached(release: Release, installed: InstalledRelease) -> Iterator[Server]:
    """Reach the server that a release uses while the block runs.

    A port is forwarded to a Service of the cluster; any other server is spoken to directly.

    Raises:
        PlatformError: The release uses none.
        ToolError: The cluster does not answer, or the Secret with the credential is not there.
    """
    server = installed.server
    url = urlsplit(server.api_url)
    if not url.hostname:
        raise PlatformError(
            f"Release {release.name} in namespace {release.namespace} uses no Prefect server, so "
            "there is nothing to register deployments with.",
            hint="Set server.enabled=true or externalServer.apiUrl, and upgrade the release.",
        )
    auth = credential_of(release, server)
    # With TLS the name matters, so a server is asked under its own.
    found = find_service(release, url.hostname) if url.scheme == "http" else None
    if found is None:
        with closing(Server(server.api_url.rstrip("/"), auth, server.auth_kind)) as direct:
            yield direct
        return
    where, service = found
    with (
        closing(Forward(where, service, url.port or _HTTP_PORT)) as forward,
        closing(Server(forward, auth, server.auth_kind, url.path.rstrip("/"))) as ours,
    ):
        yield ours


def credential_of(release: Release, server: InstalledServer) -> str:
    """Return what the server asks for, from its Secret; empty when it asks for nothing.

    Raises:
        ToolError: There is no such Secret, or no such key in it.
    """
    where = server.auth_secret
    if where is None:
        return ""
    data = secret_data(release, where.name)
    if where.key not in data:
        raise ToolError(
            f"Secret {where.name} in namespace {release.namespace} has no key {where.key}; it has "
            f"{', '.join(sorted(data)) or 'none'}.",
            hint="The release's values name the key: server.auth.existingSecretKey, or "
            "externalServer.authSecret.key.",
        )
    return data[where.key]
