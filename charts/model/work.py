"""What carries runs out: the worker, its pool, and the pods flows run in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from model.base import Closed, EnvironmentVariable, Resources, resources

QueueName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Worker(Closed):
    """Asks the server for due runs and makes a Kubernetes Job of each."""

    enabled: bool = Field(default=True, description="Whether to run one.")
    replicas: int = Field(
        default=1, ge=0, description="How many; each run is taken by exactly one of them."
    )
    query_seconds: float = Field(
        default=0.5,
        gt=0,
        description="Seconds between two questions for due runs; Prefect's own is 10.",
    )
    prefetch_seconds: int = Field(
        default=10, ge=0, description="Seconds ahead of its time that a scheduled run is taken."
    )
    extra_env: list[EnvironmentVariable] = Field(
        default=[], description="Further settings. PREFECT_* ones reach the flow pods as well."
    )
    resources: Resources = Field(
        default=resources("100m", "256Mi", "512Mi"),
        description="Of each; it idles at about 200 MiB.",
    )


class Queue(Closed):
    """One queue of the pool."""

    name: QueueName = Field(description="Its name, which deployments give as work_queue_name.")
    description: str = Field(default="", description="What belongs into it.")
    priority: int = Field(default=1, ge=1, description="1 is served first.")
    concurrency_limit: int = Field(default=0, ge=0, description="Runs at a time; 0 means no limit.")


class JobDefaults(Closed):
    """Job variables a deployment can override."""

    cpu_request: str = Field(default="100m", description="CPU the scheduler keeps free for a flow.")
    cpu_limit: str = Field(default="", description="Most CPU it may take; empty means no limit.")
    memory_request: str = Field(default="256Mi", description="Memory kept free for a flow.")
    memory_limit: str = Field(default="1Gi", description="Memory at which it is killed.")
    finished_job_ttl: int = Field(
        default=3600, ge=0, description="Seconds a finished Job and its log stay in the cluster."
    )
    active_deadline_seconds: int = Field(
        default=86400,
        ge=60,
        description="Seconds after which a Job is ended, also one that waits for its image.",
    )
    termination_grace_period_seconds: int = Field(
        default=60, ge=1, description="Seconds an evicted flow has to hand its run back."
    )


class WorkPool(Closed):
    """The pool, its queues and the template of its Jobs."""

    name: str = Field(default="cassandra", min_length=1, description="Name of the pool.")
    concurrency_limit: int = Field(
        default=0, ge=0, description="Runs at a time in all; 0 means no limit."
    )
    queues: list[Queue] = Field(
        default=[
            Queue(name="default", description="Short flows."),
            Queue(
                name="heavy",
                description="Loads; give them cpu_request and memory_limit as job variables.",
                priority=2,
            ),
        ],
        description="Queues of the pool; one called default must be among them.",
    )
    job_defaults: JobDefaults = Field(
        default=JobDefaults(),
        description="What a flow's Job gets unless its deployment says otherwise.",
    )


class Flows(Closed):
    """What all flow pods share."""

    service_account_annotations: dict[str, str] = Field(
        default={}, description="Annotations of their ServiceAccount, for cloud identities."
    )
    extra_env: list[EnvironmentVariable] = Field(
        default=[], description="Environment of every flow; a deployment's own env wins."
    )


class Bootstrap(Closed):
    """The Job that makes keyspaces, roles and tables after an install or upgrade."""

    enabled: bool = Field(default=True, description="Whether to run it.")
    active_deadline_seconds: int = Field(
        default=900, ge=60, description="Seconds it may take, waiting for Cassandra included."
    )
    resources: Resources = Field(
        default=resources("100m", "192Mi", "512Mi"), description="Of this and the other short Jobs."
    )
