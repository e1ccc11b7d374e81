from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import PlatformError, ToolError
from prefect_cassandra.kube.installation import (
    KEY,
    InstalledService,
    SecretKey,
    parse_installation,
    read_installation,
)
from prefect_cassandra.kube.kubectl import Release

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN: dict[str, Any] = {
    "chartVersion": "0.1.0",
    "appVersion": "0.1.0",
    "release": "pc",
    "namespace": "prefect",
    "cassandra": {
        "enabled": True,
        "contactPoints": ["pc-cassandra"],
        "port": 9042,
        "localDatacenter": "dc1",
        "replicas": 1,
        "tls": True,
        "caFile": "/etc/ca.crt",
        "caSecret": {"name": "authority", "key": "ca.crt"},
    },
    "server": {
        "enabled": True,
        "service": {"name": "pc-server", "port": 4200},
        "apiUrl": "http://pc-server:4200/api",
        "authKind": "basic",
        "authSecret": None,
        "uiUrl": "http://localhost:4200",
    },
    "workPool": {"enabled": True, "name": "cassandra", "queues": ["default"]},
    "logins": {"prefect_owner": "pc-login-prefect-owner"},
    "superuserSecret": "pc-cassandra-superuser",
    "images": {"platform": "platform:1", "flows": "flows:1"},
    "pods": {"serviceAccounts": {"hooks": "pc-hooks", "flow": "pc-flow"}},
}


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program on the PATH that answers as kubectl."""
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_everything_is_read() -> None:
    found = parse_installation(json.dumps(WRITTEN), "pc-installation")
    assert found.cassandra.contact_points == ("pc-cassandra",)
    assert found.cassandra.ca_secret == SecretKey("authority", "ca.crt")
    assert found.server.service == InstalledService("pc-server", 4200)
    assert found.server.auth_secret is None
    assert found.work_pool.queues == ("default",)
    assert found.pods.tolerations == ()


def test_a_newer_chart_may_say_more() -> None:
    more = WRITTEN | {"more": 1, "images": {**WRITTEN["images"], "more": {"a": 1}}}
    assert parse_installation(json.dumps(more), "n") == parse_installation(json.dumps(WRITTEN), "n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"logins": None}, "logins"),
        ({"server": {}}, "server.enabled: Field required; server.apiUrl: Field required"),
        ({"cassandra": {**WRITTEN["cassandra"], "port": "cql"}}, "cassandra.port"),
    ],
)
def test_what_is_missing_or_wrong_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(PlatformError, match="ConfigMap pc-installation does not say") as caught:
        parse_installation(json.dumps(WRITTEN | change), "pc-installation")
    assert said in caught.value.message
    assert "Upgrade the release" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(PlatformError, match=KEY):
        parse_installation(text, "pc-installation")


def test_a_role_without_a_login_is_an_error_that_names_those_with_one() -> None:
    found = parse_installation(json.dumps(WRITTEN), "pc-installation")
    assert found.login_secret("prefect_owner") == "pc-login-prefect-owner"
    with pytest.raises(PlatformError, match="flights_flow; it has them for prefect_owner") as error:
        found.login_secret("flights_flow")
    assert "keyspaces" in error.value.hint


def test_the_configmap_of_the_release_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "answer.json").write_text(
        json.dumps({"data": {KEY: json.dumps(WRITTEN)}}), encoding="utf-8"
    )
    asked = tmp_path / "asked"
    kubectl(tmp_path, monkeypatch, f'echo "$@" > {asked}; cat {tmp_path}/answer.json')
    found = read_installation(Release("pc", "prefect", "kind-x"))
    assert found.release == "pc"
    assert asked.read_text(encoding="utf-8").split() == [
        *("--context", "kind-x", "--namespace", "prefect"),
        *("get", "configmap", "pc-installation", "--output", "json"),
    ]


def test_no_release_is_an_error_that_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl(tmp_path, monkeypatch, 'echo "Error from server (NotFound): no" >&2; exit 1')
    with pytest.raises(PlatformError, match="no release away of this chart") as caught:
        read_installation(Release("away", "prefect"))
    assert "helm list --all-namespaces" in caught.value.hint


def test_a_cluster_that_refuses_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl(tmp_path, monkeypatch, 'echo "Error (Forbidden): you may not" >&2; exit 1')
    with pytest.raises(ToolError, match="you may not"):
        read_installation(Release("pc", "prefect"))
