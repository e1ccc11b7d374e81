from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from prefect_cassandra.local.config import (
    NodeSpec,
    NodeTls,
    cassandra_yaml,
    logback_xml,
    rackdc_properties,
    ring_tokens,
    tools_logback_xml,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spec(tmp_path: Path) -> NodeSpec:
    return NodeSpec(folder=tmp_path / "node1", stack=tmp_path)


def rendered(tmp_path: Path, **options: Any) -> dict[str, Any]:
    spec = NodeSpec(folder=tmp_path / "node1", stack=tmp_path, **options)
    parsed: dict[str, Any] = yaml.safe_load(cassandra_yaml(spec))
    return parsed


def test_cassandra_yaml_has_authentication_and_authorisation_on(tmp_path: Path) -> None:
    settings = rendered(tmp_path)
    assert settings["authenticator"] == "PasswordAuthenticator"
    assert settings["authorizer"] == "CassandraAuthorizer"
    assert settings["role_manager"] == "CassandraRoleManager"


def test_cassandra_yaml_guards_truncate_and_drop(tmp_path: Path) -> None:
    settings = rendered(tmp_path)
    assert settings["drop_truncate_table_enabled"] is False
    assert settings["drop_keyspace_enabled"] is False


def test_cassandra_yaml_keeps_batch_thresholds_and_token_at_cassandras_own(tmp_path: Path) -> None:
    settings = rendered(tmp_path, token=-(2**63))
    assert not [name for name in settings if name.startswith("batch_size")]
    # As text: as a number some YAML readers would lose digits.
    assert settings["initial_token"] == "-9223372036854775808"


@pytest.mark.parametrize(("sync", "period"), [("periodic", "10000ms"), ("batch", None)])
def test_cassandra_yaml_gives_a_period_only_to_periodic_sync(
    tmp_path: Path, sync: Any, period: str | None
) -> None:
    settings = rendered(tmp_path, commitlog_sync=sync)
    assert settings["commitlog_sync"] == sync
    assert settings.get("commitlog_sync_period") == period


def test_cassandra_yaml_names_addresses_and_ports(tmp_path: Path) -> None:
    settings = rendered(
        tmp_path,
        address="127.0.0.2",
        cql_port=29042,
        storage_port=27000,
        seeds=("127.0.0.1", "127.0.0.2"),
    )
    assert settings["listen_address"] == settings["rpc_address"] == "127.0.0.2"
    assert settings["native_transport_port"] == 29042
    assert settings["storage_port"] == 27000
    seeds = settings["seed_provider"][0]["parameters"][0]["seeds"]
    assert seeds == "127.0.0.1:27000,127.0.0.2:27000"


def test_cassandra_yaml_is_unencrypted_unless_asked(tmp_path: Path) -> None:
    assert not [name for name in rendered(tmp_path) if "encryption" in name]


def test_cassandra_yaml_with_tls_refuses_plain_text(tmp_path: Path) -> None:
    tls = NodeTls(tmp_path / "node.pem", tmp_path / "ca.crt", require_client_certificate=True)
    settings = rendered(tmp_path, tls=tls)
    client = settings["client_encryption_options"]
    assert (client["enabled"], client["optional"], client["require_client_auth"]) == (
        True,
        False,
        True,
    )
    assert client["keystore"].endswith("node.pem")
    assert "server_encryption_options" not in settings


def test_cassandra_yaml_encrypts_between_nodes_when_asked(tmp_path: Path) -> None:
    tls = NodeTls(tmp_path / "node.pem", tmp_path / "ca.crt", between_nodes=True)
    server = rendered(tmp_path, tls=tls)["server_encryption_options"]
    assert server["internode_encryption"] == "all"
    assert server["require_client_auth"] is True


def test_cassandra_yaml_lets_extra_settings_win(tmp_path: Path) -> None:
    settings = rendered(tmp_path, extra={"concurrent_reads": 99})
    assert settings["concurrent_reads"] == 99


@pytest.mark.parametrize(
    ("nodes", "tokens"),
    [
        (1, [-9223372036854775808]),
        (3, [-9223372036854775808, -3074457345618258603, 3074457345618258602]),
    ],
)
def test_ring_tokens_divide_the_ring_evenly(nodes: int, tokens: list[int]) -> None:
    assert ring_tokens(nodes) == tokens


@pytest.mark.parametrize(("heap", "megabytes"), [("512M", 512), ("2G", 2048)])
def test_heap_megabytes_reads_both_units(tmp_path: Path, heap: str, megabytes: int) -> None:
    assert NodeSpec(folder=tmp_path, stack=tmp_path, heap=heap).heap_megabytes == megabytes


@pytest.mark.parametrize(
    ("heap", "memtables"), [("192M", 48), ("256M", 64), ("512M", 256), ("640M", 320), ("2G", 1024)]
)
def test_what_was_written_last_has_up_to_half_of_the_heap(
    tmp_path: Path, heap: str, memtables: int
) -> None:
    spec = NodeSpec(folder=tmp_path, stack=tmp_path, heap=heap)
    settings = yaml.safe_load(cassandra_yaml(spec))
    assert settings["memtable_heap_space"] == f"{memtables}MiB"


def test_rackdc_properties_name_datacenter_and_rack(spec: NodeSpec) -> None:
    assert rackdc_properties(spec).split() == ["dc=dc1", "rack=rack1"]


def test_logback_xml_rolls_one_file_in_the_nodes_own_folder(spec: NodeSpec) -> None:
    root = ET.fromstring(logback_xml(spec))  # noqa: S314 -- our own text
    assert root.findtext("appender/file") == f"{spec.folder}/log/system.log"
    assert root.findtext("appender/triggeringPolicy/maxFileSize") == "20MB"


def test_tools_logback_xml_keeps_stdout_clean() -> None:
    root = ET.fromstring(tools_logback_xml())  # noqa: S314 -- our own text
    assert [target.text for target in root.iter("target")] == ["System.err"]
