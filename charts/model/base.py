"""What all the value models share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Closed(BaseModel):
    """A section of the values: camelCase in YAML, and a key nobody reads is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class Amounts(Closed):
    """CPU and memory in Kubernetes' own notation; an empty one is left out."""

    cpu: str = Field(default="", description="CPU, for example 500m.")
    memory: str = Field(default="", description="Memory, for example 512Mi.")


class Resources(Closed):
    """What a container is promised and what it may take at most."""

    requests: Amounts = Field(
        default=Amounts(), description="What the scheduler keeps free for the container."
    )
    limits: Amounts = Field(
        default=Amounts(),
        description="The most it may take. CPU is best left open.",
    )


def resources(cpu: str, memory: str, memory_limit: str) -> Resources:
    """Return requests for both and a limit for memory alone."""
    return Resources(requests=Amounts(cpu=cpu, memory=memory), limits=Amounts(memory=memory_limit))


class EnvironmentVariable(Closed):
    """One plain environment variable. Secrets do not belong here: values are kept in clear text."""

    name: str = Field(description="Its name.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    value: str = Field(default="", description="Its value.")
