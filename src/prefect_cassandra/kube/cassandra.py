"""The Cassandra of a release, its own or one elsewhere: as its pods reach it, and from here."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_cassandra.driver.config import ClusterConfig, Login, Tls
from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.forward import Forward
from prefect_cassandra.kube.kubectl import secret_data
from prefect_cassandra.kube.services import find_service
from prefect_cassandra.project.environment import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.kube.installation import InstalledCassandra, InstalledRelease
    from prefect_cassandra.kube.kubectl import Release


def tls_of(cassandra: InstalledCassandra) -> Tls | None:
    """Return how the CQL port is encrypted, with the authority's file where pods have it.

    An authority of the cluster's own vouches for its nodes by signing: addresses of pods are in no
    certificate. The public authorities sign for anybody, so there the name is looked at.
    """
    if not cassandra.tls:
        return None
    if cassandra.ca_file:
        return Tls(ca_file=Path(cassandra.ca_file), verify_host=False)
    return Tls(server_name=cassandra.contact_points[0])


@contextmanager
def connected(release: Release, installed: InstalledRelease, role: str) -> Iterator[ClusterConfig]:
    """Reach the database that a release uses, as one of its roles, while the block runs.

    A port is forwarded to a Service of the cluster; any other database is spoken to directly.
    Sessions that were opened with what is yielded have to be closed inside of the block.

    Raises:
        PlatformError: The release has no login for the role.
        ToolError: The cluster does not answer, or a Secret is not there.
    """
    cassandra = installed.cassandra
    login = login_of(release, installed, role)
    with ExitStack() as stack:
        tls = _tls_here(release, cassandra, stack)
        hosts, port = _way(release, cassandra, stack)
        yield ClusterConfig(
            contact_points=hosts,
            port=port,
            local_datacenter=cassandra.local_datacenter or None,
            login=login,
            tls=tls,
        )


def login_of(release: Release, installed: InstalledRelease, role: str) -> Login:
    """Return the login of a role, from its Secret.

    Raises:
        PlatformError: The release has no login for the role.
        ToolError: The Secret is not there, or holds none.
    """
    name = installed.login_secret(role)
    data = secret_data(release, name)
    if not {"username", "password"} <= data.keys():
        raise ToolError(
            f"Secret {name} in namespace {release.namespace} lacks `username` or `password`.",
            hint="Every Secret of a login has both; see `logins` in the values.",
        )
    return Login(data["username"], data["password"])


def _tls_here(release: Release, cassandra: InstalledCassandra, stack: ExitStack) -> Tls | None:
    """Return the same as `tls_of` with the authority in a file of this machine."""
    tls, secret = tls_of(cassandra), cassandra.ca_secret
    if tls is None or secret is None:
        return tls
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="prefect-cassandra-"))
    file = Path(folder) / "ca.crt"
    file.write_text(secret_data(release, secret.name).get(secret.key, ""), encoding="utf-8")
    return replace(tls, ca_file=file)


def _way(
    release: Release, cassandra: InstalledCassandra, stack: ExitStack
) -> tuple[tuple[str, ...], int]:
    """Return the contact points and the port as this machine knows them."""
    for host in cassandra.contact_points:
        found = find_service(release, host)
        if found is not None:
            where, service = found
            forward = Forward(where, service, cassandra.port)
            stack.callback(forward.close)
            return (LOOPBACK,), forward.port
    return cassandra.contact_points, cassandra.port
