"""What holds for all pods, and how Secrets come to be."""

from __future__ import annotations

from pydantic import Field

from model.base import Closed


class Toleration(Closed):
    """One toleration, as in a pod."""

    key: str = Field(default="", description="Key of the taint.")
    operator: str = Field(
        default="Equal", pattern="^(Equal|Exists)$", description="Equal or Exists."
    )
    value: str = Field(default="", description="Value of the taint.")
    effect: str = Field(default="", description="Effect of the taint; empty means all.")


class PodDefaults(Closed):
    """What holds for all pods of the release, flow pods included."""

    node_selector: dict[str, str] = Field(default={}, description="Labels a node must have.")
    tolerations: list[Toleration] = Field(default=[], description="Taints the pods put up with.")
    priority_class_name: str = Field(
        default="", description="PriorityClass; empty means the default."
    )
    generate_secrets: bool = Field(
        default=True,
        description=(
            "Whether missing passwords are made once and kept. Tools that render without the "
            "cluster (Argo CD, helm diff) would make new ones each time: set false there, and "
            "every missing existing Secret is named in an error."
        ),
    )
