"""The server and the database of a release, reached from here: forwarded or spoken to directly."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_cassandra.driver.config import Login, Tls
from prefect_cassandra.errors import ConfigurationError, PlatformError, ToolError
from prefect_cassandra.kube.cassandra import connected
from prefect_cassandra.kube.images import Image
from prefect_cassandra.kube.kubectl import Release
from prefect_cassandra.kube.push import require_fitting, require_pool
from prefect_cassandra.kube.server import Server, reached
from support.http_server import Answer, Asked, LoopbackServer
from support.installed import ENCRYPTED, EXTERNAL, POOL, SERVER, installed

RELEASE = Release("pc", "prefect")
LOGIN = "pc-login-flights-reader"
# Stands in for kubectl: objects come from files KIND.NAME, and all ports lead to one.
KUBECTL = """#!{python} -u
import pathlib, sys, time
here = pathlib.Path(__file__).parent
words = [word for word in sys.argv[1:] if not word.startswith("-")]
(here / "asked").open("a").write(" ".join(sys.argv[1:]) + "\\n")
if "port-forward" in words:
    print("Forwarding from 127.0.0.1:{port} -> 4200")
    time.sleep(60)
kind, name = words[words.index("get") + 1:][:2]
if not (here / f"{{kind}}.{{name}}").exists():
    sys.exit(f"Error from server (NotFound): {{kind}} {{name}} not found")
print((here / f"{{kind}}.{{name}}").read_text())
"""


class Cluster:
    """A folder that answers as a cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.forwards_to(1)

    def forwards_to(self, port: int) -> None:
        program = self.folder / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable, port=port))
        program.chmod(0o755)

    def add_secret(self, name: str, **data: str) -> None:
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        (self.folder / f"secret.{name}").write_text(json.dumps({"data": coded}))

    def add_service(self, name: str) -> None:
        (self.folder / f"service.{name}").write_text("{}")

    @property
    def asked(self) -> str:
        return (self.folder / "asked").read_text()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = Cluster(tmp_path)
    found.add_secret("pc-server-auth", **{"auth-string": "admin:pw"})
    found.add_secret(LOGIN, username="flights_reader", password="pw")
    return found


def answers(body: Any) -> LoopbackServer:
    """Return a server that answers everything alike."""
    return LoopbackServer(lambda _: Answer(body=body))


def port_of(server: LoopbackServer) -> int:
    return int(server.url.rpartition(":")[2])


def authorization(asked: Asked) -> str | None:
    found: str | None = asked.headers["Authorization"]
    return found


def test_the_releases_own_server_is_reached_through_a_port(cluster: Cluster) -> None:
    cluster.add_service("pc-server")
    with answers({"id": 7}) as real:
        cluster.forwards_to(port_of(real))
        with reached(RELEASE, installed()) as server:
            assert server.api_url == f"{real.url}/api"
            assert server("GET", "/api/flow_runs/1") == {"id": 7}
            assert server.environment() == {"PREFECT_API_AUTH_STRING": "admin:pw"}
    assert real.asked[0].path == "/api/flow_runs/1"
    coded = base64.b64encode(b"admin:pw").decode()
    assert authorization(real.asked[0]) == f"Basic {coded}"
    assert "port-forward --address 127.0.0.1 service/pc-server :4200" in cluster.asked


def test_a_server_of_another_namespace_is_forwarded_to_there(cluster: Cluster) -> None:
    cluster.add_service("theirs")
    other = replace(
        SERVER,
        enabled=False,
        service=None,
        api_url="http://theirs.other.svc:4200/base/api",
        auth_secret=None,
    )
    with answers([]) as real:
        cluster.forwards_to(port_of(real))
        with reached(RELEASE, installed(server=other)) as server:
            assert server("POST", "/api/work_pools/filter", {}) == []
            assert server.environment() == {}
    assert real.asked[0].path == "/base/api/work_pools/filter"
    assert authorization(real.asked[0]) is None
    assert "--namespace other port-forward" in cluster.asked


def test_a_server_elsewhere_is_spoken_to_with_its_key(cluster: Cluster) -> None:
    cluster.add_secret("cloud", key="pnu_1")
    with answers({"ok": True}) as real:
        there = replace(
            SERVER,
            enabled=False,
            service=None,
            api_url=f"{real.url}/api/accounts/a/workspaces/b",
            auth_kind="api-key",
            auth_secret=replace(SERVER.auth_secret, name="cloud", key="key"),
        )
        with reached(RELEASE, installed(server=there)) as server:
            assert server("GET", "/api/deployments/1") == {"ok": True}
            assert server.environment() == {"PREFECT_API_KEY": "pnu_1"}
    assert real.asked[0].path == "/api/accounts/a/workspaces/b/deployments/1"
    assert authorization(real.asked[0]) == "Bearer pnu_1"
    assert "port-forward" not in cluster.asked


def test_a_refusal_of_a_server_elsewhere_says_what_to_look_at() -> None:
    with LoopbackServer(lambda _: Answer(401, {"detail": "who?"})) as real:
        server = Server(f"{real.url}/api", "a:b")
        with pytest.raises(PlatformError, match="401") as error:
            server("GET", "/api/flow_runs/1")
        server.close()
    assert real.url in error.value.hint
    assert "a:b" not in str(error.value)


@pytest.mark.usefixtures("cluster")
def test_a_release_without_any_server_says_so() -> None:
    nobody = replace(SERVER, enabled=False, service=None, api_url="", auth_secret=None)
    with (
        pytest.raises(PlatformError, match="uses no Prefect server"),
        reached(RELEASE, installed(server=nobody)),
    ):
        pass


def test_a_secret_without_the_key_says_which_it_has(cluster: Cluster) -> None:
    cluster.add_secret("pc-server-auth", login="admin:pw")
    with (
        pytest.raises(ToolError, match="no key auth-string; it has login") as error,
        reached(RELEASE, installed()),
    ):
        pass
    assert "admin:pw" not in str(error.value)


def test_a_pool_that_is_not_there_is_known_before_anything_is_done() -> None:
    with answers([]) as real:
        server = Server(f"{real.url}/api", "")
        with pytest.raises(PlatformError, match="has no work pool cassandra"):
            require_pool(server, installed())
        server.close()
    assert real.asked[0].json() == {"work_pools": {"name": {"any_": ["cassandra"]}}}


def test_a_folder_that_the_release_can_run_is_let_through() -> None:
    require_fitting(Path("flows"), installed(), Image("flows", "1"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"keyspaces": ["flights"]}, "sensors_flow|values_demo_flow|weather_api_flow"),
        ({"work_pool": replace(POOL, queues=("heavy",))}, "names the queue default"),
    ],
)
def test_a_folder_that_the_release_cannot_run_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises((PlatformError, ConfigurationError), match=said):
        require_fitting(Path("flows"), installed(**change), Image("flows", "1"))


def test_the_releases_own_database_is_reached_through_a_port(cluster: Cluster) -> None:
    cluster.add_service("pc-cassandra")
    cluster.forwards_to(40404)
    with connected(RELEASE, installed(), "flights_reader") as config:
        assert config.contact_points == ("127.0.0.1",)
        assert config.port == 40404
        assert config.local_datacenter == "dc1"
        assert config.login == Login("flights_reader", "pw")
        assert config.tls is None
    assert "service/pc-cassandra :9042" in cluster.asked


def test_an_encrypted_database_is_checked_by_its_authority(cluster: Cluster) -> None:
    cluster.add_service("pc-cassandra")
    cluster.add_secret("pc-cassandra-tls", **{"ca.crt": "the authority", "tls.key": "secret"})
    with connected(RELEASE, installed(cassandra=ENCRYPTED), "flights_reader") as config:
        assert config.tls is not None
        file = config.tls.ca_file
        assert file is not None
        assert file.read_text() == "the authority"
        assert config.tls == Tls(ca_file=file, verify_host=False)
    assert not file.exists()


def test_a_database_elsewhere_is_spoken_to_directly(cluster: Cluster) -> None:
    with connected(RELEASE, installed(cassandra=EXTERNAL), "flights_reader") as config:
        assert config.contact_points == EXTERNAL.contact_points
        assert config.port == 9142
        assert config.tls == Tls(server_name="a.example.com")
    assert "port-forward" not in cluster.asked


def test_a_login_that_is_incomplete_is_an_error_without_its_password(cluster: Cluster) -> None:
    cluster.add_secret(LOGIN, password="hidden")
    with (
        pytest.raises(ToolError, match=f"Secret {LOGIN} .* lacks") as error,
        connected(RELEASE, installed(), "flights_reader"),
    ):
        pass
    assert "hidden" not in str(error.value)
