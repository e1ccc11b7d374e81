"""Who may speak with whom."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from model.base import Closed


class NetworkPolicy(Closed):
    """Each component may reach what it needs; everything else is refused, both ways."""

    enabled: bool = Field(default=True, description="Whether to make the policies.")
    flow_egress: list[dict[str, Any]] = Field(
        default=[],
        description=(
            "What flows may reach beside the API, Cassandra and DNS: egress rules as in a "
            "NetworkPolicy, for example [{ports: [{port: 443}]}]."
        ),
    )
    server_peers: list[dict[str, Any]] = Field(
        default=[],
        description=(
            "Who may reach the server beside this release's own pods: peers as in a NetworkPolicy, "
            "for example [{namespaceSelector: {matchLabels: {team: data}}}]."
        ),
    )
    cassandra_peers: list[dict[str, Any]] = Field(
        default=[], description="The same for Cassandra's CQL port."
    )
    api_server_cidrs: list[str] = Field(
        default=[],
        alias="apiServerCIDRs",
        description=(
            "Address ranges of the Kubernetes API, for worker, reconciler and doctor; empty means "
            "any."
        ),
    )
