"""Jobs that the command line runs in the cluster: the CQL migrations of a flow image."""

from __future__ import annotations

import hashlib
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PlatformError, PlatformTimeoutError
from prefect_cassandra.kube.cassandra import tls_of
from prefect_cassandra.kube.kubectl import Release, apply, delete, read, read_all
from prefect_cassandra.kube.pods import troubles
from prefect_cassandra.kube.tools import attempt
from prefect_cassandra.schema.grants import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect_cassandra.kube.installation import (
        InstalledCassandra,
        InstalledPods,
        InstalledRelease,
    )

LOGIN_FOLDER = "/etc/prefect-cassandra/login"
_USER = 10001
_TIMEOUT = 300
_PAUSE = 1.0
_TTL = 3600
# Files of a mounted Secret are for the group of the pod and for nobody else.
_FILE_MODE = 0o440
# Seconds a pod may say that it cannot start.
_STUCK = 20.0
_PULL = (
    "The nodes have to reach the registry and may need a login for it: name a Secret of type "
    "kubernetes.io/dockerconfigjson under images.pullSecrets and upgrade the release. "
    "`flows push` without --registry loads the image into kind instead."
)
# Why a container waits, and what to do where waiting alone does not help.
_HINTS = {
    "ErrImagePull": _PULL,
    "ImagePullBackOff": _PULL,
    "InvalidImageName": "Look at --registry: the image's name cannot be one.",
    "CreateContainerConfigError": "A Secret that it needs is not there: mend it, and push again.",
}


def migrations_job(installed: InstalledRelease, image: str) -> dict[str, Any]:
    """Return the Job that carries out the migrations in a flow image, as the owner role.

    Its name tells the image, so each image has one and a repeat replaces it.
    """
    mark = hashlib.sha256(image.encode()).hexdigest()[:8]
    release = Release(installed.release, installed.namespace)
    command = [
        *("prefect-cassandra", "schema", "migrate"),
        *("--file", "flows/keyspaces.yaml"),
        *connection_arguments(installed.cassandra),
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
                "spec": _pod(installed, image, command),
            },
        },
    }


def connection_arguments(cassandra: InstalledCassandra) -> list[str]:
    """Return the options of `prefect-cassandra schema` for the database of a release."""
    tls = tls_of(cassandra)
    found = ["--contact-points", *cassandra.contact_points, "--port", str(cassandra.port)]
    if cassandra.local_datacenter:
        found += ["--local-datacenter", cassandra.local_datacenter]
    if tls is None:
        return found
    found += ["--ca-file", str(tls.ca_file)] if tls.ca_file else ["--tls"]
    if not tls.verify_host:
        found.append("--no-verify-host")
    if tls.server_name:
        found += ["--server-name", tls.server_name]
    return found


def _pod(installed: InstalledRelease, image: str, command: list[str]) -> dict[str, Any]:
    """Return a pod that Pod Security `restricted` admits and whose root is read-only."""
    volumes, mounts = _volumes(installed)
    return {
        "restartPolicy": "Never",
        "serviceAccountName": installed.pods.service_accounts["hooks"],
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
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    } | _placing(installed.pods)


def _volumes(installed: InstalledRelease) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the pod's volumes and where they go: the owner's login, the authority, scratch."""
    login = {"secretName": installed.login_secret(OWNER), "defaultMode": _FILE_MODE}
    volumes: list[dict[str, Any]] = [
        {"name": "login", "secret": login},
        {"name": "tmp", "emptyDir": {}},
        {"name": "home", "emptyDir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "login", "mountPath": LOGIN_FOLDER, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 -- a volume of the pod
        {"name": "home", "mountPath": "/home/prefect"},
    ]
    authority, file = installed.cassandra.ca_secret, PurePosixPath(installed.cassandra.ca_file)
    if authority is not None:
        # That key alone: the key of the nodes may be beside it.
        items = [{"key": authority.key, "path": file.name}]
        secret = {"secretName": authority.name, "defaultMode": _FILE_MODE, "items": items}
        volumes.append({"name": "ca", "secret": secret})
        mounts.append({"name": "ca", "mountPath": str(file.parent), "readOnly": True})
    return volumes, mounts


def _placing(pods: InstalledPods) -> dict[str, Any]:
    """Return where the pod may run and with whose leave it pulls; what is not set is left out."""
    wanted = {
        "imagePullSecrets": [{"name": name} for name in pods.image_pull_secrets],
        "nodeSelector": pods.node_selector,
        "tolerations": list(pods.tolerations),
        "priorityClassName": pods.priority_class_name,
    }
    return {key: value for key, value in wanted.items() if value}


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


def stuck(pods: Sequence[dict[str, Any]]) -> str | None:
    """Return the reason why a container of these pods does not start, if no waiting is usual."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or ():
            reason = (container.get("state", {}).get("waiting") or {}).get("reason", "")
            if reason in _HINTS:
                return str(reason)
    return None


def run_job(release: Release, manifest: dict[str, Any], tell: Callable[[str], None]) -> str:
    """Run a Job to its end, in place of an earlier one of its name; returns its log.

    Raises:
        PlatformError: It failed; quotes its log. Or its pod does not start; says why.
        PlatformTimeoutError: It did not end; says what stands in the way of its pod.
    """
    name = manifest["metadata"]["name"]
    tell(f"running Job {name}")
    delete(release, "job", name)
    apply(release, [manifest])
    well, why = _wait(release, name, manifest["spec"]["activeDeadlineSeconds"])
    log = attempt(release.kubectl("logs", f"job/{name}", "--tail", "40"), timeout=60).tail()
    if not well:
        raise PlatformError(
            f"Job {name} failed ({why}):\n{log}",
            hint=f"Read more with: {release.command(f'describe job {name}')}",
        )
    return log


def _wait(release: Release, name: str, limit: float) -> tuple[bool, str]:
    """Return how a Job ended: whether well, and why not."""
    # A little longer than the Job's own limit, which knows more when it strikes.
    deadline = time.monotonic() + limit + 30
    patience = _Patience()
    while True:
        found = read(release, "job", name)
        ended = outcome(found) if found else (False, "somebody deleted it")
        if ended is not None:
            return ended
        pods = read_all(release, "pods", f"job-name={name}")
        lines = "\n".join(troubles(pods))
        reason = stuck(pods)
        if patience.is_over(reason, time.monotonic()):
            # Left alone, it would pull the image again and again.
            delete(release, "job", name)
            raise PlatformError(
                f"The pod of Job {name} cannot start:\n{lines}", hint=_HINTS[reason or ""]
            )
        if time.monotonic() > deadline:
            raise PlatformTimeoutError(f"Job {name} does not end.\n{lines}")
        time.sleep(_PAUSE)


class _Patience:
    """Gives what may pass by itself, such as a registry that is away, some seconds."""

    def __init__(self) -> None:
        self._since: float | None = None

    def is_over(self, reason: str | None, now: float) -> bool:
        """Take note of a reason at a time in seconds; true when there was one for too long."""
        if reason is None:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since > _STUCK
