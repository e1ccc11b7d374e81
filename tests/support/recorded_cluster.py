"""The part of Kubernetes' API that the reconciler asks, with the answers a cluster gives.

It keeps Jobs, pods, one Lease and one ConfigMap; it pages its lists, refuses what has changed in
between with 409, and deletes only the object whose uid was named.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.http_server import Answer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from support.http_server import Asked

Object = dict[str, Any]

_ROOT = "/namespaces/prefect/"
FLOW_RUN = "prefect.io/flow-run-id"


def use_cluster(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the Kubernetes client take the cluster at an address for the current one."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "ours",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "a-token"}}],
        "contexts": [{"name": "ours", "context": {"cluster": "c", "user": "u"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(content))
    name = "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    monkeypatch.setattr(name, str(file))


def job_json(name: str, run_id: str, created: str, **status: Any) -> Object:
    """Return a Job as the API shows it, of the release `pc`."""
    labels = {
        FLOW_RUN: run_id,
        "app.kubernetes.io/instance": "pc",
        "prefect-cassandra.io/component": "flow",
    }
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-of-{name}",
            "namespace": "prefect",
            "labels": labels,
            "creationTimestamp": created,
        },
        "spec": {"backoffLimit": 0},
        "status": status,
    }


def pod_json(job: Object, **status: Any) -> Object:
    """Return the pod of a Job as the API shows it."""
    meta = job["metadata"]
    return {
        "metadata": {
            "name": f"{meta['name']}-x",
            "labels": meta["labels"],
            "creationTimestamp": meta["creationTimestamp"],
            "ownerReferences": [{"kind": "Job", "uid": meta["uid"]}],
        },
        "status": {"phase": "Running"} | status,
    }


@dataclass
class RecordedCluster:
    """Answers of one namespace; a test changes what is in it as it goes."""

    jobs: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    configmaps: dict[str, Object] = field(default_factory=dict)
    leases: dict[str, Object] = field(default_factory=dict)
    page: int = 500
    # What is answered instead, by kind: a status and a message.
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    _version: int = 0

    def __call__(self, asked: Asked) -> Answer:
        kind, _, name = asked.path.partition(_ROOT)[2].partition("/")
        if kind in self.refused:
            status, message = self.refused[kind]
            return Answer(status, {"message": message})
        if kind == "leases":
            return self._lease(asked, name)
        if kind == "configmaps":
            return _found(self.configmaps.get(name))
        if asked.method == "DELETE":
            return self._delete(asked, name)
        return self._list(self.jobs if kind == "jobs" else self.pods, asked.query)

    def _list(self, all_of: list[Object], query: dict[str, str]) -> Answer:
        key, _, value = query["labelSelector"].partition("=")
        wanted = [
            one
            for one in all_of
            if key in one["metadata"]["labels"]
            and (not value or one["metadata"]["labels"][key] == value)
        ]
        start = int(query.get("continue", 0))
        end = start + min(self.page, int(query["limit"]))
        more = {"continue": str(end)} if end < len(wanted) else {}
        return Answer(200, {"metadata": more, "items": wanted[start:end]})

    def _delete(self, asked: Asked, name: str) -> Answer:
        found = [job for job in self.jobs if job["metadata"]["name"] == name]
        if not found:
            return _found(None)
        if asked.json()["preconditions"]["uid"] != found[0]["metadata"]["uid"]:
            return Answer(409, {"message": "the UID in the precondition does not match"})
        self.jobs.remove(found[0])
        return Answer(200, found[0])

    def _lease(self, asked: Asked, name: str) -> Answer:
        if asked.method == "GET":
            return _found(self.leases.get(name))
        sent = json.loads(asked.body)
        name = sent["metadata"]["name"]
        there = self.leases.get(name)
        sent_version = sent["metadata"].get("resourceVersion")
        if there is not None and there["metadata"]["resourceVersion"] != sent_version:
            return Answer(409, {"message": "the object has been modified"})
        self._version += 1
        sent["metadata"]["resourceVersion"] = str(self._version)
        self.leases[name] = sent
        return Answer(200, sent)


def _found(one: Object | None) -> Answer:
    return Answer(404, {"message": "not found"}) if one is None else Answer(200, one)
