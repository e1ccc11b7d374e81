from __future__ import annotations

from pathlib import Path

from prefect_cassandra.kube.cluster import cluster_name, context_of
from prefect_cassandra.kube.forward import local_port
from prefect_cassandra.kube.images import Image
from prefect_cassandra.kube.kubectl import Release
from prefect_cassandra.kube.pods import summary, troubles
from prefect_cassandra.kube.release import helm, images_in, namespace_manifest, values_of
from prefect_cassandra.schema import load_keyspaces

READY = {
    "metadata": {"name": "pc-server-1"},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}
DONE = {"metadata": {"name": "pc-migrate-1"}, "status": {"phase": "Succeeded"}}
PULLING = {
    "metadata": {"name": "pc-worker-1"},
    "status": {
        "phase": "Pending",
        "containerStatuses": [
            {
                "name": "worker",
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}},
            }
        ],
    },
}
CREATING = {
    "metadata": {"name": "pc-new"},
    "status": {
        "phase": "Pending",
        "initContainerStatuses": [
            {"name": "init", "state": {"waiting": {"reason": "PodInitializing"}}}
        ],
    },
}
UNSCHEDULABLE = {
    "metadata": {"name": "pc-cassandra-0"},
    "status": {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "message": "no storage class"}],
    },
}
FAILED = {
    "metadata": {"name": "pc-bootstrap"},
    "status": {
        "phase": "Failed",
        "containerStatuses": [
            {"name": "bootstrap", "state": {"terminated": {"reason": "Error", "exitCode": 3}}}
        ],
    },
}


def test_the_values_are_the_images_and_the_keyspaces() -> None:
    keyspaces = load_keyspaces(Path("flows/keyspaces.yaml"))
    values = values_of(Image("p", "1"), Image("h/f", "2", "sha256:ff"), keyspaces)
    assert values["images"] == {
        "platform": {"repository": "p", "tag": "1", "digest": ""},
        "flows": {"repository": "h/f", "tag": "2", "digest": "sha256:ff"},
    }
    assert set(values["keyspaces"]) == {"flights", "sensors", "values_demo", "weather_api"}
    assert all(one["description"] for one in values["keyspaces"].values())


def test_the_namespace_is_restricted_under_any_name() -> None:
    manifest = namespace_manifest(Path(), "team-a")
    assert manifest["metadata"]["name"] == "team-a"
    assert manifest["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_commands_name_namespace_and_context() -> None:
    release = Release("pc", "prefect", "kind-x")
    assert release.kubectl("get", "pods") == [
        *("kubectl", "--context", "kind-x", "--namespace", "prefect", "get", "pods")
    ]
    assert helm(release, "list")[-4:] == ["--namespace", "prefect", "--kube-context", "kind-x"]
    assert "--context" not in Release("pc", "prefect").kubectl()


def test_the_cluster_has_a_name_and_a_context() -> None:
    assert context_of(cluster_name(Path())) == "kind-prefect-cassandra"


def test_images_are_found_in_any_object() -> None:
    rendered = {
        "spec": {
            "template": {
                "spec": {
                    "initContainers": [{"name": "a", "image": "postgres:17"}],
                    "containers": [{"name": "b", "image": "cassandra:5.0.9"}],
                }
            }
        }
    }
    assert list(images_in([rendered, None])) == ["postgres:17", "cassandra:5.0.9"]


def test_summary_counts_what_is_settled_and_names_the_rest() -> None:
    assert summary([READY, DONE]) == "2 of 2 pods ready or done"
    assert summary([READY, PULLING]) == ("1 of 2 pods ready or done; pc-worker-1 ImagePullBackOff")


def test_troubles_name_the_container_and_the_reason() -> None:
    assert troubles([READY, DONE, CREATING]) == []
    assert troubles([PULLING, UNSCHEDULABLE, FAILED]) == [
        "pc-worker-1/worker: ImagePullBackOff no such tag",
        "pc-cassandra-0: no storage class",
        "pc-bootstrap/bootstrap: Error, exit code 3",
    ]


def test_the_port_is_the_one_that_kubectl_chose() -> None:
    assert local_port("Forwarding from 127.0.0.1:41233 -> 9042\nHandling connection") == 41233
    assert local_port("error: services not found") is None
    assert local_port("") is None
