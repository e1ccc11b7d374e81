"""`GET /health` for the kubelet: 200 while a question is answered with yes, else 503."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OK, _NOT_FOUND, _UNAVAILABLE = 200, 404, 503


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], is_healthy: Callable[[], bool]) -> None:
        super().__init__(address, _Handler)
        self.is_healthy = is_healthy


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    # A client that opens a connection and says nothing must not keep a thread for ever.
    timeout = 5

    def do_GET(self) -> None:
        if self.path.split("?")[0] != "/health":
            self._answer(_NOT_FOUND, "only /health is here")
        elif self.server.is_healthy():
            self._answer(_OK, "OK")
        else:
            self._answer(_UNAVAILABLE, "nothing was asked for too long")

    def _answer(self, status: int, text: str) -> None:
        body = json.dumps({"message": text}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: a probe every few seconds is no news."""


@contextmanager
def served(host: str, port: int, is_healthy: Callable[[], bool]) -> Iterator[int]:
    """Answer health questions while the block runs; yields the port, which 0 leaves to the system.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        is_healthy: Asked in another thread for each question.
    """
    server = _Server((host, port), is_healthy)
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
