from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    PlatformError,
)
from prefect_cassandra.kube.doctor.causes import last_words, shortened
from prefect_cassandra.kube.doctor.cluster_api import connected, in_namespace
from prefect_cassandra.kube.doctor.facts import last_warnings, read_facts, wants_log
from prefect_cassandra.kube.kubectl import Release
from support.http_server import Answer, LoopbackServer

if TYPE_CHECKING:
    from pathlib import Path

    from support.http_server import Asked

PODS = in_namespace("prefect", "pods")


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a kubeconfig that names a server, and let the client read it."""

    def make(url: str) -> None:
        file = tmp_path / "config"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "ours",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "a-token"}}],
            "contexts": [{"name": "ours", "context": {"cluster": "c", "user": "u"}}],
        }
        file.write_text(json.dumps(content))
        monkeypatch.setattr(
            "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file)
        )

    return make


def crashed_pod() -> dict[str, Any]:
    state = {"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    labels = {"prefect-cassandra.io/component": "server"}
    return {
        "metadata": {"name": "pc-server-0", "labels": labels},
        "status": {"containerStatuses": [state]},
    }


def cluster(asked: Asked) -> Answer:
    """Answer as a cluster in which storage classes may not be seen."""
    if asked.path == PODS:
        return Answer(200, {"items": [crashed_pod()]})
    if asked.path.endswith("/log"):
        return Answer(200, b"a last word\n")
    if asked.path.endswith("/statefulsets"):
        return Answer(200, {"items": [{"metadata": {"name": "pc-cassandra"}}]})
    if asked.path.endswith("/storageclasses"):
        return Answer(403, {"message": "storageclasses is forbidden"})
    return Answer(200, {"items": []})


async def test_facts_are_read_as_far_as_they_may_be(kubeconfig: Any) -> None:
    with LoopbackServer(cluster) as server:
        kubeconfig(server.url)
        async with connected() as api:
            facts = await read_facts(api, Release("pc", "prefect"))
    assert facts.classes is None
    assert [one["kind"] for one in facts.workloads] == ["StatefulSet"]
    assert facts.logs == {"pc-server-0/main": "a last word\n"}
    pods = next(one for one in server.asked if one.path == PODS)
    assert pods.query["labelSelector"] == "app.kubernetes.io/instance=pc"
    assert pods.headers["Authorization"] == "Bearer a-token"
    log = next(one for one in server.asked if one.path.endswith("/log"))
    assert log.query["previous"] == "true"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationError), (403, PermissionDeniedError), (500, PlatformError)],
)
async def test_a_refusal_is_quoted(kubeconfig: Any, status: int, error: type[Exception]) -> None:
    with LoopbackServer(lambda _: Answer(status, {"message": "because"})) as server:
        kubeconfig(server.url)
        async with connected() as api:
            with pytest.raises(error, match="because"):
                await api.items(PODS)


async def test_what_is_not_there_is_no_error(kubeconfig: Any) -> None:
    with LoopbackServer(lambda _: Answer(404, {"message": "not found"})) as server:
        kubeconfig(server.url)
        async with connected() as api:
            assert await api.get(PODS) is None
            assert await api.items(PODS) == []
            with pytest.raises(PlatformError, match="404"):
                await api.create(PODS, {"kind": "Pod"})


async def test_a_cluster_that_is_away_and_a_context_that_is_not_there(kubeconfig: Any) -> None:
    with LoopbackServer(cluster) as server:
        kubeconfig(server.url)
    async with connected() as api:
        with pytest.raises(PlatformError, match="does not answer"):
            await api.items(PODS)
    with pytest.raises(ConfigurationError, match="context theirs cannot be used"):
        async with connected("theirs"):
            pass


async def test_outside_of_a_pod_there_is_no_account_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigurationError, match="ServiceAccount"):
        async with connected(inside=True):
            pass


def test_the_last_warning_about_an_object_counts() -> None:
    def event(when: str, message: str) -> dict[str, Any]:
        about = {"kind": "Pod", "name": "a"}
        return {"involvedObject": about, "lastTimestamp": when, "message": message}

    found = last_warnings([event("2030-01-01T12:00:00Z", "new"), event("2030-01-01", "old")])
    assert found == {"Pod/a": "new"}


@pytest.mark.parametrize(
    ("component", "state", "wanted"),
    [
        ("server", {"waiting": {"reason": "CrashLoopBackOff"}}, (True, True)),
        ("server", {"terminated": {"exitCode": 1}}, (True, False)),
        ("server", {"terminated": {"exitCode": 0}}, (False, False)),
        ("server", {"running": {}}, (True, False)),
        ("server", {"waiting": {"reason": "ContainerCreating"}}, (False, False)),
        ("flow", {"terminated": {"exitCode": 1}}, (False, False)),
    ],
)
def test_logs_are_read_where_they_tell_why(component: str, state: Any, wanted: Any) -> None:
    labels = {"prefect-cassandra.io/component": component}
    pod = {"metadata": {"name": "a", "labels": labels}}
    assert wants_log(pod, {"name": "main", "state": state, "ready": False}) == wanted


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("Error PC210: no\n  -> do this", "Error PC210: no -> do this"),
    ],
)
def test_the_last_words_of_a_log_are_one_line(log: str, words: str) -> None:
    assert last_words(log) == words


def test_long_texts_are_cut() -> None:
    assert len(shortened("word " * 200)) <= 300
    assert shortened("a\n b") == "a b"
