from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.errors import DataFolderError
from prefect_cassandra.local import cassandra as cassandra_module
from prefect_cassandra.local.cassandra import Cassandra, CassandraConfig, start_waves

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect_cassandra.local.jvm import Runtime


@pytest.fixture
def make(
    tmp_path: Path, runtime_with: Callable[[str], Runtime], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Cassandra]:
    """Return a maker of prepared nodes that neither looks for Java nor downloads."""
    runtime = runtime_with("exit 0")
    monkeypatch.setattr(cassandra_module, "find_java", lambda *_: runtime.java)
    monkeypatch.setattr(cassandra_module, "ensure_jars", lambda *_, **__: list(runtime.jars))

    def maker(**options: Any) -> Cassandra:
        config = CassandraConfig(
            data_folder=tmp_path / "data", cache_folder=tmp_path / "cache", **options
        )
        cassandra = Cassandra(config)
        cassandra.prepare()
        return cassandra

    return maker


@pytest.mark.parametrize(
    ("filled", "waves"),
    [
        ("", [["a"], ["b", "c"]]),
        ("a", [["a"], ["b", "c"]]),
        ("b", [["b"], ["a", "c"]]),
        ("abc", [["a", "b", "c"]]),
    ],
)
def test_start_waves_put_those_with_data_first_and_one_empty_node_before_others(
    filled: str, waves: list[list[str]]
) -> None:
    nodes: list[tuple[Any, bool]] = [(name, name in filled) for name in "abc"]
    assert start_waves(nodes) == waves


def test_start_waves_of_one_node_is_one_wave() -> None:
    nodes: list[tuple[Any, bool]] = [("a", False)]
    assert start_waves(nodes) == [["a"]]


def test_prepare_writes_the_superusers_secret_for_its_owner_only(
    make: Callable[..., Cassandra],
) -> None:
    folder = make().superuser
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "username": 0o600,
        "password": 0o600,
    }
    assert len((folder / "password").read_text()) >= 40


def test_prepare_again_keeps_the_secret(make: Callable[..., Cassandra]) -> None:
    before = (make().superuser / "password").read_text()
    assert (make().superuser / "password").read_text() == before


def test_prepare_over_data_whose_secret_is_gone_is_refused(
    make: Callable[..., Cassandra],
) -> None:
    first = make()
    (first.nodes[0].spec.folder / "data" / "data" / "system_auth").mkdir(parents=True)
    (first.superuser / "password").unlink()
    with pytest.raises(DataFolderError, match=r"password in .*superuser is gone") as caught:
        make()
    assert "--data" in caught.value.hint


def test_three_nodes_have_an_address_a_token_a_rack_and_a_jmx_port_each(
    make: Callable[..., Cassandra],
) -> None:
    cassandra = make(nodes=3, cql_port=29042, jmx_port=27199)
    specs = [node.spec for node in cassandra.nodes]
    assert [spec.address for spec in specs] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert {spec.cql_port for spec in specs} == {29042}
    assert [spec.jmx_port for spec in specs] == [27199, 27200, 27201]
    assert len({spec.token for spec in specs}) == len({spec.rack for spec in specs}) == 3
    assert {spec.seeds for spec in specs} == {cassandra.addresses}
    assert {spec.system_auth_replicas for spec in specs} == {3}


def test_cluster_config_reads_its_login_from_files(make: Callable[..., Cassandra]) -> None:
    config = make(cql_port=29042).cluster_config("flights")
    assert config.contact_points == ("127.0.0.1",)
    assert (config.port, config.local_datacenter, config.tls) == (29042, "dc1", None)
    assert config.login is not None
    assert config.login.folder is not None
    assert config.login.folder.parts[-2:] == ("secrets", "flights")


@pytest.mark.parametrize("mutual", [False, True])
def test_tls_gives_nodes_and_clients_their_files(
    make: Callable[..., Cassandra], *, mutual: bool
) -> None:
    cassandra = make(tls=True, client_certificates=mutual)
    node, client = cassandra.nodes[0].spec.tls, cassandra.cluster_config().tls
    assert node is not None
    assert client is not None
    assert node.keystore.is_file()
    assert node.require_client_certificate is mutual
    assert client.ca_file == node.truststore
    assert (client.cert_file is not None) is mutual


def test_prepare_does_not_begin_to_record_class_data(make: Callable[..., Cassandra]) -> None:
    # `nodetool` prepares as well, beside a start that records.
    first, second = make(), make()
    assert first._class_data is not None
    assert second._class_data is not None
    assert first._class_data.recording_flags()
    first.finish_class_data(0)
    assert second._class_data.recording_flags()
    second.finish_class_data(0)
