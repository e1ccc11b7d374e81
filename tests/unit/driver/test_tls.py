from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from prefect_cassandra.driver.config import Tls
from prefect_cassandra.driver.tls import RenewingContext, build_context
from prefect_cassandra.errors import ConfigurationError
from support.certificates import issue

if TYPE_CHECKING:
    from pathlib import Path


def trusted(context: ssl.SSLContext) -> list[str]:
    return [entry["subject"][0][0][1] for entry in context.get_ca_certs()]


def test_context_verifies_the_server_and_its_name() -> None:
    context = build_context(Tls())

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.protocol is ssl.PROTOCOL_TLS_CLIENT


def test_context_without_host_verification_still_verifies_the_certificate() -> None:
    context = build_context(Tls(verify_host=False))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.check_hostname


def test_renewed_authority_replaces_the_old_one_for_new_connections(tmp_path: Path) -> None:
    ca, _ = issue(tmp_path, "old authority")
    context = RenewingContext(Tls(ca_file=ca))
    before = context.current()
    assert context.current() is before

    issue(tmp_path, "new authority")

    assert trusted(context.current()) == ["new authority"]
    assert trusted(before) == ["old authority"]


def test_renewed_client_certificate_is_read_again(tmp_path: Path) -> None:
    cert, key = issue(tmp_path, "client")
    context = RenewingContext(Tls(cert_file=cert, key_file=key))
    before = context.current()

    issue(tmp_path, "client renewed")

    assert context.current() is not before


def test_half_a_renewal_keeps_the_pair_that_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = issue(tmp_path, "client")
    context = RenewingContext(Tls(cert_file=cert, key_file=key))
    before = context.current()
    cert.write_text("half written")

    with caplog.at_level(logging.WARNING):
        assert context.current() is before

    assert str(cert) in caplog.text


def test_file_taken_away_keeps_the_context_that_works(tmp_path: Path) -> None:
    ca, _ = issue(tmp_path, "authority")
    context = RenewingContext(Tls(ca_file=ca))
    before = context.current()
    ca.unlink()

    assert context.current() is before


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_missing_file_is_named(tmp_path: Path, field: Any) -> None:
    with pytest.raises(ConfigurationError, match="nothing-here"):
        RenewingContext(Tls(**{field: tmp_path / "nothing-here"}))


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_file_that_is_no_certificate_is_named(tmp_path: Path, field: Any) -> None:
    (tmp_path / "rubbish.pem").write_text("rubbish")

    with pytest.raises(ConfigurationError, match=r"rubbish\.pem"):
        build_context(Tls(**{field: tmp_path / "rubbish.pem"}))


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    cert, _ = issue(tmp_path / "a", "a")
    _, key = issue(tmp_path / "b", "b")

    with pytest.raises(ConfigurationError, match="MISMATCH"):
        build_context(Tls(cert_file=cert, key_file=key))


def test_encrypted_key_is_refused_instead_of_asking_the_terminal(tmp_path: Path) -> None:
    cert, key = issue(tmp_path, "client", password=b"hunter2")

    with pytest.raises(ConfigurationError, match="encrypted"):
        build_context(Tls(cert_file=cert, key_file=key))


def test_key_alone_is_refused(tmp_path: Path) -> None:
    _, key = issue(tmp_path, "client")

    with pytest.raises(ConfigurationError, match="without a certificate"):
        build_context(Tls(key_file=key))
