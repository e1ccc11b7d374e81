"""How the doctor gets at the release's server and database.

From outside it takes the way of the other commands: ports that kubectl forwards, logins from the
release's Secrets. In a pod of the release names are known, and the logins are mounted.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_cassandra.driver.config import ClusterConfig, Login, RetryRules
from prefect_cassandra.driver.sharing import close_sessions
from prefect_cassandra.kube.cassandra import connected, tls_of
from prefect_cassandra.kube.jobs import LOGIN_FOLDER
from prefect_cassandra.kube.server import API_KEY, BASIC, Server, reached
from prefect_cassandra.schema.model import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.kube.installation import InstalledCassandra, InstalledRelease
    from prefect_cassandra.kube.kubectl import Release

# What the chart hands to every client of Prefect's API, by kind of credential.
_VARIABLES = {BASIC: "PREFECT_API_AUTH_STRING", API_KEY: "PREFECT_API_KEY"}
# A doctor who waits long says nothing meanwhile.
_CONNECT, _REQUEST = 5.0, 10.0
_RETRY = RetryRules(attempts=2)


@contextmanager
def prefect_server(
    release: Release, installed: InstalledRelease, *, inside: bool
) -> Iterator[Server]:
    """Reach Prefect's API while the block runs.

    Raises:
        ToolError: No port can be forwarded, or there is no such Secret.
    """
    if not inside:
        with reached(release, installed) as there:
            yield there
        return
    server = installed.server
    login = os.environ.get(_VARIABLES[server.auth_kind], "")
    with closing(Server(server.api_url.rstrip("/"), login, server.auth_kind)) as here:
        yield here


@contextmanager
def cassandra_config(
    release: Release, installed: InstalledRelease, *, inside: bool
) -> Iterator[ClusterConfig]:
    """Say how to connect to Cassandra while the block runs; closes the sessions made in it.

    Raises:
        ToolError: No port can be forwarded, or there is no such Secret.
    """
    with ExitStack() as stack:
        if inside:
            config = _mounted(installed.cassandra)
        else:
            config = stack.enter_context(connected(release, installed, LEDGER))
        # Before the port is closed, which would look like a node that went away.
        stack.callback(close_sessions)
        yield replace(config, connect_timeout=_CONNECT, request_timeout=_REQUEST, retry=_RETRY)


def _mounted(cassandra: InstalledCassandra) -> ClusterConfig:
    return ClusterConfig(
        contact_points=cassandra.contact_points,
        port=cassandra.port,
        local_datacenter=cassandra.local_datacenter or None,
        login=Login(folder=Path(LOGIN_FOLDER)),
        tls=tls_of(cassandra),
    )
