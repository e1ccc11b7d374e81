"""An own certificate authority for one local stack: a node certificate and one for clients.

All in PEM, because Cassandra's `PEMBasedSslContextFactory` reads the key (PKCS#8), its certificate
and the CA's from one file, and Python reads the rest.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LIFETIME = dt.timedelta(days=365)
# A stack that is started now should not lose its certificates while it runs.
_RENEW_BEFORE = dt.timedelta(days=30)
# Clocks of virtual machines and containers differ a little.
_BACKDATED = dt.timedelta(hours=1)

_PRIVATE = 0o600
_PUBLIC = 0o644


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the files of a stack are.

    Args:
        folder: The stack's `tls` folder.
    """

    folder: Path

    @property
    def ca(self) -> Path:
        """Return the CA's certificate, which clients and nodes trust."""
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """Return the CA's key, kept so that certificates can be renewed."""
        return self.folder / "ca.key"

    @property
    def node(self) -> Path:
        """Return key, certificate and CA certificate of the nodes, in one file."""
        return self.folder / "node.pem"

    @property
    def client(self) -> Path:
        """Return the clients' certificate."""
        return self.folder / "client.crt"

    @property
    def client_key(self) -> Path:
        """Return the clients' key."""
        return self.folder / "client.key"


def ensure_certificates(
    folder: Path, addresses: Sequence[str], *, now: dt.datetime | None = None
) -> TlsFiles:
    """Make what is missing, is for other addresses or ends within 30 days; keep the rest.

    Args:
        folder: The stack's `tls` folder.
        addresses: IP addresses the nodes answer on; drivers compare them with the certificate.
        now: The time, for tests.
    """
    now = now or dt.datetime.now(dt.UTC)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = TlsFiles(folder)
    authority = _read_authority(files, now)
    if authority is None:
        authority = _make_authority(files, now)
        files.node.unlink(missing_ok=True)
        files.client.unlink(missing_ok=True)
    if not _is_good(files.node, now, addresses):
        key, certificate = _issue(authority, "node", addresses, now)
        ca = _certificate_pem(authority[1])
        _write(files.node, _key_pem(key) + _certificate_pem(certificate) + ca, _PRIVATE)
    if not _is_good(files.client, now, ()):
        key, certificate = _issue(authority, "client", (), now)
        _write(files.client_key, _key_pem(key), _PRIVATE)
        _write(files.client, _certificate_pem(certificate), _PUBLIC)
    return files


Authority = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def _read_authority(files: TlsFiles, now: dt.datetime) -> Authority | None:
    """Return the CA there is; None when it is missing, damaged or near its end."""
    try:
        key = serialization.load_pem_private_key(files.ca_key.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(files.ca.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    if certificate.not_valid_after_utc - now < _RENEW_BEFORE:
        return None
    return key, certificate


def _make_authority(files: TlsFiles, now: dt.datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("local CA")
    certificate = (
        _builder(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(files.ca_key, _key_pem(key), _PRIVATE)
    _write(files.ca, _certificate_pem(certificate), _PUBLIC)
    return key, certificate


def _issue(
    authority: Authority, role: str, addresses: Sequence[str], now: dt.datetime
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    ca_key, ca = authority
    key = ec.generate_private_key(ec.SECP256R1())
    # A node is a client of other nodes as well, so both get both purposes.
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(_name(role), ca.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
    )
    if addresses:
        names: list[x509.GeneralName] = [x509.DNSName("localhost")]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key, builder.sign(ca_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_good(path: Path, now: dt.datetime, addresses: Sequence[str]) -> bool:
    """Tell whether a certificate lives long enough and is for these addresses."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return False
    covered: set[str] = set()
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            covered = {str(ip) for ip in extension.value.get_values_for_type(x509.IPAddress)}
    return certificate.not_valid_after_utc - now >= _RENEW_BEFORE and covered >= set(addresses)


def _name(role: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"prefect-cassandra {role}")])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that never stands there half-written or readable for others, however briefly."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
