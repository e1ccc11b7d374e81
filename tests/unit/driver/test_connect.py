from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import ssl
import threading
import uuid
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from cassandra.connection import DefaultEndPoint
from cassandra.metadata import Metadata
from cassandra.policies import SimpleConvictionPolicy
from cassandra.pool import Host

from prefect_cassandra.driver.config import ClusterConfig, Tls
from prefect_cassandra.driver.connect import Link, open_link, require_one_datacenter
from prefect_cassandra.driver.reactor import require_libev
from prefect_cassandra.errors import ConfigurationError, UnreachableError
from support.certificates import issue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def clock() -> int:
    return 1


def test_several_datacenters_need_a_choice() -> None:
    with pytest.raises(ConfigurationError, match="paris, tokyo") as caught:
        require_one_datacenter({"tokyo", "paris"}, None)

    assert "local_datacenter" in caught.value.hint


def test_unknown_datacenter_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="'Paris', only paris, tokyo"):
        require_one_datacenter({"tokyo", "paris"}, "Paris")


@pytest.mark.parametrize(("known", "wanted"), [({"a"}, None), ({"a", "b"}, "a"), (set(), "a")])
def test_datacenter_without_doubt_passes(known: set[str], wanted: str | None) -> None:
    require_one_datacenter(known, wanted)


def test_any_event_loop_but_libev_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match="AsyncioConnection") as caught:
        require_libev(SimpleNamespace(__name__="AsyncioConnection"))

    assert "gevent" in caught.value.hint
    require_libev()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A secure-connect bundle whose metadata service is a port nobody listens on."""
    cert, key = issue(tmp_path, "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"host": "127.0.0.1", "port": port}))
        archive.write(cert, "ca.crt")
        archive.write(cert, "cert")
        archive.write(key, "key")
    return path


# The driver unpacks the bundle into a context made the old way.
@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning")
def test_bundle_is_opened_and_its_metadata_service_asked(bundle: Path) -> None:
    with pytest.raises(UnreachableError, match="metadata service") as caught:
        open_link(ClusterConfig(secure_connect_bundle=bundle), clock)

    assert str(bundle) in caught.value.message
    assert sorted(path.name for path in bundle.parent.iterdir()) == [
        "bundle.zip",
        "tls.crt",
        "tls.key",
    ]


def test_bundle_that_is_no_zip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    path.write_text("not a zip")

    with pytest.raises(ConfigurationError, match=r"bundle\.zip"):
        open_link(ClusterConfig(secure_connect_bundle=path), clock)


def test_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.zip"):
        open_link(ClusterConfig(secure_connect_bundle=tmp_path / "gone.zip"), clock)


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """A server that completes the TLS handshake as `db.test` and then hangs up."""
    cert, key = issue(tmp_path, "db.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True):
                pass
            client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def connect_over_tls(port: int, tls: Tls) -> UnreachableError:
    config = ClusterConfig(("127.0.0.1",), port=port, tls=tls, connect_timeout=1)
    with pytest.raises(UnreachableError) as caught:
        open_link(config, clock)
    return caught.value


def test_certificate_must_name_the_address_connected_to(tls_port: int, tmp_path: Path) -> None:
    error = connect_over_tls(tls_port, Tls(ca_file=tmp_path / "tls.crt"))

    assert "certificate" in error.message
    assert "server_name" in error.hint


def test_certificate_is_checked_against_the_server_name_given(
    tls_port: int, tmp_path: Path
) -> None:
    error = connect_over_tls(tls_port, Tls(ca_file=tmp_path / "tls.crt", server_name="db.test"))
    other = connect_over_tls(tls_port, Tls(ca_file=tmp_path / "tls.crt", server_name="no.test"))

    # The handshake succeeds and only then the server hangs up.
    assert "certificate" not in error.message
    assert "certificate" in other.message


def test_certificate_of_an_unknown_authority_is_refused(tls_port: int, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ca, _ = issue(tmp_path / "other", "db.test")

    error = connect_over_tls(tls_port, Tls(ca_file=ca, server_name="db.test"))

    assert "certificate" in error.message
    assert "ca_file" in error.hint


def test_support_certificate_can_name_an_address(tmp_path: Path) -> None:
    cert, _ = issue(tmp_path, "127.0.0.1")

    assert ipaddress.ip_address("127.0.0.1").packed in ssl.PEM_cert_to_DER_cert(cert.read_text())


def test_a_link_knows_the_ids_that_the_cluster_gave_its_nodes() -> None:
    metadata = Metadata()
    ids = [uuid.UUID(int=1), uuid.UUID(int=2), None]
    for number, node in enumerate(ids):
        place = DefaultEndPoint(f"10.0.0.{number}")
        metadata.add_or_return_host(Host(place, SimpleConvictionPolicy, host_id=node))
    cluster = SimpleNamespace(metadata=metadata)
    link = Link(ClusterConfig(("10.0.0.1",)), cluster, None)
    # A contact point that was never reached has none yet.
    assert link.node_ids() == set(ids[:2])
