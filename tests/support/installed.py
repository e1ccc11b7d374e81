"""Releases as the chart describes them, for tests that need no cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.installation import (
    InstalledCassandra,
    InstalledImages,
    InstalledPods,
    InstalledPool,
    InstalledRelease,
    InstalledServer,
    InstalledService,
    SecretKey,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

PLAIN = InstalledCassandra(
    enabled=True,
    contact_points=("pc-cassandra",),
    port=9042,
    local_datacenter="dc1",
    replicas=1,
    tls=False,
)
ENCRYPTED = replace(
    PLAIN,
    tls=True,
    ca_file="/etc/prefect-cassandra/ca/ca.crt",
    ca_secret=SecretKey("pc-cassandra-tls", "ca.crt"),
)
EXTERNAL = InstalledCassandra(
    enabled=False,
    contact_points=("a.example.com", "b.example.com"),
    port=9142,
    local_datacenter="west",
    replicas=0,
    tls=True,
)
SERVER = InstalledServer(
    enabled=True,
    api_url="http://pc-server:4200/api",
    service=InstalledService("pc-server", 4200),
    auth_secret=SecretKey("pc-server-auth", "auth-string"),
    ui_url="http://localhost:4200",
)
POOL = InstalledPool(enabled=True, name="cassandra", queues=("default", "heavy"))
KEYSPACES = ("flights", "sensors", "values_demo", "weather_api")


def installed(keyspaces: Iterable[str] = KEYSPACES, **changes: Any) -> InstalledRelease:
    """Return release `pc` in namespace `prefect`, with changes."""
    roles = [
        "prefect_owner",
        *(f"{name}_{who}" for name in keyspaces for who in ("flow", "reader")),
    ]
    found = InstalledRelease(
        chart_version="0.1.0",
        app_version="0.1.0",
        release="pc",
        namespace="prefect",
        cassandra=PLAIN,
        server=SERVER,
        work_pool=POOL,
        logins={role: f"pc-login-{role.replace('_', '-')}" for role in roles},
        images=InstalledImages(platform="platform:1", flows="flows:1"),
        pods=InstalledPods(service_accounts={"hooks": "pc-hooks", "flow": "pc-flow"}),
        superuser_secret="pc-cassandra-superuser",
    )
    return replace(found, **changes)
