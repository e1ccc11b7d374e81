from __future__ import annotations

import configparser
import sys
from pathlib import Path

import pytest
from cqlshlib.authproviderhandling import load_auth_provider
from cqlshlib.sslhandling import ssl_settings
from cqlshlib.util import is_file_secure

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.local import tools
from prefect_cassandra.local.state import StackState

PASSWORD = "a%(b)s-=;#c"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "username").write_text("superuser\n")
    (tmp_path / "password").write_text(PASSWORD)
    return tmp_path


def test_cqlsh_reads_the_login_from_the_file_we_write(secret: Path, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    tools.write_private(credentials, tools.credentials_text(secret))
    assert is_file_secure(str(credentials))
    assert credentials.stat().st_mode & 0o777 == 0o600
    # As cqlsh reads it: without interpolation of the password.
    parser = configparser.RawConfigParser()
    parser.read(credentials)
    login = dict(parser["plain_text_auth"])
    assert login == {"username": "superuser", "password": PASSWORD}
    provider = load_auth_provider(cred_file=str(credentials), **login)
    assert provider.username == "superuser"


def test_write_private_never_widens_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    tools.write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_cqlsh_trusts_the_stacks_own_authority_and_checks_it(tmp_path: Path) -> None:
    settings = tmp_path / "cqlshrc"
    settings.write_text(tools.cqlshrc_text(Path("/data/tls/ca.crt")))
    found = ssl_settings("127.0.0.1", str(settings), env={})
    assert found["ca_certs"] == "/data/tls/ca.crt"
    assert found["cert_reqs"].name == "CERT_REQUIRED"


def test_cqlsh_command_holds_no_secret_and_ends_with_the_address(secret: Path) -> None:
    command = tools.cqlsh_command(secret, "127.0.0.2", 9142, ["-e", "SELECT 1"], tls=True)
    assert command[:3] == [sys.executable, "-m", "cqlshlib"]
    assert command[-2:] == ["127.0.0.2", "9142"]
    assert "--ssl" in command
    assert command[command.index("-e") + 1] == "SELECT 1"
    assert not any(PASSWORD in word for word in command)
    assert "--ssl" not in tools.cqlsh_command(secret, "127.0.0.2", 9142, [], tls=False)


def test_cqlsh_environment_drops_what_would_point_elsewhere() -> None:
    base = {"PATH": "/bin", "CQLSH_HOST": "prod", "CQLSH_PORT": "1", "SSL_VALIDATE": "false"}
    assert tools.cqlsh_environment(base) == {"PATH": "/bin"}


@pytest.mark.parametrize("node", [0, 2])
def test_tools_refuse_a_node_that_is_not_there(
    node: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StackState(
        cassandra="5.0.9",
        nodes=1,
        tls=False,
        prefect=True,
        ports={"cql": 1, "storage": 2, "jmx": 3},
    )
    monkeypatch.setattr(tools, "require_running", lambda _folder: state)
    with pytest.raises(ConfigurationError, match=f"no node {node}: the stack has 1"):
        tools.nodetool(tmp_path, tmp_path, node, ["status"])
    with pytest.raises(ConfigurationError, match=f"no node {node}: the stack has 1"):
        tools.cqlsh(tmp_path, node, [])
