"""Ports that nothing listens on."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Below the range that the kernel gives to outgoing connections, which would take them any moment.
_RANGE = (20_000, 32_000)


def free_ports(count: int, addresses: Sequence[str] = ("127.0.0.1",)) -> list[int]:
    """Return `count` ports in a row that are free on every address."""
    while True:
        first = random.randrange(*_RANGE)  # noqa: S311 -- not a secret
        ports = range(first, first + count)
        with ExitStack() as stack:
            try:
                for port in ports:
                    for address in addresses:
                        listener = stack.enter_context(socket.socket())
                        listener.bind((address, port))
            except OSError:
                continue
        return list(ports)
