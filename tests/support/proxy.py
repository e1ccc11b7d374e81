"""A TCP proxy that fails on command: it cuts, stalls, withholds answers and goes deaf.

It stands between the driver and a real node, so that every fault is a fault of the network and the
node itself stays whole and can be asked what really happened.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

_CHUNK = 65536


class FaultProxy:
    """Listens on a free port and forwards to `target` until told otherwise.

    Args:
        target: Host and port of the real thing.
        host: Address to listen on.
        port: Port to listen on; a free one when 0.
    """

    def __init__(self, target: tuple[str, int], host: str = "127.0.0.1", port: int = 0) -> None:
        self.target = target
        self.accepted = 0
        self.sent = 0
        self.answered = 0
        self._changed = threading.Condition()
        self._holding_requests = False
        self._holding_answers = False
        self._accepting = True
        self._closed = False
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server((host, port), backlog=64)
        self.host, self.port = self._listener.getsockname()[:2]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def stall(self) -> None:
        """Forward nothing in either direction, keep every connection open."""
        self._set(holding_requests=True, holding_answers=True)

    def withhold_answers(self) -> None:
        """Forward requests, keep the answers back."""
        self._set(holding_answers=True)

    def go_deaf(self) -> None:
        """Let the kernel accept connections and never look at them."""
        self._set(holding_requests=True, holding_answers=True, accepting=False)

    def restore(self) -> None:
        """Forward again, what was held first."""
        self._set(holding_requests=False, holding_answers=False, accepting=True)

    def cut(self) -> None:
        """Break every open connection; new ones are welcome."""
        with self._changed:
            connections, self._connections = self._connections, set()
        for connection in connections:
            _end(connection)

    def refuse(self) -> None:
        """Break every connection and refuse new ones for good, as a node that is gone does."""
        _end(self._listener)
        self.cut()

    def close(self) -> None:
        """End everything and wait for the threads."""
        self._set(closed=True)
        self.refuse()
        for thread in self._threads:
            thread.join(timeout=10)

    def wait_sent(self, beyond: int, timeout: float = 10.0) -> None:
        """Wait until more than `beyond` bytes of requests have reached the target."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.sent > beyond, timeout):
                raise TimeoutError(f"no request passed within {timeout} s")

    def _set(self, **states: bool) -> None:
        with self._changed:
            for name, value in states.items():
                setattr(self, f"_{name}", value)
            self._changed.notify_all()

    def _accept(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._accepting or self._closed)
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                # Deafness may have come while this thread sat in accept().
                self._changed.wait_for(lambda: self._accepting or self._closed)
            self._join(client)

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:
            _end(client)
            return
        server.settimeout(None)
        with self._changed:
            self.accepted += 1
            self._connections |= {client, server}
        for source, sink, requests in ((client, server, True), (server, client, False)):
            thread = threading.Thread(
                target=self._forward,
                args=(source, sink),
                kwargs={"requests": requests},
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()

    def _forward(self, source: socket.socket, sink: socket.socket, *, requests: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                with self._changed:
                    self._changed.wait_for(
                        lambda: not self._holds(requests=requests) or self._closed
                    )
                sink.sendall(data)
                with self._changed:
                    if requests:
                        self.sent += len(data)
                    else:
                        self.answered += len(data)
                    self._changed.notify_all()
        for connection in (source, sink):
            _end(connection)

    def _holds(self, *, requests: bool) -> bool:
        return self._holding_requests if requests else self._holding_answers


def _end(connection: socket.socket) -> None:
    """Close for good, waking a thread that waits in it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
