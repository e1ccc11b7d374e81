from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from prefect_cassandra.blocks import CassandraCluster, CassandraTls
from prefect_cassandra.driver.config import Tls
from prefect_cassandra.errors import DeploymentError
from prefect_cassandra.project import deployment
from prefect_cassandra.project.deployment import Target, deploy

TARGET = Target(
    ("10.0.0.1", "10.0.0.2"),
    9042,
    {"weather_api": "/logins/w"},
    Tls(ca_file=Path("/ca.pem"), verify_host=False),
    "west",
)


def test_arguments_hold_places_and_no_password() -> None:
    *program, connection, file, login = TARGET.arguments(Path("prefect.yaml"))
    assert program == ["-m", "prefect_cassandra.project.deploying"]
    assert (file, login) == ("prefect.yaml", "weather-api=/logins/w")
    block = CassandraCluster(**json.loads(connection))
    assert block.contact_points == ["10.0.0.1", "10.0.0.2"]
    assert (block.port, block.local_datacenter) == (9042, "west")
    assert block.tls == CassandraTls(ca_file=Path("/ca.pem"), verify_host=False)
    assert block.credentials is None


def test_plain_text_is_no_tls() -> None:
    plain = Target(("a",), 9042, {})
    connection = json.loads(plain.arguments(Path("prefect.yaml"))[2])
    assert connection == {
        "contact_points": ["a"],
        "port": 9042,
        "local_datacenter": None,
        "tls": None,
    }


def test_what_the_process_said_last_is_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talks.py").write_text(
        "for i in range(100):\n    print('line', i)\nraise SystemExit(7)\n"
    )
    monkeypatch.setattr(deployment, "_PROGRAM", "talks")
    file = tmp_path / "prefect.yaml"
    with pytest.raises(DeploymentError, match="exit code 7:\nline 80\n") as raised:
        deploy(TARGET, file, folder=tmp_path, environment=os.environ)
    assert "line 99" in str(raised.value)
    assert "line 79" not in str(raised.value)


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hangs.py").write_text("import signal\nsignal.pause()\n")
    monkeypatch.setattr(deployment, "_PROGRAM", "hangs")
    monkeypatch.setattr(deployment, "_TIMEOUT", 0.3)
    with pytest.raises(DeploymentError, match="did not end within"):
        deploy(TARGET, tmp_path / "prefect.yaml", folder=tmp_path, environment=os.environ)


def test_without_a_file_only_the_blocks_are_saved() -> None:
    assert TARGET.arguments(None)[3:] == ["", "weather-api=/logins/w"]
