"""Tells Services of the cluster from hosts elsewhere, by the names that pods use for them.

What pods call `pc-server` or `pc-server.prefect.svc` is unknown to this machine, and a port is
forwarded to it; `prefect.example.com` is spoken to as it is.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ToolError
from prefect_cassandra.kube.kubectl import read

if TYPE_CHECKING:
    from prefect_cassandra.kube.kubectl import Release

# <service>.<namespace>.svc; what follows is the cluster's own domain, which may be any.
_MARK, _MARK_AT = "svc", 2
_FORBIDDEN = "(Forbidden)"


def service_name(host: str, namespace: str) -> tuple[str, str] | None:
    """Read a host as the name of a Service.

    Args:
        host: As pods call it.
        namespace: Where those pods are.

    Returns:
        The Service that it would be and its namespace; None for what cannot be one.
    """
    labels = host.rstrip(".").split(".")
    if _is_address(host) or not all(labels):
        return None
    if len(labels) == 1:
        return labels[0], namespace
    # `prefect.lan` reads like <service>.<namespace>: only the cluster knows whether it is.
    if len(labels) == _MARK_AT or labels[_MARK_AT] == _MARK:
        return labels[0], labels[1]
    return None


def find_service(release: Release, host: str) -> tuple[Release, str] | None:
    """Return the Service that pods of a release call by a host name.

    Args:
        release: Whose pods.
        host: The name they use.

    Returns:
        Where the Service is and its own name; None when the cluster has none of that name.

    Raises:
        ToolError: The cluster does not answer or refuses.
    """
    found = service_name(host, release.namespace)
    if found is None:
        return None
    service, namespace = found
    there = replace(release, namespace=namespace)
    try:
        is_there = read(there, "service", service) is not None
    except ToolError as error:
        # Who may look at one namespace only need not know that `prefect.lan` is a host elsewhere.
        if _FORBIDDEN in error.message and host.count(".") == 1:
            return None
        raise
    return (there, service) if is_there else None


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
