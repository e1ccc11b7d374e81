"""Where the images come from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from model.base import Closed


class Image(Closed):
    """One image. A digest wins over a tag, because it cannot be moved."""

    repository: str = Field(description="Repository, with its registry where it has one.")
    tag: str = Field(default="", description="Tag; empty means the chart's appVersion.")
    digest: str = Field(
        default="",
        pattern=r"^(sha256:[0-9a-f]{64})?$",
        description="Digest, for example sha256:...; wins over the tag.",
    )
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When a node asks the registry."
    )


class Images(Closed):
    """The four images; two are this project's, two are the public ones."""

    registry: str = Field(
        default="",
        # Without a scheme and without a slash at the end, as it is written in an image's name.
        pattern=r"^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._/-]+[a-z0-9]+)*)?)?$",
        description=(
            "Registry and path of this project's two images, for example"
            " registry.example.org/data: what `make push REGISTRY=` was given. A repository that"
            " names a registry itself keeps it."
        ),
    )
    platform: Image = Field(
        default=Image(repository="prefect-cassandra-platform"),
        description="Prefect's server, the worker, the hooks and the tests.",
    )
    flows: Image = Field(
        default=Image(repository="prefect-cassandra-flows"),
        description="What a flow runs in until an image of its own is pushed for its deployment.",
    )
    cassandra: Image = Field(
        default=Image(repository="cassandra", tag="5.0.9"),
        description="Apache Cassandra's public image.",
    )
    postgres: Image = Field(
        default=Image(repository="postgres", tag="17"), description="Postgres' public image."
    )
    pull_secrets: list[str] = Field(
        default=[],
        description="Names of Secrets of type kubernetes.io/dockerconfigjson for all pods, for "
        "example [registry-login].",
    )
