"""What stack to run and where: its configuration, and what that asks of the machine."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import ConfigurationError
from prefect_cassandra.local import prefect_services, preflight
from prefect_cassandra.local.cassandra import CassandraConfig

if TYPE_CHECKING:
    from prefect_cassandra.settings import LocalSettings

_MIB = 1024 * 1024
_NODE_COUNTS = (1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig:
    """What to start and where; `from_settings` fills in what the user's settings say.

    Args:
        data: Folder of everything the stack keeps.
        cache: Folder of downloads that all stacks share.
        nodes: Number of Cassandra nodes, 1 or 3.
        tls: Encrypt CQL.
        prefect: Start a Prefect server and a worker as well.
        heap: Java heap of each node, such as `512M`.
        maven_repository: Mirror to download jars from; empty means the public one.
        cql_port: Port for CQL on each node's address.
        storage_port: Port between the nodes.
        jmx_port: JMX port of the first node; the others take the next ones.
        server_port: Port of the Prefect server.
        start_timeout: Seconds one part may take to answer.
        stop_timeout: Seconds one part may take to end before it is killed.
        drain_timeout: Seconds that running flows get to end when the stack is stopped.
        log_store: Where the server keeps run logs, `database` or `cassandra`.
    """

    data: Path
    cache: Path
    nodes: int = 1
    tls: bool = False
    prefect: bool = True
    heap: str
    maven_repository: str
    cql_port: int
    storage_port: int
    jmx_port: int
    server_port: int
    start_timeout: float
    stop_timeout: float
    drain_timeout: float
    log_store: str = "database"

    def __post_init__(self) -> None:
        if self.nodes not in _NODE_COUNTS:
            raise ConfigurationError(
                f"A local stack has 1 node or 3, not {self.nodes}.", hint="Use --nodes 1 or 3."
            )
        ports = [*self.ports.values(), *range(self.jmx_port + 1, self.jmx_port + self.nodes)]
        if len(set(ports)) < len(ports):
            raise ConfigurationError(
                f"The ports of the stack collide: {self.ports}.",
                hint="Give each of --cql-port, --storage-port, --jmx-port, --server-port its own.",
            )

    @classmethod
    def from_settings(cls, **chosen: Any) -> StackConfig:
        """Build a config: what is given and not None wins, then the settings.

        Imports Prefect for its settings machinery.
        """
        settings = _settings()
        given = {name: value for name, value in chosen.items() if value is not None}
        folders = {"data": settings.data_folder, "cache": settings.cache_folder}
        names = {one.name for one in fields(cls)}
        values = {name: value for name, value in settings.model_dump().items() if name in names}
        merged = {**values, **folders, **given}
        for name in folders:
            merged[name] = Path(merged[name]).expanduser().resolve()
        return cls(**merged)

    @property
    def ports(self) -> dict[str, int]:
        """Return the ports by purpose."""
        ports = {"cql": self.cql_port, "storage": self.storage_port, "jmx": self.jmx_port}
        return ports | ({"server": self.server_port} if self.prefect else {})

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the loopback address of each node."""
        return tuple(f"127.0.0.{number}" for number in range(1, self.nodes + 1))

    def heap_bytes(self) -> int:
        """Return the heap of one node in bytes."""
        return int(self.heap[:-1]) * _MIB * (1024 if self.heap.endswith("G") else 1)


def needs_of(config: StackConfig) -> preflight.Needs:
    """Work out what a stack needs of its machine."""
    endpoints = []
    for number, address in enumerate(config.addresses):
        node = f"node{number + 1}"
        endpoints += [
            preflight.Endpoint(address, config.cql_port, f"CQL of {node} (--cql-port)"),
            preflight.Endpoint(
                address, config.storage_port, f"{node} between nodes (--storage-port)"
            ),
            preflight.Endpoint(
                "127.0.0.1", config.jmx_port + number, f"JMX of {node} (--jmx-port)"
            ),
        ]
    memory = config.nodes * (config.heap_bytes() + preflight.NODE_OVERHEAD)
    if config.prefect:
        purpose = "the Prefect server (--server-port)"
        endpoints.append(preflight.Endpoint(prefect_services.HOST, config.server_port, purpose))
        memory += preflight.PREFECT_MEMORY
    return preflight.Needs(
        endpoints=tuple(endpoints),
        memory=memory,
        data_folder=config.data,
        data_disk=config.nodes * preflight.NODE_DISK,
        cache_folder=config.cache,
        cache_disk=preflight.CACHE_DISK,
    )


def cassandra_config(config: StackConfig) -> CassandraConfig:
    """Return the part of a stack's configuration that its nodes need."""
    return CassandraConfig(
        data_folder=config.data,
        cache_folder=config.cache,
        nodes=config.nodes,
        cql_port=config.cql_port,
        storage_port=config.storage_port,
        jmx_port=config.jmx_port,
        heap=config.heap,
        tls=config.tls,
        maven_repository=config.maven_repository,
    )


def data_folder(chosen: Path | None = None) -> Path:
    """Return the data folder to use; imports Prefect only when the settings have to be asked."""
    return (chosen or _settings().data_folder).expanduser().resolve()


def cache_folder() -> Path:
    """Return the folder of downloads."""
    return _settings().cache_folder.expanduser().resolve()


def _settings() -> LocalSettings:
    from prefect_cassandra.settings import LocalSettings  # noqa: PLC0415 -- imports all of Prefect

    return LocalSettings()
