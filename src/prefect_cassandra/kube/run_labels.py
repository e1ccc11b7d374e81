"""What the worker writes on a flow run: the version and the image that it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration
from pydantic import PrivateAttr

from prefect_cassandra.project.ran import IMAGE_LABEL, VERSION_LABEL

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse


class LabelledConfiguration(KubernetesWorkerJobConfiguration):  # type: ignore[misc]  # it has no types
    """Prefect's configuration of a Job, which remembers what it was made of."""

    _version: str = PrivateAttr(default="")

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: DeploymentResponse | None = None,
        *others: Any,
        **named: Any,
    ) -> None:
        """Do what Prefect does, and note the deployment's version of this moment."""
        super().prepare_for_flow_run(flow_run, deployment, *others, **named)
        self._version = (deployment.version if deployment else None) or ""

    def run_labels(self) -> dict[str, str]:
        """Return the labels for the run that the Job is for."""
        containers = self.job_manifest["spec"]["template"]["spec"]["containers"]
        labels = {VERSION_LABEL: self._version, IMAGE_LABEL: containers[0].get("image") or ""}
        return {name: value for name, value in labels.items() if value}
