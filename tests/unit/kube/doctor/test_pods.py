from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from prefect_cassandra.kube.doctor.facts import Facts
from prefect_cassandra.kube.doctor.pods import judge_pods

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
IMAGE = "registry.example.org/data/prefect-cassandra-platform:1"


def pod(component: str = "server", status: dict[str, Any] | None = None, **meta: Any) -> Any:
    """Return a pod that was made a minute ago; ready unless its status says otherwise."""
    made = {"creationTimestamp": "2030-01-01T11:59:00Z", "name": f"pc-{component}-0"}
    labels = {"prefect-cassandra.io/component": component}
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    return {
        "metadata": made | {"labels": labels} | meta,
        "spec": {"containers": [{"name": "main"}]},
        "status": ready if status is None else status,
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    """Return the status of a pod whose container waits."""
    state = {"waiting": {"reason": reason, "message": message}}
    container = {"name": "main", "image": IMAGE, "ready": False, "state": state} | more
    return {"phase": "Pending", "containerStatuses": [container]}


def only(facts: Facts) -> Any:
    (check,) = judge_pods(facts, NOW)
    return check


def test_ready_pods_are_counted_and_those_that_are_done_are_not() -> None:
    done = pod("bootstrap", {"phase": "Succeeded"})
    check = only(Facts(pods=(pod(), pod("worker"), done)))
    assert (check.status, check.evidence) == ("ok", "2 of 2 serving pods are ready")


def test_a_release_without_pods_is_no_success() -> None:
    assert only(Facts()).status == "skipped"


NOT_FOUND = 'failed to pull and unpack image "registry.example.org/x": not found'
DENIED = "pull access denied, repository does not exist or may require authorization"


@pytest.mark.parametrize(
    ("component", "status", "evidence", "hint"),
    [
        ("server", waiting("ErrImagePull", NOT_FOUND), "cannot pull registry.example.org/data/pre",
         "make push REGISTRY="),
        ("flow", waiting("ImagePullBackOff", NOT_FOUND), "not found", "flows push"),
        ("cassandra", waiting("ImagePullBackOff"), "ImagePullBackOff",
         "images.cassandra.repository"),
        ("worker", waiting("ErrImagePull", DENIED), "pull access denied", "images.pullSecrets"),
        ("worker", waiting("InvalidImageName", "bad"), "bad", "make push"),
        ("server", waiting("CreateContainerConfigError", 'secret "ours" not found'),
         "there is no secret ours", "existingSecret"),
        ("server", waiting("CreateContainerConfigError", "couldn't find key a in Secret p/ours"),
         "there is no key a in Secret p/ours", "keys that the chart's README names"),
        ("server", waiting("CreateContainerConfigError",
                           "container has runAsNonRoot and image will run as root"),
         "cannot be put together", "runs as root"),
        ("server", waiting("RunContainerError", "no such file"),
         "main cannot start: RunContainerError no such file", "describe"),
    ],
)  # fmt: skip
def test_a_container_that_cannot_start_says_why_and_what_to_do(
    component: str, status: dict[str, Any], evidence: str, hint: str
) -> None:
    check = only(Facts(pods=(pod(component, status),)))
    assert check.status == "fail"
    assert check.subject == f"pod pc-{component}-0"
    assert evidence in check.evidence
    assert hint in check.hint


def test_while_it_backs_off_the_event_says_why_an_image_cannot_be_pulled() -> None:
    facts = Facts(
        pods=(pod("server", waiting("ImagePullBackOff", "Back-off pulling image")),),
        warnings={"Pod/pc-server-0": f"Failed to pull image: {NOT_FOUND}"},
    )
    assert NOT_FOUND in only(facts).evidence


def crashing(reason: str = "Error", code: int = 1) -> dict[str, Any]:
    ended = {"terminated": {"reason": reason, "exitCode": code}}
    return waiting("CrashLoopBackOff", lastState=ended, restartCount=4)


def test_a_container_that_keeps_ending_is_quoted() -> None:
    logs = {"pc-server-0/main": "starting\nValueError: no such thing\n"}
    check = only(Facts(pods=(pod("server", crashing()),), logs=logs))
    assert "exit code 1, 4 restarts" in check.evidence
    assert check.evidence.endswith("ValueError: no such thing")
    assert "kubectl logs pc-server-0 --previous" in check.hint


def test_a_wrong_password_of_postgres_is_known_by_its_words() -> None:
    said = 'asyncpg.InvalidPasswordError: password authentication failed for user "prefect"'
    facts = Facts(pods=(pod("server", crashing()),), logs={"pc-server-0/main": said})
    check = only(facts)
    assert "Postgres refuses the password" in check.evidence
    assert "put that one back" in check.hint


def test_too_little_memory_is_said_whatever_the_log_says() -> None:
    check = only(Facts(pods=(pod("cassandra", crashing("OOMKilled", 137)),)))
    assert "out of memory" in check.evidence
    assert "limits.memory" in check.hint


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "`volumes`"),
        ("0/1 nodes are available: 1 Insufficient memory.", "preflight"),
        ("0/1 nodes are available: 1 node(s) had untolerated taint.", "podDefaults"),
        ("something else", "describe"),
    ],
)
def test_a_pod_without_a_node_gets_the_schedulers_reason(message: str, hint: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    check = only(Facts(pods=(pod("worker", {"phase": "Pending", "conditions": [condition]}),)))
    assert check.status == "fail"
    assert message in check.evidence
    assert hint in check.hint


@pytest.mark.parametrize(("made", "status"), [("11:59:00", "warn"), ("11:40:00", "fail")])
def test_a_pod_that_is_not_ready_starts_or_hangs(made: str, status: str) -> None:
    one = pod("cassandra", {"phase": "Running"}, creationTimestamp=f"2030-01-01T{made}Z")
    event = {"Pod/pc-cassandra-0": "Readiness probe failed: not yet"}
    check = only(Facts(pods=(one,), warnings=event))
    assert check.status == status
    assert "Readiness probe failed" in check.evidence


@pytest.mark.parametrize(("made", "status"), [("11:59:50", "warn"), ("11:59:00", "fail")])
def test_a_secret_that_is_mounted_and_not_there_is_told_by_the_event(
    made: str, status: str
) -> None:
    state = waiting("ContainerCreating")
    one = pod("bootstrap", state, creationTimestamp=f"2030-01-01T{made}Z")
    said = 'MountVolume.SetUp failed for volume "login" : secret "their-login" not found'
    check = only(Facts(pods=(one,), warnings={"Pod/pc-bootstrap-0": said}))
    assert check.status == status
    assert "their-login" in check.evidence


def test_a_recent_restart_is_a_warning_and_an_old_one_is_not() -> None:
    def restarted(finished: str) -> Facts:
        ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": finished}
        state = {"name": "main", "ready": True, "state": {"running": {}}}
        status = pod()["status"] | {
            "containerStatuses": [state | {"lastState": {"terminated": ended}}]
        }
        return Facts(pods=(pod("server", status),))

    check = only(restarted("2030-01-01T11:50:00Z"))
    assert (check.status, check.evidence) == (
        "warn",
        "main ended 10 min ago (out of memory) and runs again",
    )
    assert only(restarted("2029-12-31T11:50:00Z")).status == "ok"


def test_how_flows_and_jobs_ended_is_not_the_matter_of_their_pods() -> None:
    failed = {"phase": "Failed", "containerStatuses": []}
    facts = Facts(pods=(pod(), pod("flow", failed), pod("bootstrap", failed)))
    assert only(facts).status == "ok"


def test_a_pod_that_is_being_deleted_is_left_alone() -> None:
    gone = pod("worker", waiting("ErrImagePull"), deletionTimestamp="2030-01-01T11:59:59Z")
    assert only(Facts(pods=(pod(), gone))).status == "ok"


def test_a_workload_whose_pods_are_refused_says_so() -> None:
    refused = 'pods "pc-server-x" is forbidden: violates PodSecurity "restricted"'
    condition = {"type": "ReplicaFailure", "status": "True", "message": refused}
    workload = {
        "kind": "Deployment",
        "metadata": {"name": "pc-server"},
        "spec": {"replicas": 1},
        "status": {"conditions": [condition]},
    }
    check = only(Facts(workloads=(workload,)))
    assert (check.status, check.subject) == ("fail", "Deployment pc-server")
    assert "violates PodSecurity" in check.evidence
    assert "preflight" in check.hint
