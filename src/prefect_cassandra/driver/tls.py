"""TLS with certificates that may be renewed while we run."""

from __future__ import annotations

import logging
import ssl
import threading
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from prefect_cassandra.driver.config import Tls

logger = logging.getLogger(__name__)

_Marks = tuple[tuple[int, int, int], ...]


class RenewingContext:
    """Stands in for an `ssl.SSLContext` and builds a new one when its files have changed.

    The driver wraps every new socket through the one context it was given and looks at nothing but
    `check_hostname` and `wrap_socket`. A fresh context, unlike `load_verify_locations` on the old
    one, also stops trusting an authority that was taken out of the file.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._marks = _marks(tls)
        self._context = build_context(tls)

    @property
    def check_hostname(self) -> bool:
        """Whether the server's name is verified; the driver asks before it wraps a socket."""
        return self._tls.verify_host

    def wrap_socket(self, sock: socket.socket, **options: Any) -> ssl.SSLSocket:
        """Wrap one new socket with the certificates that are in the files now."""
        return self.current().wrap_socket(sock, **options)

    def current(self) -> ssl.SSLContext:
        """Return the context for the files as they are, reading them again when they changed."""
        with self._lock:
            try:
                marks = _marks(self._tls)
                if marks != self._marks:
                    self._context = build_context(self._tls)
                    self._marks = marks
            except ConfigurationError as error:
                # Half a renewal: certificate and key are two files. The old pair still works.
                logger.warning("Keeping the certificates read before: %s", error.message)
            return self._context


def build_context(tls: Tls) -> ssl.SSLContext:
    """Return a client context that verifies the server against the given authorities.

    Raises:
        ConfigurationError: A file is missing or holds no usable certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.verify_host
    if tls.ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cafile=str(tls.ca_file))
        except (OSError, ValueError) as error:
            raise _unusable(tls.ca_file, error) from error
    if tls.cert_file is not None:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
        except (OSError, ValueError) as error:
            raise _unusable(tls.cert_file, error, tls.key_file) from error
    elif tls.key_file is not None:
        raise ConfigurationError(
            "A TLS key without a certificate is of no use.", hint="Give cert_file as well."
        )
    return context


def _no_password() -> str:
    # Without this OpenSSL asks on the terminal, and a pod would wait there for ever.
    raise ValueError("the key is encrypted and there is no password for it")


def _marks(tls: Tls) -> _Marks:
    """Return what changes when a file does: on Kubernetes a symlink moves, so the inode does."""
    marks: list[tuple[int, int, int]] = []
    for path in (tls.ca_file, tls.cert_file, tls.key_file):
        if path is not None:
            try:
                stat = path.stat()
            except OSError as error:
                raise _unusable(path, error) from error
            marks.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
    return tuple(marks)


def _unusable(path: Path, error: Exception, key: Path | None = None) -> ConfigurationError:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    names = f"{path} and {key}" if key is not None else str(path)
    return ConfigurationError(
        f"TLS cannot use {names}: {reason}.",
        hint="Give PEM files: the authorities' certificates, and the client's chain with its key.",
    )
