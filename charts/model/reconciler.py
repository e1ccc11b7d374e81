"""What puts runs and Jobs right where they tell different stories."""

from __future__ import annotations

from pydantic import Field

from model.base import Closed, EnvironmentVariable, Resources, resources


class Reconciler(Closed):
    """Compares runs with their Jobs and ends or repeats what nobody else does."""

    enabled: bool = Field(
        default=False,
        description="Whether to run one. It deletes Jobs and sets states: look at it with "
        "`prefect-cassandra reconcile --dry-run` first.",
    )
    replicas: int = Field(
        default=1, ge=1, description="How many; one works, the others stand by for its Lease."
    )
    pending_deadline_seconds: int = Field(
        default=900,
        ge=60,
        description="Seconds a pod may be unschedulable or without its image before its run fails. "
        "Longer than a node pool takes to grow.",
    )
    requeues: int = Field(
        default=3, ge=0, description="Times a run is put back before it starts, or starts again."
    )
    restarts: int = Field(
        default=0,
        ge=0,
        description="Times a run that crashed after it started is run again when its flow's "
        "retries ask for fewer; a run with the tag no-restart never is.",
    )
    extra_env: list[EnvironmentVariable] = Field(
        default=[],
        description="Further settings, for example PREFECT_INTEGRATIONS_CASSANDRA_RECONCILER_*.",
    )
    resources: Resources = Field(
        default=resources("20m", "192Mi", "384Mi"),
        description="Of each; it starts with about 160 MiB.",
    )
