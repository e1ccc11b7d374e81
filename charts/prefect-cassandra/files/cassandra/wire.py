"""The few words a pod speaks on the network: CQL's OPTIONS, JMX's greeting, and a beacon's answer.

None of them needs a login or a JVM; a `nodetool` in a probe costs a second of CPU each time.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

# Native protocol v4, sections 2 and 4: version, flags, stream, opcode, length.
_FRAME = struct.Struct(">BBhBI")
_V4 = 0x04
_OPTIONS = 0x05
_SUPPORTED = 0x06

# Java RMI's wire protocol: "JRMI", version 2, StreamProtocol; ProtocolAck comes back.
_RMI_HELLO = b"JRMI\x00\x02\x4b"
_RMI_ACK = b"\x4e"

_LONGEST_ANSWER = 16
_ACCEPT = 0.1


def answers_cql(
    host: str, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 3.0
) -> bool:
    """Send OPTIONS and tell whether SUPPORTED came back.

    Args:
        host: Address or name of the node.
        port: Its CQL port.
        tls: Context for an encrypted port.
        timeout: Seconds for each of connecting, shaking hands and answering.
    """
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if tls is None:
                return _asks_options(plain)
            with tls.wrap_socket(plain) as encrypted:
                return _asks_options(encrypted)
    except OSError:
        # Names that do not resolve and TLS errors are OSErrors too.
        return False


def answers_jmx(port: int, *, timeout: float = 3.0) -> bool:
    """Greet the JMX port on loopback; a thread of the JVM must run to answer.

    A drained node still answers, so that it is taken out of service but not restarted.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.sendall(_RMI_HELLO)
            return connection.recv(1) == _RMI_ACK
    except OSError:
        return False


def ask_beacon(host: str, port: int, *, timeout: float = 2.0) -> str:
    """Return what a waiting pod says about its disk; empty when nobody waits there."""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            return connection.recv(_LONGEST_ANSWER).decode("ascii", "replace").strip()
    except OSError:
        return ""


def resolves_to(name: str, address: str) -> bool:
    """Tell whether DNS knows the name under this address already."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return address in {str(entry[4][0]) for entry in found}


def unverified_context(certificate: str | None = None) -> ssl.SSLContext:
    """Return a context that encrypts and checks nothing.

    The question is whether a node is alive, the answer holds no secret, and an expired certificate
    must never be what restarts a database.

    Args:
        certificate: PEM file with key and chain, for nodes that ask their clients for one.
    """
    import ssl  # noqa: PLC0415 - a third of what a probe without TLS would cost

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate)
    return context


class Beacon:
    """Tells whoever connects what is on this pod's disk, as long as the pod waits.

    It listens on the storage port for TLS, which Cassandra 5 leaves free and other members never
    call: on the ordinary one they would take it for a broken node.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        text: Asked for each connection.
    """

    def __init__(self, host: str, port: int, text: Callable[[], str]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        # So that the end of the wait is noticed; closing a socket does not wake its accept.
        self._listener.settimeout(_ACCEPT)
        self._text = text
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="beacon", daemon=True)

    @property
    def port(self) -> int:
        """Return the port, which the system chose if 0 was asked for."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Beacon:  # noqa: PYI034 - `Self` is newer than the image's Python
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue
            with connection, suppress(OSError):
                connection.sendall(self._text().encode("ascii") + b"\n")


def _asks_options(connection: socket.socket) -> bool:
    connection.sendall(_FRAME.pack(_V4, 0, 0, _OPTIONS, 0))
    header = b""
    while len(header) < _FRAME.size:
        chunk = connection.recv(_FRAME.size - len(header))
        if not chunk:
            return False
        header += chunk
    return bool(_FRAME.unpack(header)[3] == _SUPPORTED)
