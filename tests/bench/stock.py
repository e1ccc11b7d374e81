"""Prefect's own Kubernetes worker beside the platform: its command, its template, its pool."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from prefect_cassandra.blocks import CassandraCluster, CassandraCredentials
from prefect_cassandra.errors import PrefectCassandraError
from prefect_cassandra.kube.cassandra import login_of
from prefect_cassandra.kube.kubectl import Release, apply, delete
from prefect_cassandra.kube.server import credential_of
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.kube.installation import InstalledRelease
    from prefect_cassandra.kube.server import Server

BLOCK = "bench-stock"
ROLE = "values_demo_flow"
_SECRET, _KEY = "server-auth", "auth-string"
_LABEL = {"app.kubernetes.io/part-of": "bench"}


@dataclass(frozen=True)
class StockWorker:
    """One worker with a pool of its own.

    Args:
        name: Of the worker and of its pool.
        query_seconds: How often it asks for runs; None leaves it as Prefect has it.
    """

    name: str
    query_seconds: float | None


@contextmanager
def stock_workers(
    release: Release, installed: InstalledRelease, ask: Server, workers: list[StockWorker]
) -> Iterator[str]:
    """Run workers in a namespace of their own, which is yielded, and leave nothing of them.

    The namespace is not `restricted`: the template that Prefect brings makes pods that are not.
    """
    there = Release(release.name, f"{release.namespace}-stock", release.context)
    namespace = there.namespace
    with ExitStack() as stack:
        for worker in workers:
            # Called last: while the workers live, they would make it again.
            stack.callback(ask, "DELETE", f"/api/work_pools/{worker.name}")
        stack.callback(delete, release, "namespace", namespace)
        apply(release, [_object("v1", "Namespace", namespace, "", {})])
        apply(there, _shared(release, installed, namespace))
        for policy in _opened(release, namespace):
            stack.callback(delete, release, "networkpolicy", policy["metadata"]["name"])
            apply(release, [policy])
        stack.callback(
            ask, "DELETE", f"/api/block_documents/{_save_block(release, installed, ask)}"
        )
        apply(there, [_deployment(installed, namespace, worker) for worker in workers])
        for worker in workers:
            eventually(partial(_has_worker, ask, worker.name), worker.name, within=180)
        yield namespace


def _has_worker(ask: Server, pool: str) -> bool:
    """Tell whether a worker has made its pool and reported to it."""
    try:
        return bool(ask("POST", f"/api/work_pools/{pool}/workers/filter", {}))
    except PrefectCassandraError:
        return False


def _save_block(release: Release, installed: InstalledRelease, ask: Server) -> str:
    """Save how flows of the other namespace reach Cassandra; no file is mounted there."""
    login, cassandra = login_of(release, installed, ROLE), installed.cassandra
    host = cassandra.contact_points[0].split(".")[0]
    block = CassandraCluster(
        contact_points=[f"{host}.{release.namespace}.svc"],
        port=cassandra.port,
        credentials=CassandraCredentials(username=login.username, password=login.password),
    )
    with temporary_settings({PREFECT_API_URL: ask.api_url, PREFECT_API_AUTH_STRING: ask.auth}):
        return str(asyncio.run(block.asave(BLOCK, overwrite=True)))


def _object(
    api: str, kind: str, name: str, namespace: str, content: dict[str, Any]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": _LABEL}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **content}


def _opened(release: Release, namespace: str) -> list[dict[str, Any]]:
    """Return policies that let the other namespace reach the server and Cassandra."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    return [
        _object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            f"bench-{component}",
            release.namespace,
            {
                "spec": {
                    "podSelector": {
                        "matchLabels": {
                            "app.kubernetes.io/instance": release.name,
                            "prefect-cassandra.io/component": component,
                        }
                    },
                    "policyTypes": ["Ingress"],
                    "ingress": [{"from": [peer]}],
                }
            },
        )
        for component in ("server", "cassandra")
    ]


def _shared(release: Release, installed: InstalledRelease, namespace: str) -> list[dict[str, Any]]:
    """Return what the workers share: the server's credential, and the right to make Jobs."""
    rules = [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
        {
            "apiGroups": [""],
            "resources": ["pods", "pods/log", "events"],
            "verbs": ["get", "list", "watch"],
        },
    ]
    group, name = "rbac.authorization.k8s.io", "worker"
    binding = {
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    secret = {"stringData": {_KEY: credential_of(release, installed.server)}}
    return [
        _object("v1", "Secret", _SECRET, namespace, secret),
        _object("v1", "ServiceAccount", name, namespace, {}),
        _object(f"{group}/v1", "Role", name, namespace, {"rules": rules}),
        _object(f"{group}/v1", "RoleBinding", name, namespace, binding),
    ]


def _deployment(installed: InstalledRelease, namespace: str, worker: StockWorker) -> dict[str, Any]:
    service = installed.server.service
    assert service is not None, "the bench is for a release with a server of its own"
    prefix = "PREFECT_INTEGRATIONS_KUBERNETES"
    plain = {
        "PREFECT_API_URL": f"http://{service.name}.{installed.namespace}.svc:{service.port}/api",
        "DO_NOT_TRACK": "1",
        # As the manual asks, so that no Job holds the credential itself.
        f"{prefix}_WORKER_API_AUTH_STRING_SECRET_NAME": _SECRET,
        f"{prefix}_WORKER_API_AUTH_STRING_SECRET_KEY": _KEY,
        f"{prefix}_OBSERVER_NAMESPACES": namespace,
        f"{prefix}_CLUSTER_UID": "bench",
    }
    if worker.query_seconds is not None:
        plain["PREFECT_WORKER_QUERY_SECONDS"] = str(worker.query_seconds)
    auth = {"secretKeyRef": {"name": _SECRET, "key": _KEY}}
    env: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in plain.items()]
    container = {
        "name": "worker",
        "image": installed.images.platform,
        "args": [
            *("prefect", "worker", "start", "--type", "kubernetes"),
            *("--pool", worker.name, "--name", worker.name),
        ],
        "env": [*env, {"name": "PREFECT_API_AUTH_STRING", "valueFrom": auth}],
    }
    labels = _LABEL | {"app.kubernetes.io/name": worker.name}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"serviceAccountName": "worker", "containers": [container]},
        },
    }
    return _object("apps/v1", "Deployment", worker.name, namespace, {"spec": spec})
