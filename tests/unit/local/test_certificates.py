from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.local.certificates import TlsFiles, ensure_certificates
from prefect_cassandra.local.probe import probe_context

if TYPE_CHECKING:
    from pathlib import Path

ADDRESSES = ("127.0.0.1", "127.0.0.2")


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return ensure_certificates(tmp_path / "tls", ADDRESSES)


def server_context(files: TlsFiles, *, require_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.node)
    if require_client:
        context.load_verify_locations(files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, address: str) -> None:
    """Do a TLS handshake in memory; raises what either side raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=address),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(5):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    sides[1].write(b"hello")
    assert sides[0].read(5) == b"hello"


@pytest.mark.parametrize("address", ADDRESSES)
def test_node_certificate_is_good_for_each_address(files: TlsFiles, address: str) -> None:
    shake_hands(probe_context(files.ca), server_context(files), address)


def test_node_certificate_is_refused_for_another_address(files: TlsFiles) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.3"):
        shake_hands(probe_context(files.ca), server_context(files), "127.0.0.3")


def test_node_certificate_is_refused_by_who_trusts_another_authority(
    files: TlsFiles, tmp_path: Path
) -> None:
    other = ensure_certificates(tmp_path / "other", ADDRESSES)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(probe_context(other.ca), server_context(files), ADDRESSES[0])


def test_client_certificate_opens_a_server_that_requires_one(files: TlsFiles) -> None:
    client = probe_context(files.ca, (files.client, files.client_key))
    shake_hands(client, server_context(files, require_client=True), ADDRESSES[0])


def test_client_without_a_certificate_is_refused_where_one_is_required(files: TlsFiles) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)peer did not return a certificate"):
        shake_hands(
            probe_context(files.ca), server_context(files, require_client=True), ADDRESSES[0]
        )


def test_keys_are_pkcs8_and_readable_by_their_owner_only(files: TlsFiles) -> None:
    for path in (files.ca_key, files.client_key, files.node):
        assert path.stat().st_mode & 0o777 == 0o600, path
        assert path.read_text().startswith("-----BEGIN PRIVATE KEY-----"), path
    assert files.folder.stat().st_mode & 0o777 == 0o700


def test_node_file_holds_key_certificate_and_authority(files: TlsFiles) -> None:
    text = files.node.read_text()
    assert text.count("-----BEGIN CERTIFICATE-----") == 2
    assert text.endswith(files.ca.read_text())


def test_certificates_are_kept_while_they_are_good(files: TlsFiles) -> None:
    before = {path: path.read_bytes() for path in files.folder.iterdir()}
    ensure_certificates(files.folder, ADDRESSES)
    assert {path: path.read_bytes() for path in files.folder.iterdir()} == before


def test_node_certificate_is_renewed_by_the_same_authority_for_new_addresses(
    files: TlsFiles,
) -> None:
    ca, node, client = (path.read_bytes() for path in (files.ca, files.node, files.client))
    ensure_certificates(files.folder, (*ADDRESSES, "127.0.0.3"))
    assert files.ca.read_bytes() == ca
    assert files.client.read_bytes() == client
    assert files.node.read_bytes() != node
    shake_hands(probe_context(files.ca), server_context(files), "127.0.0.3")


def test_certificates_near_their_end_are_made_anew(files: TlsFiles) -> None:
    before = {path: path.read_bytes() for path in files.folder.iterdir()}
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=340)
    ensure_certificates(files.folder, ADDRESSES, now=later)
    after = {path: path.read_bytes() for path in files.folder.iterdir()}
    assert before.keys() == after.keys()
    assert all(before[path] != after[path] for path in before)


def test_damaged_files_are_made_anew(files: TlsFiles) -> None:
    files.ca_key.write_text("not a key")
    files.client.write_text("")
    ensure_certificates(files.folder, ADDRESSES)
    client = probe_context(files.ca, (files.client, files.client_key))
    shake_hands(client, server_context(files, require_client=True), ADDRESSES[0])
