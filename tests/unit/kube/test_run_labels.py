from __future__ import annotations

import uuid
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect_kubernetes.worker import KubernetesWorker

from prefect_cassandra.kube.run_labels import LabelledConfiguration
from prefect_cassandra.kube.worker import PlatformWorker
from prefect_cassandra.project.ran import IMAGE_LABEL, VERSION_LABEL


def deployment(version: str | None) -> DeploymentResponse:
    now = datetime.now(UTC)
    return DeploymentResponse(
        id=uuid.uuid4(), name="d", flow_id=uuid.uuid4(), version=version, created=now, updated=now
    )


@pytest.mark.parametrize(
    ("version", "labels"),
    [
        ("v2-b", {VERSION_LABEL: "v2-b", IMAGE_LABEL: "flows:b"}),
        (None, {IMAGE_LABEL: "flows:b"}),
    ],
)
def test_a_run_is_labelled_with_what_its_job_is_made_of(
    version: str | None, labels: dict[str, str]
) -> None:
    template = KubernetesWorker.get_default_base_job_template()["job_configuration"]
    manifest: dict[str, Any] = deepcopy(template["job_manifest"])
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = "flows:b"
    manifest["metadata"] |= {"labels": {}, "annotations": {}}
    made = LabelledConfiguration(namespace="prefect", job_manifest=manifest)
    run = FlowRun(flow_id=uuid.uuid4(), name="r", deployment_version="v1-a")
    made.prepare_for_flow_run(run, deployment(version))
    assert made.run_labels() == labels


def test_the_worker_makes_its_jobs_with_it() -> None:
    assert PlatformWorker.job_configuration is LabelledConfiguration
