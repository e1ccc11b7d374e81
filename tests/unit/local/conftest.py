from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from prefect_cassandra.local.config import NodeSpec
from prefect_cassandra.local.java import Java
from prefect_cassandra.local.jvm import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def spec(tmp_path: Path) -> NodeSpec:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return NodeSpec(folder=tmp_path / "stack" / "node1", stack=tmp_path / "stack", cql_port=port)


@pytest.fixture
def runtime_with(tmp_path: Path) -> Callable[[str], Runtime]:
    """Return a maker of runtimes whose `java` is a shell script."""

    def make(script: str) -> Runtime:
        home = tmp_path / "java"
        (home / "bin").mkdir(parents=True, exist_ok=True)
        (home / "bin" / "java").write_text(f"#!/bin/sh\n{script}\n")
        (home / "bin" / "java").chmod(0o755)
        jars = []
        for name in ("a-1.jar", "ecj-3.jar", "jamm-0.4.0.jar"):
            jars.append(tmp_path / name)
            jars[-1].write_bytes(b"jar")
        modules = frozenset({"java.base", "jdk.naming.rmi"})
        return Runtime(Java(home, "17.0.1", modules, "test"), tuple(jars), tmp_path / "cache")

    return make
