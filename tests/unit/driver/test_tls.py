from __future__ import annotations

import datetime as dt
import logging
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from prefect_cassandra.driver.config import Tls
from prefect_cassandra.driver.tls import RenewingContext, build_context
from prefect_cassandra.errors import ConfigurationError


def issue(folder: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    """Write a self-signed certificate and its key into `folder`, replacing what is there."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    files = {
        "tls.crt": certificate.public_bytes(serialization.Encoding.PEM),
        "tls.key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        ),
    }
    for file, content in files.items():
        # Written aside and moved, as a mounted secret changes: the inode is another one.
        (folder / (file + ".new")).write_bytes(content)
        os.replace(folder / (file + ".new"), folder / file)
    return folder / "tls.crt", folder / "tls.key"


def trusted(context: ssl.SSLContext) -> list[str]:
    return [entry["subject"][0][0][1] for entry in context.get_ca_certs()]


def test_context_verifies_the_server_and_its_name():
    context = build_context(Tls())

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.protocol is ssl.PROTOCOL_TLS_CLIENT


def test_context_without_host_verification_still_verifies_the_certificate():
    context = build_context(Tls(verify_host=False))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.check_hostname


def test_renewed_authority_replaces_the_old_one_for_new_connections(tmp_path):
    ca, _ = issue(tmp_path, "old authority")
    context = RenewingContext(Tls(ca_file=ca))
    before = context.current()
    assert context.current() is before

    issue(tmp_path, "new authority")

    assert trusted(context.current()) == ["new authority"]
    assert trusted(before) == ["old authority"]


def test_renewed_client_certificate_is_read_again(tmp_path):
    cert, key = issue(tmp_path, "client")
    context = RenewingContext(Tls(cert_file=cert, key_file=key))
    before = context.current()

    issue(tmp_path, "client renewed")

    assert context.current() is not before


def test_half_a_renewal_keeps_the_pair_that_works(tmp_path, caplog):
    cert, key = issue(tmp_path, "client")
    context = RenewingContext(Tls(cert_file=cert, key_file=key))
    before = context.current()
    cert.write_text("half written")

    with caplog.at_level(logging.WARNING):
        assert context.current() is before

    assert str(cert) in caplog.text


def test_file_taken_away_keeps_the_context_that_works(tmp_path):
    ca, _ = issue(tmp_path, "authority")
    context = RenewingContext(Tls(ca_file=ca))
    before = context.current()
    ca.unlink()

    assert context.current() is before


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_missing_file_is_named(tmp_path, field):
    with pytest.raises(ConfigurationError, match="nothing-here"):
        RenewingContext(Tls(**{field: tmp_path / "nothing-here"}))


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_file_that_is_no_certificate_is_named(tmp_path, field):
    (tmp_path / "rubbish.pem").write_text("rubbish")

    with pytest.raises(ConfigurationError, match=r"rubbish\.pem"):
        build_context(Tls(**{field: tmp_path / "rubbish.pem"}))


def test_key_of_another_certificate_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    cert, _ = issue(tmp_path / "a", "a")
    _, key = issue(tmp_path / "b", "b")

    with pytest.raises(ConfigurationError, match="MISMATCH"):
        build_context(Tls(cert_file=cert, key_file=key))


def test_encrypted_key_is_refused_instead_of_asking_the_terminal(tmp_path):
    cert, key = issue(tmp_path, "client", password=b"hunter2")

    with pytest.raises(ConfigurationError, match="encrypted"):
        build_context(Tls(cert_file=cert, key_file=key))


def test_key_alone_is_refused(tmp_path):
    _, key = issue(tmp_path, "client")

    with pytest.raises(ConfigurationError, match="without a certificate"):
        build_context(Tls(key_file=key))
