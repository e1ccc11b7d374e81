"""Blocks on a real Prefect server: found, registered, saved with their secrets hidden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.plugins import load_prefect_collections
from prefect.settings import get_current_settings
from pydantic import SecretStr, ValidationError

from prefect_cassandra.blocks import (
    CassandraCluster,
    CassandraCredentials,
    CassandraResultStorage,
    CassandraTls,
)
from support.prefect_server import DROPPED_SOCKETS, prefect_server  # noqa: F401 -- a fixture

pytestmark = [pytest.mark.usefixtures("prefect_server"), DROPPED_SOCKETS]

SECRET = "correct horse battery staple"


def cluster() -> CassandraCluster:
    return CassandraCluster(
        contact_points=["db1", "db2"],
        port=19042,
        keyspace="flights",
        credentials=CassandraCredentials(username="app", password=SecretStr(SECRET)),
        tls=CassandraTls(ca_file=Path("/certificates/ca.pem"), verify_host=False),
    )


def test_prefect_finds_the_blocks_through_their_entry_point() -> None:
    loaded = load_prefect_collections()
    assert loaded["prefect_cassandra"].CassandraCluster is CassandraCluster  # type: ignore[union-attr]


@pytest.mark.parametrize("module", ["prefect_cassandra", "prefect_cassandra.blocks"])
def test_prefect_registers_the_blocks_from_the_command_line(module: str) -> None:
    api = str(get_current_settings().api.url)
    command = [
        sys.executable,
        "-m",
        "prefect",
        "block",
        "register",
        "-m",
        module,
    ]
    done = subprocess.run(
        command,
        env=os.environ | {"PREFECT_API_URL": api, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Cassandra Cluster" in done.stdout
    assert "Cassandra Credentials" in done.stdout
    assert "Cassandra Result Storage" in done.stdout


def test_blocks_come_back_from_the_server_as_they_were_saved() -> None:
    saved = cluster()
    saved.save("round-trip", overwrite=True)
    loaded = CassandraCluster.load("round-trip")
    assert loaded.config() == saved.config()
    assert loaded.keyspace == "flights"
    assert loaded.credentials is not None
    assert loaded.credentials.password is not None
    assert loaded.credentials.password.get_secret_value() == SECRET


async def test_blocks_come_back_in_asynchronous_flows() -> None:
    saved = cluster()
    await saved.asave("around-trip", overwrite=True)
    assert (await CassandraCluster.aload("around-trip")).config() == saved.config()


def test_a_cluster_can_refer_to_saved_credentials() -> None:
    credentials = CassandraCredentials(username="app", password=SecretStr(SECRET))
    credentials.save("app", overwrite=True)
    block = CassandraCluster(contact_points=["db"], credentials=CassandraCredentials.load("app"))
    block.save("referring", overwrite=True)
    credentials.password = SecretStr("rotated")
    credentials.save("app", overwrite=True)
    login = CassandraCluster.load("referring").config().login
    assert login is not None
    assert login.password == "rotated"


def test_a_result_storage_refers_to_a_saved_cluster_and_its_credentials() -> None:
    credentials = CassandraCredentials(username="state", password=SecretStr(SECRET))
    credentials.save("state", overwrite=True)
    block = CassandraCluster(contact_points=["db"], credentials=CassandraCredentials.load("state"))
    block.save("state", overwrite=True)
    storage = CassandraResultStorage(cluster=CassandraCluster.load("state"), retention_days=2)
    storage.save("state", overwrite=True)
    loaded = CassandraResultStorage.load("state")
    assert loaded.cluster.config() == block.config()
    assert loaded.retention_days == 2


def test_the_server_shows_and_stores_no_password() -> None:
    cluster().save("secretive", overwrite=True)
    with get_client(sync_client=True) as client:
        shown = client.read_block_document_by_name(
            "secretive", "cassandra-cluster", include_secrets=False
        )
    assert "app" in str(shown.data)
    assert SECRET not in str(shown.data)
    url = get_current_settings().server.database.connection_url
    assert url is not None
    path = Path(url.get_secret_value().partition(":///")[2])
    stored = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    assert b"secretive" in stored, "this is the database that the block went to"
    assert SECRET.encode() not in stored


def test_a_misspelt_field_is_refused_and_the_password_not_printed() -> None:
    values = {"contact_point": ["db"], "credentials": {"username": "app", "password": SECRET}}
    with pytest.raises(ValidationError, match="contact_point") as caught:
        CassandraCluster.model_validate(values)
    assert SECRET not in str(caught.value)
