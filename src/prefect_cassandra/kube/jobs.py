"""Jobs that the command line runs in the cluster: the CQL migrations of a flow image."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PlatformError, PlatformTimeoutError
from prefect_cassandra.kube.kubectl import apply, delete, read, read_all
from prefect_cassandra.kube.pods import troubles
from prefect_cassandra.kube.tools import attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect_cassandra.kube.kubectl import Release

LOGIN_FOLDER = "/etc/prefect-cassandra/login"
_USER = 10001
_TIMEOUT = 300
_PAUSE = 1.0
_TTL = 3600
# Files of a mounted Secret are for the group of the pod and for nobody else.
_FILE_MODE = 0o440


def migrations_job(release: Release, image: str) -> dict[str, Any]:
    """Return the Job that carries out the migrations in a flow image, as the owner role.

    Its name tells the image, so each image has one and a repeat replaces it.
    """
    mark = hashlib.sha256(image.encode()).hexdigest()[:8]
    command = [
        *("prefect-cassandra", "schema", "migrate"),
        *("--file", "flows/keyspaces.yaml"),
        *("--contact-points", release.object("cassandra")),
        *("--login-folder", LOGIN_FOLDER),
    ]
    labels = {
        "app.kubernetes.io/name": "prefect-cassandra",
        "app.kubernetes.io/instance": release.name,
        "app.kubernetes.io/component": "bootstrap",
        "app.kubernetes.io/managed-by": "prefect-cassandra",
        # By this one the network policies know it: that of the Jobs that make the schema.
        "prefect-cassandra.io/component": "bootstrap",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": release.object(f"migrations-{mark}"),
            "namespace": release.namespace,
            "labels": labels,
        },
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": _TIMEOUT,
            "ttlSecondsAfterFinished": _TTL,
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod(release, image, command),
            },
        },
    }


def _pod(release: Release, image: str, command: list[str]) -> dict[str, Any]:
    """Return a pod that Pod Security `restricted` admits and whose root is read-only."""
    login = release.object("login-prefect-owner")
    return {
        "restartPolicy": "Never",
        "serviceAccountName": release.object("hooks"),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "migrations",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {
                    "requests": {"cpu": "50m", "memory": "128Mi"},
                    "limits": {"memory": "512Mi"},
                },
                "volumeMounts": [
                    {"name": "login", "mountPath": LOGIN_FOLDER, "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 -- a volume of the pod
                    {"name": "home", "mountPath": "/home/prefect"},
                ],
            }
        ],
        "volumes": [
            {"name": "login", "secret": {"secretName": login, "defaultMode": _FILE_MODE}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "home", "emptyDir": {}},
        ],
    }


def outcome(job: dict[str, Any]) -> tuple[bool, str] | None:
    """Say how a Job ended: whether well, and why not; None while it goes on."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition["status"] != "True":
            continue
        if condition["type"] == "Complete":
            return True, ""
        if condition["type"] == "Failed":
            said = condition.get("message") or ""
            return False, f"{condition.get('reason', 'Failed')}: {said}".rstrip(": ")
    return None


def run_job(release: Release, manifest: dict[str, Any], tell: Callable[[str], None]) -> str:
    """Run a Job to its end, in place of an earlier one of its name; returns its log.

    Raises:
        PlatformError: It failed; quotes its log.
        PlatformTimeoutError: It did not end; says what stands in the way of its pod.
    """
    name = manifest["metadata"]["name"]
    tell(f"running Job {name}")
    delete(release, "job", name)
    apply(release, [manifest])
    # A little longer than the Job's own limit, which knows more when it strikes.
    deadline = time.monotonic() + manifest["spec"]["activeDeadlineSeconds"] + 30
    while True:
        found = read(release, "job", name)
        ended = outcome(found) if found else (False, "somebody deleted it")
        if ended is not None:
            break
        if time.monotonic() > deadline:
            lines = troubles(read_all(release, "pods", f"job-name={name}"))
            raise PlatformTimeoutError(f"Job {name} does not end.\n" + "\n".join(lines))
        time.sleep(_PAUSE)
    log = attempt(release.kubectl("logs", f"job/{name}", "--tail", "40"), timeout=60).tail()
    if not ended[0]:
        raise PlatformError(
            f"Job {name} failed ({ended[1]}):\n{log}",
            hint=f"Read more with: {release.command(f'describe job {name}')}",
        )
    return log
