from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from support.proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that answers what it is sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def answer(client: socket.socket) -> None:
        with client:
            while data := client.recv(100):
                client.sendall(data)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            clients.append(client)
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def proxy(echo: tuple[str, int]) -> Iterator[FaultProxy]:
    with FaultProxy(echo) as proxy:
        yield proxy


def dial(proxy: FaultProxy) -> socket.socket:
    client = socket.create_connection((proxy.host, proxy.port), timeout=2)
    client.settimeout(0.2)
    return client


def ended(client: socket.socket) -> bool:
    """Whether the other side is gone, told politely or not."""
    try:
        return client.recv(10) == b""
    except ConnectionError:
        return True


def test_proxy_forwards_both_ways(proxy: Any) -> None:
    with dial(proxy) as client:
        client.sendall(b"hello")

        assert client.recv(10) == b"hello"
    assert proxy.accepted == 1


def test_stalled_proxy_delivers_what_it_held_once_restored(proxy: Any) -> None:
    with dial(proxy) as client:
        proxy.stall()
        client.sendall(b"hello")
        with pytest.raises(TimeoutError):
            client.recv(10)
        assert proxy.sent == 0

        proxy.restore()

        client.settimeout(5)
        assert client.recv(10) == b"hello"


def test_withheld_answer_leaves_the_request_delivered(proxy: Any) -> None:
    with dial(proxy) as client:
        proxy.withhold_answers()
        client.sendall(b"hello")

        proxy.wait_sent(0)

        with pytest.raises(TimeoutError):
            client.recv(10)


def test_cut_ends_open_connections_and_takes_new_ones(proxy: Any) -> None:
    with dial(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"

        proxy.cut()

        client.settimeout(5)
        assert ended(client)
    with dial(proxy) as client:
        client.sendall(b"new")
        client.settimeout(5)
        assert client.recv(10) == b"new"


def test_deaf_proxy_lets_connect_and_never_answers(proxy: Any) -> None:
    proxy.go_deaf()
    with dial(proxy) as client:
        client.sendall(b"hello")

        with pytest.raises(TimeoutError):
            client.recv(10)


def test_refusing_proxy_refuses(proxy: Any) -> None:
    proxy.refuse()

    with pytest.raises(ConnectionRefusedError):
        dial(proxy)


def test_wait_sent_says_so_when_nothing_passes(proxy: Any) -> None:
    with pytest.raises(TimeoutError, match="no request"):
        proxy.wait_sent(0, timeout=0.05)
