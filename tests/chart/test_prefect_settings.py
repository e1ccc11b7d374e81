"""The settings that pods are given, as Prefect reads them.

Once `PREFECT_SERVER_EVENTS_RETENTION_PERIOD` was a bare number: the chart rendered, the cluster
took it, and the server crashed at its start. So each container's environment is given to Prefect's
own settings here, which refuse what they cannot read and leave out names they do not know.
"""

from __future__ import annotations

import functools
import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from prefect.settings import Settings
from prefect_kubernetes.settings import KubernetesSettings
from pydantic import ValidationError

from chart.rendering import Object, Pod, pods, render
from prefect_cassandra.settings import ReconcilerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What stands in for a Secret's content.
SECRETS = {
    "PREFECT_API_AUTH_STRING": "admin:example",
    "PREFECT_API_KEY": "pnu_example",
    "PREFECT_SERVER_API_AUTH_STRING": "admin:example",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://prefect:example@host/prefect",
}
PROGRAMS = {
    "server",
    "worker",
    "reconciler",
    "migrate",
    "bootstrap",
    "workpool",
    "test",
    "flow",
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what the machine says of Prefect: its environment, profiles and settings files."""
    for name in os.environ:
        if name.startswith("PREFECT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def environment(container: Object) -> dict[str, str]:
    """Return the PREFECT_* variables of a container, a stand-in for each of its Secrets."""
    return {
        item["name"]: item["value"] if "value" in item else SECRETS[item["name"]]
        for item in container.get("env", [])
        if item["name"].startswith("PREFECT_")
    }


def containers(profile: str) -> Iterator[tuple[Pod, Object]]:
    """Return the containers that run Prefect."""
    for pod in pods(render(profile)):
        if pod.component in PROGRAMS:
            yield from ((pod, container) for container in pod.containers)


def read(given: dict[str, str]) -> tuple[Settings, KubernetesSettings, set[str]]:
    """Return Prefect's settings in an environment, and which names of it nobody read."""
    return _read(tuple(sorted(given.items())))


@functools.cache
def _read(given: tuple[tuple[str, str], ...]) -> tuple[Settings, KubernetesSettings, set[str]]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given:
            patch.setenv(name, value)
        settings, kubernetes, ours = Settings(), KubernetesSettings(), ReconcilerSettings()
    known = {
        name
        for found in (settings, kubernetes, ours)
        for name in found.to_environment_variables(exclude_unset=True)
    }
    return settings, kubernetes, {name for name, _ in given} - known


def settings_of(profile: str, component: str) -> tuple[Settings, KubernetesSettings]:
    """Return what the main container of a component reads."""
    (pod,) = (item for item in pods(render(profile)) if item.component == component)
    return read(environment(pod.spec["containers"][0]))[:2]


def test_prefect_accepts_every_environment(profile: str) -> None:
    checked = 0
    for pod, container in containers(profile):
        given = environment(container)
        assert read(given)[2] == set(), f"{pod}: {container['name']}"
        checked += bool(given)
    assert checked >= 4


def test_a_name_that_prefect_does_not_know_is_seen() -> None:
    assert read({"PREFECT_SERVER_LOGING_LEVEL": "INFO", "PREFECT_LOGGING_LEVEL": "INFO"})[2] == {
        "PREFECT_SERVER_LOGING_LEVEL"
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "604800"),
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD", "ninety"),
        ("PREFECT_SERVER_LOGGING_LEVEL", "LOUD"),
        ("PREFECT_WORKER_QUERY_SECONDS", "often"),
    ],
)
def test_a_value_that_prefect_cannot_read_is_seen(name: str, value: str) -> None:
    (found,) = (
        environment(box)
        for pod, box in containers("default")
        if name in environment(box) and box in pod.spec["containers"]
    )
    with pytest.raises(ValidationError):
        read(found | {name: value})


def test_history_is_kept_for_days() -> None:
    server = settings_of("default", "server")[0].server
    assert server.events.retention_period == timedelta(days=7)
    assert server.services.db_vacuum.retention_period == timedelta(days=90)
    assert server.services.db_vacuum.enabled == {"events", "flow_runs"}


def test_days_of_the_values_are_days_of_the_server() -> None:
    objects = render({"server": {"retention": {"flowRunsDays": 1, "eventsDays": 400}}})
    (pod,) = (item for item in pods(objects) if item.component == "server")
    server = read(environment(pod.spec["containers"][0]))[0].server
    assert server.services.db_vacuum.retention_period == timedelta(days=1)
    assert server.events.retention_period == timedelta(days=400)


def test_server_is_told_where_it_is_and_asks_for_a_login() -> None:
    server = settings_of("default", "server")[0].server
    assert server.ui.api_url == "http://localhost:4200/api"
    assert server.api.auth_string is not None
    assert server.api.auth_string.get_secret_value() == SECRETS["PREFECT_SERVER_API_AUTH_STRING"]
    assert server.database.migrate_on_start is False
    assert server.analytics_enabled is False
    behind_ingress = settings_of("existing-secrets", "server")[0].server
    assert behind_ingress.ui.api_url == "https://prefect.example.com/api"


@pytest.mark.parametrize(
    ("profile", "url"),
    [
        ("default", "http://pc-server:4200/api"),
        ("cassandra-only", "https://prefect.example.com:8443/api"),
    ],
)
def test_clients_know_the_server(profile: str, url: str) -> None:
    for component in ("worker", "workpool", "test"):
        api = settings_of(profile, component)[0].api
        assert api.url == url
        assert api.auth_string is not None


def test_worker_watches_its_own_namespace() -> None:
    settings, kubernetes = settings_of("default", "worker")
    assert settings.worker.query_seconds == 0.5
    assert settings.worker.enable_cancellation is True
    assert kubernetes.observer.namespaces == {"prefect"}
    assert kubernetes.cluster_uid is not None
    assert kubernetes.worker.api_auth_string_secret_name == "pc-server-auth"
    assert kubernetes.worker.api_auth_string_secret_key == "auth-string"
    assert not kubernetes.worker.store_env_as_secret


def test_reconciler_is_told_its_rules_and_where_the_server_is() -> None:
    (pod,) = (one for one in pods(render("reconciler")) if one.component == "reconciler")
    given = environment(pod.spec["containers"][0])
    assert given["PREFECT_API_URL"] == "http://pc-server:4200/api"
    rules = {
        name.removeprefix("PREFECT_INTEGRATIONS_CASSANDRA_RECONCILER_"): value
        for name, value in given.items()
        if "_RECONCILER_" in name
    }
    assert rules == {"PENDING_DEADLINE": "900", "REQUEUES": "3", "RESTARTS": "2"}


def test_flows_wait_for_a_server_that_is_replaced() -> None:
    """An upgrade ends the old server first; then the new one's image is pulled and it starts."""
    client = settings_of("default", "flow")[0].client
    pauses = [2**attempt for attempt in range(1, client.max_retries + 1)]
    assert 4 * 60 <= sum(pauses) <= 10 * 60


def test_key_of_prefect_cloud_is_given_as_a_key() -> None:
    values = {
        "server": {"enabled": False},
        "externalServer": {
            "apiUrl": "https://api.prefect.cloud/api/accounts/a/workspaces/w",
            "authKind": "api-key",
            "authSecret": {"name": "cloud", "key": "key"},
        },
    }
    for pod in pods(render(values)):
        if pod.component not in {"worker", "workpool", "test"}:
            continue
        settings, kubernetes, unread = read(environment(pod.spec["containers"][0]))
        assert unread == set()
        assert settings.api.key is not None
        assert settings.api.auth_string is None
        if pod.component == "worker":
            assert kubernetes.worker.api_key_secret_name == "cloud"
            assert kubernetes.worker.api_key_secret_key == "key"


def test_further_settings_reach_their_program() -> None:
    assert settings_of("external-postgres", "worker")[0].logging.level == "DEBUG"
    assert settings_of("external-postgres", "server")[0].server.api.default_limit == 150
