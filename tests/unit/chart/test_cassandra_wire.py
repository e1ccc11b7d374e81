from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = bytes.fromhex("040000000500000000")
SUPPORTED = bytes.fromhex("840000000600000000")


@contextmanager
def server(*answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Read once and send the parts of an answer, then close; nothing closes without an answer."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(64))
                for part in answer:
                    connection.sendall(part)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_cql_answers() -> None:
    with server(SUPPORTED[:4], SUPPORTED[4:]) as (port, heard):
        assert wire.answers_cql("127.0.0.1", port)
    assert heard == [OPTIONS]


@pytest.mark.parametrize(
    "answer",
    [(), (SUPPORTED[:5],), (b"\x84\x00\x00\x00\x00\x00\x00\x00\x00",)],
    ids=["nothing", "half a frame", "ERROR"],
)
def test_cql_does_not_answer(answer: tuple[bytes, ...]) -> None:
    with server(*answer) as (port, _):
        assert not wire.answers_cql("127.0.0.1", port)


def test_cql_of_a_deaf_node() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not wire.answers_cql("127.0.0.1", listener.getsockname()[1], timeout=0.05)


def test_cql_of_nobody() -> None:
    assert not wire.answers_cql("127.0.0.1", closed_port())


def test_tls_probe_of_a_plain_port() -> None:
    with server(b"\x15\x03\x01\x00\x02\x02\x46") as (port, heard):
        assert not wire.answers_cql("127.0.0.1", port, tls=wire.unverified_context())
    assert heard[0][:1] == b"\x16"


@pytest.mark.parametrize(("answer", "alive"), [(b"\x4e\x00", True), (b"\x4f", False), (b"", False)])
def test_jmx(answer: bytes, *, alive: bool) -> None:
    with server(answer) as (port, heard):
        assert wire.answers_jmx(port) is alive
    assert heard == [b"JRMI\x00\x02\x4b"]


def test_beacon_tells_what_is_on_the_disk_now() -> None:
    disk = ["empty"]
    with wire.Beacon("127.0.0.1", 0, lambda: disk[0]) as beacon:
        assert wire.ask_beacon("127.0.0.1", beacon.port) == "empty"
        disk[0] = "unproven"
        assert wire.ask_beacon("127.0.0.1", beacon.port) == "unproven"
        port = beacon.port
    assert wire.ask_beacon("127.0.0.1", port) == ""


def test_names_resolve_to_their_own_address_only() -> None:
    assert wire.resolves_to("127.0.0.1", "127.0.0.1")
    assert not wire.resolves_to("127.0.0.1", "127.0.0.2")
