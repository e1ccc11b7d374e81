"""Turns the Secret of an ordinary TLS certificate into the one PEM file that Cassandra reads.

Cassandra wants the chain and an unencrypted PKCS#8 key in one file. Secrets of type
kubernetes.io/tls hold them in two, with the key in whatever form its maker likes, so the key is
wrapped here: PKCS#8 is a small envelope around the other two forms.
"""

from __future__ import annotations

import base64
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----")

_SEQUENCE = 0x30
_OCTETS = 0x04
_OBJECT = 0x06
_CURVE_OF_SEC1 = 0xA0
# Set in a length that does not fit into seven bits; the others then count its bytes.
_LONG = 0x80
_VERSION_0 = b"\x02\x01\x00"
_NULL = b"\x05\x00"
_RSA = bytes.fromhex("06092a864886f70d010101")
_EC = bytes.fromhex("06072a8648ce3d0201")
_LINE = 64


class PemError(ValueError):
    """The Secret does not hold what Cassandra can use."""


def keystore(folder: Path) -> str:
    """Return key and chain of a folder with `tls.key` and `tls.crt`.

    Raises:
        PemError: A file is missing or holds no usable key or certificate.
    """
    key = pkcs8(_read(folder / "tls.key"))
    chain = [block for kind, block in _blocks(_read(folder / "tls.crt")) if kind == "CERTIFICATE"]
    if not chain:
        raise PemError("tls.crt holds no certificate")
    return key + "".join(_pem("CERTIFICATE", block) for block in chain)


def refresh(folder: Path, target: Path) -> bool:
    """Write the keystore again if the Secret has changed, in one step; tell whether it had.

    Cassandra looks at the file's time every few minutes and takes a new certificate for new
    connections, without a restart.
    """
    text = keystore(folder)
    if target.is_file() and target.read_text(encoding="ascii") == text:
        return False
    new = target.with_suffix(".new")
    # The folder is this pod's own, but the key is nobody else's business even there.
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(target)
    return True


def pkcs8(text: str) -> str:
    """Return the private key of a PEM text as PKCS#8.

    Raises:
        PemError: There is none, or it is encrypted, or of a kind Cassandra does not read.
    """
    for kind, data in _blocks(text):
        if kind == "PRIVATE KEY":
            return _pem(kind, data)
        if kind == "RSA PRIVATE KEY":
            return _pem("PRIVATE KEY", _envelope(_RSA + _NULL, data))
        if kind == "EC PRIVATE KEY":
            return _pem("PRIVATE KEY", _envelope(_EC + _curve(data), data))
        if kind == "ENCRYPTED PRIVATE KEY":
            raise PemError("the key in tls.key is encrypted; store it without a password")
    raise PemError("tls.key holds no private key (PKCS#8, RSA or EC)")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise PemError(f"cannot read {path.name}: {error}") from error


def _blocks(text: str) -> Iterator[tuple[str, bytes]]:
    for match in _BLOCK.finditer(text):
        yield match.group(1), base64.b64decode(match.group(2))


def _pem(kind: str, data: bytes) -> str:
    text = base64.b64encode(data).decode("ascii")
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def _envelope(algorithm: bytes, key: bytes) -> bytes:
    """Build PrivateKeyInfo of RFC 5208."""
    return _der(_SEQUENCE, _VERSION_0 + _der(_SEQUENCE, algorithm) + _der(_OCTETS, key))


def _curve(key: bytes) -> bytes:
    """Find the curve's name, an optional field of ECPrivateKey in RFC 5915."""
    _, body, _ = _take(key)
    while body:
        tag, value, body = _take(body)
        if tag == _CURVE_OF_SEC1 and value[:1] == bytes([_OBJECT]):
            return value
    raise PemError("the EC key does not name its curve; convert it to PKCS#8 with openssl pkcs8")


def _der(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < _LONG:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG | len(length)]) + length + value


def _take(data: bytes) -> tuple[int, bytes, bytes]:
    """Split the first element off: its tag, its value, and what follows."""
    tag, size, start = data[0], data[1], 2
    if size & _LONG:
        start = 2 + (size & ~_LONG)
        size = int.from_bytes(data[2:start], "big")
    return tag, data[start : start + size], data[start + size :]
