"""The chart's values as types: the one source of values.yaml, its schema and the README's table.

One module for each room of the values; `charts/generate.py` writes the three files.
"""

from __future__ import annotations

from pydantic import Field

from model.base import Closed
from model.cassandra import Cassandra, ExternalCassandra
from model.images import Images
from model.keyspaces import Keyspace, KeyspaceName, Logins
from model.network import NetworkPolicy
from model.pods import PodDefaults
from model.reconciler import Reconciler
from model.server import ExternalServer, Postgres, Server
from model.work import Bootstrap, Flows, Worker, WorkPool

__all__ = ["Values"]


class Values(Closed):
    """Everything a release can be told."""

    images: Images = Field(default=Images(), description="Where the images come from.")
    cassandra: Cassandra = Field(default=Cassandra(), description="The Cassandra of this release.")
    external_cassandra: ExternalCassandra = Field(
        default=ExternalCassandra(),
        description="A Cassandra of your own, with cassandra.enabled=false.",
    )
    keyspaces: dict[KeyspaceName, Keyspace] = Field(
        default={},
        description=(
            "Application keyspaces by name; each gets the roles <name>_flow and <name>_reader."
        ),
    )
    logins: Logins = Field(default=Logins(), description="Where the database passwords are.")
    bootstrap: Bootstrap = Field(
        default=Bootstrap(), description="The Job that makes keyspaces and roles."
    )
    server: Server = Field(
        default=Server(), description="Prefect's API, UI and background services."
    )
    external_server: ExternalServer = Field(
        default=ExternalServer(),
        description="A Prefect server of your own, with server.enabled=false.",
    )
    postgres: Postgres = Field(default=Postgres(), description="The server's database.")
    worker: Worker = Field(default=Worker(), description="Makes a Kubernetes Job of each due run.")
    reconciler: Reconciler = Field(
        default=Reconciler(), description="Puts right what worker and server leave stuck."
    )
    work_pool: WorkPool = Field(
        default=WorkPool(), description="The pool, its queues and its template."
    )
    flows: Flows = Field(default=Flows(), description="What all flow pods share.")
    network_policy: NetworkPolicy = Field(
        default=NetworkPolicy(), description="Who may speak with whom; everything else is refused."
    )
    pod_defaults: PodDefaults = Field(default=PodDefaults(), description="What holds for all pods.")
