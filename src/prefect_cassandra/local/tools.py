"""Cassandra's own tools, pointed at a running local stack."""

from __future__ import annotations

import configparser
import os
import sys
from importlib.util import find_spec
from io import StringIO
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.local.cassandra import Cassandra, CassandraConfig
from prefect_cassandra.local.supervisor import require_running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from prefect_cassandra.local.state import StackState

# Each of these would win over what we tell cqlsh.
_OVERRIDING = ("CQLSH_HOST", "CQLSH_PORT", "SSL_CERTFILE", "SSL_VALIDATE", "SSL_VERSION")


def cassandra_of(folder: Path, state: StackState, cache: Path) -> Cassandra:
    """Return the nodes of a running stack as their supervisor sees them."""
    config = CassandraConfig(
        data_folder=folder,
        cache_folder=cache,
        nodes=state.nodes,
        cql_port=state.ports["cql"],
        storage_port=state.ports["storage"],
        jmx_port=state.ports["jmx"],
        tls=state.tls,
        class_data=False,
    )
    return Cassandra(config)


def nodetool(folder: Path, cache: Path, node: int, arguments: Sequence[str]) -> int:
    """Run `nodetool` against one node of a running stack; its output goes where ours goes.

    Args:
        folder: Data folder of the stack.
        cache: Folder with the jars.
        node: Number of the node, from 1.
        arguments: What follows `nodetool`.

    Returns:
        The tool's exit code.

    Raises:
        DataFolderError: Nothing runs there.
        ConfigurationError: There is no such node.
    """
    state = require_running(folder)
    _check_node(state, node)
    cassandra = cassandra_of(folder, state, cache)
    cassandra.prepare()
    return cassandra.nodes[node - 1].nodetool(*arguments, capture=False).returncode


def cqlsh(folder: Path, node: int, arguments: Sequence[str]) -> None:
    """Become `cqlsh`, logged in as the superuser of a running stack; does not return.

    The password goes through a file that only its owner may read: an argument or a variable could
    be read by others or end up in a shell's history.

    Raises:
        DataFolderError: Nothing runs there.
        ConfigurationError: cqlsh is not installed, or there is no such node.
    """
    state = require_running(folder)
    if find_spec("cqlshlib") is None:
        raise ConfigurationError(
            "cqlsh is not installed.", hint="pip install 'prefect-cassandra[local]'"
        )
    _check_node(state, node)
    cassandra = cassandra_of(folder, state, folder)
    ca_file = cassandra.tls_files.ca if cassandra.tls_files else None
    own = folder / "cqlsh"
    own.mkdir(mode=0o700, exist_ok=True)
    write_private(own / "credentials", credentials_text(cassandra.superuser))
    write_private(own / "cqlshrc", cqlshrc_text(ca_file))
    command = cqlsh_command(
        own, cassandra.addresses[node - 1], state.ports["cql"], arguments, tls=state.tls
    )
    os.execve(sys.executable, command, cqlsh_environment(os.environ))  # noqa: S606 -- no shell is the point


def _check_node(state: StackState, node: int) -> None:
    if not 1 <= node <= state.nodes:
        raise ConfigurationError(
            f"There is no node {node}: the stack has {state.nodes}.",
            hint=f"Use --node 1 to {state.nodes}.",
        )


def cqlsh_command(
    own: Path, address: str, port: int, arguments: Sequence[str], *, tls: bool
) -> list[str]:
    """Build the command line.

    Args:
        own: Folder with `credentials` and `cqlshrc`.
        address: Node to talk to.
        port: Its CQL port.
        arguments: What the user adds.
        tls: Whether CQL is encrypted.
    """
    return [
        *(sys.executable, "-m", "cqlshlib"),
        *("--cqlshrc", str(own / "cqlshrc"), "--credentials", str(own / "credentials")),
        *(["--ssl"] if tls else []),
        *arguments,
        address,
        str(port),
    ]


def cqlsh_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would override the command line."""
    return {name: value for name, value in base.items() if name not in _OVERRIDING}


def credentials_text(secret: Path) -> str:
    """Render cqlsh's credentials file from a folder with `username` and `password`."""
    parser = configparser.RawConfigParser()
    parser["plain_text_auth"] = {
        name: (secret / name).read_text(encoding="utf-8").strip()
        for name in ("username", "password")
    }
    return _render(parser)


def cqlshrc_text(ca_file: Path | None) -> str:
    """Render cqlsh's settings: our own file, so that the user's cannot point elsewhere."""
    parser = configparser.RawConfigParser()
    if ca_file:
        parser["ssl"] = {"certfile": str(ca_file), "validate": "true"}
    return _render(parser)


def _render(parser: configparser.RawConfigParser) -> str:
    text = StringIO()
    parser.write(text)
    return text.getvalue()


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else could read at any moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
