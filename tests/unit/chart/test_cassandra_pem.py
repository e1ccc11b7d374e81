from __future__ import annotations

from typing import TYPE_CHECKING

import pem
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"
RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505 - small is quick, and nothing is hidden
KEYS = {"rsa": RSA, "ec": ec.generate_private_key(ec.SECP256R1())}
PLAIN = serialization.NoEncryption()


def text_of(key: str, form: serialization.PrivateFormat) -> str:
    return KEYS[key].private_bytes(serialization.Encoding.PEM, form, PLAIN).decode()


@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_an_older_key_form_is_wrapped(key: str) -> None:
    older = text_of(key, serialization.PrivateFormat.TraditionalOpenSSL)
    wrapped = pem.pkcs8(older)
    assert wrapped.startswith("-----BEGIN PRIVATE KEY-----\n")
    loaded = serialization.load_pem_private_key(wrapped.encode(), None)
    assert loaded.private_numbers() == KEYS[key].private_numbers()


def test_a_pkcs8_key_stays() -> None:
    text = text_of("rsa", serialization.PrivateFormat.PKCS8)
    assert pem.pkcs8(text) == text


def test_an_ec_key_after_its_parameters() -> None:
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    older = text_of("ec", serialization.PrivateFormat.TraditionalOpenSSL)
    assert "BEGIN PRIVATE KEY" in pem.pkcs8(parameters + older)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no private key"),
        (CERTIFICATE, "no private key"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAEC\n-----END ENCRYPTED PRIVATE KEY-----",
            "encr",
        ),
    ],
)
def test_an_unusable_key_is_refused(text: str, message: str) -> None:
    with pytest.raises(pem.PemError, match=message):
        pem.pkcs8(text)


def test_refresh_writes_only_what_has_changed(tmp_path: Path) -> None:
    target = tmp_path / "keystore.pem"
    (tmp_path / "tls.key").write_text(text_of("ec", serialization.PrivateFormat.PKCS8))
    (tmp_path / "tls.crt").write_text(CERTIFICATE * 2)
    assert pem.refresh(tmp_path, target)
    assert not pem.refresh(tmp_path, target)
    assert target.read_text().count("BEGIN CERTIFICATE") == 2
    assert target.stat().st_mode & 0o777 == 0o600
    (tmp_path / "tls.crt").write_text(CERTIFICATE)
    assert pem.refresh(tmp_path, target)
    assert target.read_text().count("BEGIN CERTIFICATE") == 1


def test_refresh_with_half_a_secret_keeps_the_keystore(tmp_path: Path) -> None:
    target = tmp_path / "keystore.pem"
    target.write_text("old")
    (tmp_path / "tls.key").write_text(text_of("ec", serialization.PrivateFormat.PKCS8))
    with pytest.raises(pem.PemError, match=r"cannot read tls\.crt"):
        pem.refresh(tmp_path, target)
    assert target.read_text() == "old"
