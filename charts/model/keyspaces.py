"""The application keyspaces and the logins of all roles."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from model.base import Closed

Copies = Annotated[int, Field(ge=1, le=99)]
KeyspaceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]


class Keyspace(Closed):
    """One data domain: a keyspace, a role for its flows and one for readers."""

    description: str = Field(default="", description="What it holds.")
    replication: dict[str, Copies] = Field(
        default={},
        description="Copies for each datacenter; empty means as many as nodes, at most three.",
    )


class Logins(Closed):
    """Where the database passwords are."""

    superuser_secret: str = Field(
        default="",
        description=(
            "Secret with username and password of the superuser; empty means one is made once and "
            "kept. An external Cassandra needs its own."
        ),
    )
    existing_prefix: str = Field(
        default="",
        description=(
            "Prefix of Secrets that exist already, each with username and password: "
            "<prefix>-flights-flow for the role flights_flow. Empty means they are made and kept."
        ),
    )
