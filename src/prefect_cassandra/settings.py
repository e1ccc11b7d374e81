"""Every setting of this package; nothing else reads the environment.

Settings come, in this order, from `PREFECT_INTEGRATIONS_CASSANDRA_*` variables, a `.env` file,
`prefect.toml` (`[integrations.cassandra]`), `pyproject.toml`
(`[tool.prefect.integrations.cassandra]`) and the active Prefect profile: Prefect's own rules.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from prefect.settings.base import PrefectBaseSettings, build_settings_config
from pydantic import Field
from pydantic_settings import SettingsConfigDict

_PATH = ("integrations", "cassandra")


def _user_folder(kind: str) -> Path:
    """Return the folder the XDG specification names for `kind`, without looking at its variable."""
    return Path.home() / {"cache": ".cache", "data": ".local/share"}[kind] / "prefect-cassandra"


class DriverSettings(PrefectBaseSettings):
    """How sessions behave: `PREFECT_INTEGRATIONS_CASSANDRA_DRIVER_*`."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config((*_PATH, "driver"))

    request_timeout: float = Field(
        default=20.0,
        gt=0,
        description=(
            "Seconds the client waits for one request. Longer than the server's own write and read "
            "timeouts (2 s to 10 s), so that the server, which knows more, answers first."
        ),
    )
    connect_timeout: float = Field(
        default=10.0, gt=0, description="Seconds to open and authenticate one connection."
    )
    retry_attempts: int = Field(
        default=5,
        ge=0,
        description="Times one request is sent again after an error a repeat can mend; 0 never.",
    )
    retry_backoff: float = Field(
        default=0.1,
        ge=0,
        description=(
            "Seconds before the first repeat; doubles with each, with full jitter, so that many "
            "clients do not return together."
        ),
    )
    retry_backoff_max: float = Field(
        default=5.0, ge=0, description="Seconds that one back-off pause can reach."
    )
    requests_in_flight: int = Field(
        default=32,
        ge=1,
        le=2048,
        description=(
            "Requests one load may keep under way; fewer while the cluster is busy. 16 to 64 "
            "batches saturate a node; far more only fill its queues until it answers Overloaded."
        ),
    )


class LedgerSettings(PrefectBaseSettings):
    """What the ledger of writes keeps: `PREFECT_INTEGRATIONS_CASSANDRA_LEDGER_*`."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config((*_PATH, "ledger"))

    undo_window: int = Field(
        default=14,
        ge=1,
        le=3650,
        description=(
            "Days for which the ledger keeps what only undoing and proof need: the filters of the "
            "keys that a chunk wrote (1.25 bytes a row) and the keys that a statement deleted. "
            "Who has which stamps is kept for as long as the table."
        ),
    )


class LocalSettings(PrefectBaseSettings):
    """The stack on one machine: `PREFECT_INTEGRATIONS_CASSANDRA_LOCAL_*`."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config((*_PATH, "local"))

    data_folder: Path = Field(
        default_factory=lambda: _user_folder("data") / "local",
        description="Folder of the nodes' data, Prefect's database, logs and credentials.",
    )
    cache_folder: Path = Field(
        default_factory=lambda: _user_folder("cache"),
        description="Folder of downloaded jars and class-data archives; safe to delete.",
    )
    maven_repository: str = Field(
        default="",
        description=(
            "Address of a Maven repository to download Cassandra's jars from, for machines that "
            "reach only a mirror; empty means the public one."
        ),
    )
    heap: str = Field(
        default="640M",
        pattern=r"^\d+[MG]$",
        description="Java heap of each node. 640M holds the demo; 256M is enough for tests.",
    )
    cql_port: int = Field(default=9042, gt=0, lt=65536, description="Port for CQL on each node.")
    storage_port: int = Field(default=7000, gt=0, lt=65536, description="Port between the nodes.")
    jmx_port: int = Field(
        default=7199,
        gt=0,
        lt=65533,
        description="JMX port of the first node on loopback; the next nodes take the next ports.",
    )
    server_port: int = Field(
        default=4200, gt=0, lt=65536, description="Port of the Prefect server and its UI."
    )
    log_store: Literal["database", "cassandra"] = Field(
        default="database",
        description=(
            "Where the stack's server keeps run logs: Prefect's own database or Cassandra, in "
            "tables that `local deploy` and `schema apply` make."
        ),
    )
    start_timeout: float = Field(
        default=180.0,
        gt=0,
        description="Seconds a part of the stack may take to answer; a busy laptop needs minutes.",
    )
    stop_timeout: float = Field(
        default=60.0, gt=0, description="Seconds one part may take to drain before it is killed."
    )
    drain_timeout: float = Field(
        default=10.0,
        ge=0,
        description=(
            "Seconds that running flows get to end when the stack is stopped; then they are told "
            "to stop and report themselves as crashed."
        ),
    )


class ReconcilerSettings(PrefectBaseSettings):
    """When runs and Jobs are put right: `PREFECT_INTEGRATIONS_CASSANDRA_RECONCILER_*`."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config((*_PATH, "reconciler"))

    interval: float = Field(
        default=15.0, gt=0, description="Seconds between two looks at runs and Jobs."
    )
    settle: float = Field(
        default=30.0,
        ge=0,
        description=(
            "Seconds for which every look has to come to the same before anything is done. One "
            "look alone may see the middle of a change."
        ),
    )
    pending_grace: float = Field(
        default=120.0,
        gt=0,
        description="Seconds a run may be Pending without a Job before it is put back.",
    )
    pending_deadline: float = Field(
        default=900.0,
        gt=0,
        description=(
            "Seconds a pod may be unable to start, unschedulable or without its image, before its "
            "run is failed. Longer than a node pool takes to grow."
        ),
    )
    gone_grace: float = Field(
        default=60.0,
        ge=0,
        description=(
            "Seconds after the end of a Job in which its run may still tell its end itself, and "
            "Prefect's observer may, which takes up to 30 s. Also what a Job without a pod at work "
            "may outlive its run."
        ),
    )
    lost_after: float = Field(
        default=60.0,
        ge=0,
        description="Seconds after its time that a deleted pod counts as lost with its node.",
    )
    cancelling_timeout: float = Field(
        default=330.0,
        gt=0,
        description="Seconds a run may be Cancelling. The server itself gives up after 300.",
    )
    leave_grace: float = Field(
        default=600.0,
        ge=0,
        description=(
            "Seconds a Job whose pod works may outlive its run before it is deleted, or stand "
            "beside a second Job. Longer than the longest hook of a flow, such as `on_failure`: "
            "hooks run after the run has ended. A Job without such a pod has `gone_grace`."
        ),
    )
    requeues: int = Field(
        default=3, ge=0, description="Times a run is put back before it starts, or starts again."
    )
    restarts: int = Field(
        default=0,
        ge=0,
        description=(
            "Times a run that crashed after it started is run again when its flow's `retries` ask "
            "for fewer. 0 because not every flow may run twice; loads with write stamps may."
        ),
    )
    backoff: float = Field(
        default=10.0,
        ge=0,
        description="Seconds before a run that is put back is due; doubles with each time.",
    )
    backoff_max: float = Field(
        default=300.0, ge=0, description="Seconds that this back-off can reach."
    )
    revive_within: float = Field(
        default=3600.0,
        ge=0,
        description="Seconds after a crash in which a run is still run again; older ones stay.",
    )


class ServerSettings(PrefectBaseSettings):
    """The Prefect server with our layers: `PREFECT_INTEGRATIONS_CASSANDRA_SERVER_*`."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config((*_PATH, "server"))

    log_store: Literal["database", "cassandra"] = Field(
        default="database",
        description=(
            "Where run logs are: `database`, Prefect's own, or `cassandra`. Lines stay where they "
            "were written; after a change only new ones are seen."
        ),
    )
    log_retention_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days that a line of a run log is kept in Cassandra, then it expires.",
    )
    log_buffer_mib: int = Field(
        default=64,
        ge=1,
        description=(
            "MiB of log lines that one server process keeps while Cassandra does not take them; "
            "lines beyond are dropped, counted and warned of."
        ),
    )
    contact_points: str = Field(
        default="127.0.0.1",
        description="Names or addresses of Cassandra's nodes for the server, separated by commas.",
    )
    port: int = Field(default=9042, gt=0, lt=65536, description="CQL port of those nodes.")
    local_datacenter: str | None = Field(
        default=None, description="Datacenter whose nodes the server talks to, where several are."
    )
    login_folder: Path | None = Field(
        default=None,
        description=(
            "Folder with the files `username` and `password` of `prefect_state`; read at each new "
            "connection, so that a changed password needs no restart."
        ),
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates to trust (PEM); encrypts the connection."
    )
    server_name: str | None = Field(
        default=None, description="Name that the nodes' certificates have instead of addresses."
    )
