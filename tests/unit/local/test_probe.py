from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.local.probe import answers_cql

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPORTED = bytes([0x84, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0])
ERROR = bytes([0x84, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0])


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Accept one connection, read a frame's header, answer and close."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(9))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join()


@pytest.mark.parametrize(
    ("answer", "speaks"),
    [(SUPPORTED, True), (ERROR, False), (b"", False), (b"\x84\0", False), (b"HTTP/1.1 ", False)],
)
def test_answers_cql_only_believes_supported(answer: bytes, *, speaks: bool) -> None:
    with answering(answer) as (port, asked):
        assert answers_cql("127.0.0.1", port) is speaks
    assert asked == [bytes([4, 0, 0, 0, 5, 0, 0, 0, 0])]


def test_answers_cql_is_false_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert answers_cql("127.0.0.1", port) is False


def test_answers_cql_is_false_for_a_port_that_is_deaf() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert answers_cql("127.0.0.1", server.getsockname()[1], timeout=0.05) is False
