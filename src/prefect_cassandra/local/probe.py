"""Asks a node whether it speaks CQL, without a driver, a login or a JVM.

A node opens its CQL port only after it has joined the ring, and answers OPTIONS before any login:
native protocol v4, section 4.1.3.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_OPTIONS = 5
_SUPPORTED = 6
_HEADER = struct.Struct(">BBHBI")
_REQUEST_V4 = 4


def answers_cql(
    address: str, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 1.0
) -> bool:
    """Send OPTIONS and tell whether SUPPORTED came back.

    Args:
        address: Address of the node.
        port: Its CQL port.
        tls: Context for an encrypted port.
        timeout: Seconds for connecting and again for the answer.
    """
    try:
        with socket.create_connection((address, port), timeout) as plain:
            if tls is None:
                return _ask(plain)
            with tls.wrap_socket(plain, server_hostname=address) as encrypted:
                return _ask(encrypted)
    except OSError:
        # ssl.SSLError is one too: an encrypted node that is asked in plain text closes the line.
        return False


def is_taken(address: str, port: int, *, timeout: float = 1.0) -> bool:
    """Tell whether anything accepts connections there."""
    try:
        with socket.create_connection((address, port), timeout):
            return True
    except OSError:
        return False


def probe_context(ca_file: Path, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """Return a context that trusts one CA and shows a client certificate and key, if given."""
    context = ssl.create_default_context(cafile=str(ca_file))
    if client:
        context.load_cert_chain(client[0], client[1])
    return context


def _ask(connection: socket.socket) -> bool:
    connection.sendall(_HEADER.pack(_REQUEST_V4, 0, 0, _OPTIONS, 0))
    header = b""
    while len(header) < _HEADER.size:
        chunk = connection.recv(_HEADER.size - len(header))
        if not chunk:
            return False
        header += chunk
    return bool(_HEADER.unpack(header)[3] == _SUPPORTED)
