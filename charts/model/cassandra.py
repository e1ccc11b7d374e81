"""The Cassandra of a release, or the one that is there already."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from model.base import Closed, Resources, resources

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Ordinal = Annotated[str, Field(pattern=r"^[0-9]+$")]


class CassandraStorage(Closed):
    """The volume of each node."""

    size: str = Field(default="20Gi", description="Size; it cannot be changed by an upgrade.")
    storage_class: str = Field(
        default="", description="StorageClass; empty means the cluster's default."
    )


class Repair(Closed):
    """Cassandra's own repair, which keeps deleted rows from coming back."""

    enabled: bool = Field(default=True, description="Whether nodes repair by themselves.")
    full_interval: str = Field(
        default="7d",
        pattern=r"^[0-9]+[mhd]$",
        description="Time between full repairs; must stay below the tables' gc_grace_seconds.",
    )
    incremental_interval: str = Field(
        default="",
        pattern=r"^([0-9]+[mhd])?$",
        description="Time between incremental repairs as well; empty means none.",
    )


class Issuer(Closed):
    """Who signs the certificate, with cert-manager in the cluster."""

    name: str = Field(
        default="", description="Name of the issuer; set it and a Certificate is made."
    )
    kind: Literal["Issuer", "ClusterIssuer"] = Field(
        default="Issuer", description="Kind of the issuer."
    )
    group: str = Field(default="cert-manager.io", description="API group of the issuer.")


class CassandraTls(Closed):
    """Encryption between clients and nodes, and between nodes."""

    client: bool = Field(default=False, description="Whether the CQL port is encrypted.")
    internode: bool = Field(
        default=False, description="Whether nodes encrypt what they tell each other."
    )
    optional: bool = Field(
        default=False,
        description="Whether plain connections are taken as well: the step between off and on.",
    )
    existing_secret: str = Field(
        default="",
        description=(
            "Secret with tls.crt, tls.key (unencrypted) and ca.crt. Empty means cert-manager's or "
            "one that is made once and kept."
        ),
    )
    issuer: Issuer = Field(
        default=Issuer(), description="Issuer of cert-manager, if it shall sign."
    )
    duration: str = Field(
        default="2160h0m0s",
        description="Life of a certificate of cert-manager; renewed without a restart.",
    )


class Cassandra(Closed):
    """The Cassandra of this release."""

    enabled: bool = Field(default=True, description="Whether this release runs a Cassandra.")
    replicas: int = Field(
        default=3,
        ge=1,
        description="Nodes. From three on it can be raised; it is lowered after decommissioning.",
    )
    cluster_name: str = Field(
        default="prefect-cassandra",
        min_length=1,
        description="Name of the cluster; fixed by the first start.",
    )
    datacenter: Name = Field(
        default="dc1", description="Name of the datacenter; fixed by the first start."
    )
    racks: list[Name] = Field(
        default=["rack1", "rack2", "rack3"],
        min_length=1,
        description=(
            "Racks, given to the nodes in turn; one, or at least three. Fixed by the first start."
        ),
    )
    heap: str = Field(
        default="",
        pattern=r"^([1-9][0-9]*[MG])?$",
        description=(
            "Java heap, for example 4G; empty means half of the memory limit, at least 512M."
        ),
    )
    resources: Resources = Field(
        default=resources("500m", "4Gi", "4Gi"),
        description="Of each node. The memory limit must be set: the heap follows from it.",
    )
    storage: CassandraStorage = Field(
        default=CassandraStorage(), description="The volume of each node."
    )
    config: dict[str, Any] = Field(
        default={},
        description="Further settings of cassandra.yaml, by their names in Cassandra 5.0.",
    )
    jvm_options: list[Annotated[str, Field(pattern=r"^-\S+$")]] = Field(
        default=[], description="Further options for Java, each as one word."
    )
    repair: Repair = Field(default=Repair(), description="Cassandra's own repair.")
    tls: CassandraTls = Field(default=CassandraTls(), description="Encryption.")
    replace: dict[Ordinal, str] = Field(
        default={},
        description=(
            "A lost disk: ordinal of the pod and the address its node had (nodetool status on "
            "another one shows it as DN). Ignored once the new node has joined."
        ),
    )
    zone_spread: Literal["ScheduleAnyway", "DoNotSchedule"] = Field(
        default="ScheduleAnyway", description="How strictly the nodes are spread over zones."
    )
    host_spread: Literal["ScheduleAnyway", "DoNotSchedule"] = Field(
        default="ScheduleAnyway", description="How strictly the nodes are spread over machines."
    )
    startup_hours: int = Field(
        default=24, ge=1, description="Hours a node may take to join before it is restarted."
    )
    termination_grace_period_seconds: int = Field(
        default=300,
        ge=30,
        description="Seconds a node has to drain; less means replaying the commit log.",
    )
    pod_annotations: dict[str, str] = Field(
        default={}, description="Further annotations of the pods."
    )


class ExternalCassandraTls(Closed):
    """Encryption towards a Cassandra of your own."""

    enabled: bool = Field(default=False, description="Whether its CQL port is encrypted.")
    ca_secret: str = Field(
        default="", description="Secret with its authority as ca.crt; empty means the public ones."
    )


class ExternalCassandra(Closed):
    """A Cassandra of your own, used when cassandra.enabled is false."""

    contact_points: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], description="Names or addresses of some of its nodes."
    )
    port: int = Field(default=9042, ge=1, le=65535, description="Its CQL port.")
    local_datacenter: str = Field(default="dc1", description="The datacenter next to this cluster.")
    replication: int = Field(
        default=3, ge=1, description="Copies of each row where a keyspace does not say otherwise."
    )
    tls: ExternalCassandraTls = Field(
        default=ExternalCassandraTls(), description="Encryption towards it."
    )
    cidrs: list[str] = Field(
        default=[],
        description="Address ranges it is in, for NetworkPolicies; empty means anywhere.",
    )
