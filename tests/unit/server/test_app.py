from __future__ import annotations

from pathlib import Path

import pytest

from prefect_cassandra.driver.config import Login
from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.local.prefect_services import logs_in_cassandra, server_part
from prefect_cassandra.server.app import cluster_config, create_app
from prefect_cassandra.settings import ServerSettings


def test_what_the_stack_says_is_what_the_server_understands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = cluster_config(
        ServerSettings(
            contact_points="127.0.0.1, 127.0.0.2",
            port=19042,
            local_datacenter="dc1",
            login_folder=tmp_path,
            ca_file=tmp_path / "ca.pem",
        )
    )
    for name, value in logs_in_cassandra(told).items():
        monkeypatch.setenv(name, value)
    understood = ServerSettings()
    assert understood.log_store == "cassandra"
    assert cluster_config(understood) == told
    assert told.login == Login(folder=tmp_path)


def test_without_contact_points_the_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="No contact points"):
        cluster_config(ServerSettings(contact_points=" , "))


@pytest.mark.parametrize(
    ("logs", "app"),
    [
        (None, "prefect.server.api.server:create_app"),
        ({"NAME": "value"}, "prefect_cassandra.server.app:create_app"),
    ],
)
def test_the_stack_starts_prefects_own_app_unless_it_is_told_otherwise(
    logs: dict[str, str] | None, app: str
) -> None:
    part = server_part(Path("/data"), 4200, logs)
    assert app in part.command
    assert ("NAME" in part.environment) == bool(logs)


def routes(app: object) -> list[str]:
    return [getattr(one, "path", "") for one in app.api_app.router.routes]  # type: ignore[attr-defined]


def test_the_switch_decides_whether_our_routes_are_there_and_they_are_first() -> None:
    stock = create_app(ServerSettings(log_store="database"))
    assert not hasattr(stock.state, "run_logs")
    before = routes(stock)
    ours = create_app(ServerSettings(log_store="cassandra"))
    assert hasattr(ours.state, "run_logs")
    added = len(ours.api_app.router.routes) - len(before)  # type: ignore[attr-defined]
    assert added > 0
    assert routes(ours)[added:] == before
