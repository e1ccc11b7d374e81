"""Prefect's server, ours or somebody else's, and the database behind it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from model.base import Closed, EnvironmentVariable, Resources, resources


class ServerAuth(Closed):
    """Basic auth of the API and the UI; it cannot be switched off."""

    existing_secret: str = Field(
        default="",
        description="Secret with the auth string; empty means one is made once and kept.",
    )
    existing_secret_key: str = Field(
        default="auth-string", description="Key in it; the value reads user:password."
    )


class Retention(Closed):
    """How long the server keeps what it has recorded."""

    flow_runs_days: int = Field(default=90, ge=1, description="Days a finished flow run is kept.")
    events_days: int = Field(
        default=7, ge=1, description="Days an event is kept; events are most of the database."
    )


class Ingress(Closed):
    """An Ingress for the UI and the API."""

    enabled: bool = Field(default=False, description="Whether to make one.")
    class_name: str = Field(
        default="", description="IngressClass; empty means the cluster's default."
    )
    host: str = Field(default="", description="Host name it answers for.")
    tls_secret: str = Field(
        default="", description="Secret with tls.crt and tls.key; empty means HTTP."
    )
    annotations: dict[str, str] = Field(
        default={}, description="Annotations for the ingress controller."
    )


class Server(Closed):
    """Prefect's API, UI and background services in one pod."""

    enabled: bool = Field(
        default=True, description="Whether to run one; false needs externalServer."
    )
    auth: ServerAuth = Field(default=ServerAuth(), description="Basic auth of the API and the UI.")
    retention: Retention = Field(default=Retention(), description="How long history is kept.")
    ui_url: str = Field(
        default="",
        description=(
            "Address of the server as a browser sees it, without /api; empty means the ingress' "
            "host, or else http://localhost:4200 for a port-forward."
        ),
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="What the server's log tells."
    )
    extra_env: list[EnvironmentVariable] = Field(
        default=[], description="Further PREFECT_SERVER_* settings."
    )
    ingress: Ingress = Field(default=Ingress(), description="A way in from outside the cluster.")
    resources: Resources = Field(
        default=resources("250m", "512Mi", "1Gi"),
        description="Of the server; it idles at about 350 MiB.",
    )


class ExternalSecret(Closed):
    """A Secret that exists already, and the key in it."""

    name: str = Field(default="", description="Name of the Secret; empty means no authentication.")
    key: str = Field(default="auth-string", description="Key in it.")


class ExternalServer(Closed):
    """A Prefect server of your own, or Prefect Cloud."""

    api_url: str = Field(
        default="", description="Its API, for example https://prefect.example.com/api."
    )
    auth_kind: Literal["basic", "api-key"] = Field(
        default="basic", description="basic for an auth string, api-key for Prefect Cloud."
    )
    auth_secret: ExternalSecret = Field(
        default=ExternalSecret(), description="Secret with the auth string or the API key."
    )


class PostgresAuth(Closed):
    """The bundled Postgres' password."""

    existing_secret: str = Field(
        default="",
        description="Secret with password and connection-url; empty means made once and kept.",
    )


class PostgresStorage(Closed):
    """Its volume."""

    size: str = Field(default="8Gi", description="Size of the volume.")
    storage_class: str = Field(
        default="", description="StorageClass; empty means the cluster's default."
    )


class ExternalPostgres(Closed):
    """A Postgres of your own, 14.9 or newer."""

    existing_secret: str = Field(
        default="", description="Secret with its URL; set it and no Postgres is installed."
    )
    existing_secret_key: str = Field(
        default="connection-url",
        description="Key in it; postgresql+asyncpg://user:password@host:5432/db.",
    )
    port: int = Field(
        default=5432,
        ge=1,
        le=65535,
        description="Its port, which the NetworkPolicies open; as in the URL.",
    )


class Postgres(Closed):
    """The server's database: one pod with a volume, or an external one."""

    auth: PostgresAuth = Field(default=PostgresAuth(), description="Its password.")
    storage: PostgresStorage = Field(default=PostgresStorage(), description="Its volume.")
    parameters: dict[str, str] = Field(
        default={"max_connections": "100", "shared_buffers": "128MB"},
        description="Settings given to the postgres program.",
    )
    resources: Resources = Field(
        default=resources("100m", "256Mi", "512Mi"), description="Of the bundled Postgres."
    )
    external: ExternalPostgres = Field(
        default=ExternalPostgres(), description="Your own Postgres instead."
    )
