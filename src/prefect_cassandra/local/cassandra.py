"""The nodes together: prepare, start, log in, stop."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from prefect_cassandra.driver.config import ClusterConfig, Login, Tls
from prefect_cassandra.errors import DataFolderError
from prefect_cassandra.local.certificates import TlsFiles, ensure_certificates
from prefect_cassandra.local.classdata import ClassData
from prefect_cassandra.local.config import DATACENTER, NodeSpec, NodeTls, ring_tokens
from prefect_cassandra.local.jars import ensure_jars
from prefect_cassandra.local.java import find_java
from prefect_cassandra.local.jvm import Runtime
from prefect_cassandra.local.node import Node
from prefect_cassandra.local.probe import probe_context
from prefect_cassandra.local.superuser import SUPERUSER, take_over
from prefect_cassandra.schema.credentials import PasswordFolder

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from prefect_cassandra.local.config import Collector, CommitlogSync, Compiler
    from prefect_cassandra.local.jars import DownloadProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class CassandraConfig:
    """What to run.

    Args:
        data_folder: The stack's folder; nodes, secrets and certificates go into it.
        cache_folder: Jars and class-data archives, shared by all stacks of the machine.
        nodes: 1, or 3 on 127.0.0.1 to 127.0.0.3.
        cql_port: Port for CQL on each node.
        storage_port: Port between the nodes.
        jmx_port: JMX port of the first node on loopback; the others take the next ones.
        heap: Largest Java heap of each node.
        compiler: `c1` starts twice as fast, `c2` runs faster after minutes.
        collector: `serial`, or `g1` for benchmarks.
        commitlog_sync: `batch` when a test says that what is acknowledged survives a kill.
        tls: Encrypt CQL, and with three nodes what they say to each other.
        client_certificates: Refuse clients without a certificate (mTLS); implies `tls`.
        class_data: Use and make a class-data archive.
        maven_repository: Address of a Maven repository, empty for the public one.
        java_home: Java to use; None means what `JAVA_HOME` says.
        java_search_path: Folders to look for `java` in, None for PATH.
    """

    data_folder: Path
    cache_folder: Path
    nodes: int = 1
    cql_port: int = 9042
    storage_port: int = 7000
    jmx_port: int = 7199
    heap: str = "512M"
    compiler: Compiler = "c1"
    collector: Collector = "serial"
    commitlog_sync: CommitlogSync = "periodic"
    tls: bool = False
    client_certificates: bool = False
    class_data: bool = True
    maven_repository: str = ""
    java_home: Path | None = None
    java_search_path: str | None = None

    @property
    def encrypted(self) -> bool:
        """Tell whether CQL is encrypted."""
        return self.tls or self.client_certificates


class Cassandra:
    """One or three nodes with a superuser of their own.

    Starting and stopping are separate from preparing, so that a download can show its progress
    before anything runs. `start` leaves nothing running when it fails.
    """

    def __init__(self, config: CassandraConfig) -> None:
        # The processes run in folders of their own, so nothing may be relative to ours.
        config = replace(
            config,
            data_folder=config.data_folder.expanduser().resolve(),
            cache_folder=config.cache_folder.expanduser().resolve(),
        )
        self._config = config
        self.addresses = tuple(f"127.0.0.{number}" for number in range(1, config.nodes + 1))
        self.nodes: list[Node] = []
        self._class_data: ClassData | None = None

    @property
    def secrets(self) -> Path:
        """Return the folder with one sub-folder of `username` and `password` for each role."""
        return self._config.data_folder / "secrets"

    @property
    def superuser(self) -> Path:
        """Return the folder with the superuser's `username` and `password`."""
        return self.secrets / SUPERUSER

    @property
    def tls_files(self) -> TlsFiles | None:
        """Return where the certificates are; None when CQL is not encrypted."""
        return TlsFiles(self._config.data_folder / "tls") if self._config.encrypted else None

    def cluster_config(self, role: str | None = SUPERUSER) -> ClusterConfig:
        """Return how to connect.

        Args:
            role: Folder under `secrets` with the login, None for no login.
        """
        return ClusterConfig(
            contact_points=self.addresses,
            port=self._config.cql_port,
            local_datacenter=DATACENTER,
            login=Login(folder=self.secrets / role) if role else None,
            tls=self._client_tls(),
        )

    def prepare(self, on_progress: Callable[[DownloadProgress], None] | None = None) -> None:
        """Find Java, download jars, write certificates and the superuser's secret.

        Raises:
            ResourceError: No usable Java.
            DownloadError: A jar is not to be had.
            DataFolderError: There is data, but its superuser's password is gone.
        """
        config = self._config
        java = find_java(config.java_home, config.java_search_path)
        jars = ensure_jars(
            config.cache_folder, repository=config.maven_repository, on_progress=on_progress
        )
        self._check_secret()
        PasswordFolder(self.secrets).ensure(SUPERUSER)
        if self.tls_files:
            ensure_certificates(self.tls_files.folder, self.addresses)
        runtime = Runtime(java, tuple(jars), config.cache_folder)
        specs = self._specs()
        self._class_data = ClassData(specs[0], runtime) if config.class_data else None
        flags = self._class_data.flags() if self._class_data else []
        context = self._probe_context()
        self.nodes = [Node(spec, runtime, class_data=flags, tls=context) for spec in specs]

    def start(self, timeout: float = 180.0, *, aborted: Callable[[], bool] = lambda: False) -> None:
        """Start the nodes, then make the superuser the only login.

        Args:
            timeout: Seconds for each node, and again for the logins.
            aborted: Asked again and again; true ends the start.

        Raises:
            LocalStackError: A node ended or did not answer in time; quotes its log.
        """
        if not self.nodes:
            self.prepare()
        try:
            recorder = self._class_data.recording_flags() if self._class_data else []
            for wave in start_waves([(node, node.has_data()) for node in self.nodes]):
                for node in wave:
                    node.start(recorder if node is self.nodes[0] else ())
                for node in wave:
                    node.wait_ready(timeout, aborted=aborted)
            take_over(
                self.cluster_config(None), self.superuser, nodes=len(self.nodes), timeout=timeout
            )
        except BaseException:
            self.kill()
            raise
        if self._class_data:
            self._class_data.start_dump(self.nodes[0].environment())

    def finish_class_data(self, timeout: float = 20.0) -> None:
        """Wait for an archive that is being made; drop what is half made after `timeout` seconds.

        Call it after the nodes have stopped: the processor is free then.
        """
        if self._class_data:
            self._class_data.finish(timeout)

    def stop(self, timeout: float = 60.0, *, class_data_timeout: float = 20.0) -> bool:
        """Drain and end all nodes, side by side.

        Args:
            timeout: Seconds until what still runs is killed.
            class_data_timeout: Seconds to wait for an archive that is nearly made.

        Returns:
            Whether every node ended by itself.
        """
        deadline = time.monotonic() + timeout
        for node in self.nodes:
            node.request_stop()
        clean = [node.stop(max(0.0, deadline - time.monotonic())) for node in self.nodes]
        self.finish_class_data(class_data_timeout)
        return all(clean)

    def kill(self) -> None:
        """End everything at once."""
        for node in self.nodes:
            node.kill()
        self.finish_class_data(0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _specs(self) -> list[NodeSpec]:
        config = self._config
        tokens = ring_tokens(config.nodes)
        return [
            NodeSpec(
                name=f"node{index + 1}",
                folder=config.data_folder / f"node{index + 1}",
                stack=config.data_folder,
                address=address,
                cql_port=config.cql_port,
                storage_port=config.storage_port,
                jmx_port=config.jmx_port + index,
                rack=f"rack{index + 1}",
                seeds=self.addresses,
                token=tokens[index],
                heap=config.heap,
                compiler=config.compiler,
                collector=config.collector,
                commitlog_sync=config.commitlog_sync,
                system_auth_replicas=config.nodes,
                tls=self._node_tls(),
            )
            for index, address in enumerate(self.addresses)
        ]

    def _check_secret(self) -> None:
        """Refuse to start over data whose only password is gone.

        The secret is written before the first node starts, so data without it means that someone
        took it away.
        """
        used = self._config.data_folder / "node1" / "data" / "data" / "system_auth"
        if used.is_dir() and not (self.superuser / "password").is_file():
            raise DataFolderError(
                f"{self._config.data_folder} holds data, but its superuser's password in "
                f"{self.superuser} is gone.",
                hint="Put the file back, or use another data folder with --data.",
            )

    def _node_tls(self) -> NodeTls | None:
        files = self.tls_files
        if files is None:
            return None
        return NodeTls(
            keystore=files.node,
            truststore=files.ca,
            require_client_certificate=self._config.client_certificates,
            between_nodes=self._config.nodes > 1,
        )

    def _client_tls(self) -> Tls | None:
        files = self.tls_files
        if files is None:
            return None
        if not self._config.client_certificates:
            return Tls(ca_file=files.ca)
        return Tls(ca_file=files.ca, cert_file=files.client, key_file=files.client_key)

    def _probe_context(self) -> ssl.SSLContext | None:
        files = self.tls_files
        return probe_context(files.ca, (files.client, files.client_key)) if files else None


def start_waves(nodes: Sequence[tuple[Node, bool]]) -> list[list[Node]]:
    """Decide which nodes start together; each wave waits for the one before.

    Nodes with data start at once: one alone would wait 10 s for the others it remembers. Of empty
    ones the first makes the cluster's own tables and the others take them over.

    Args:
        nodes: Each node and whether it holds data.
    """
    filled = [node for node, has_data in nodes if has_data]
    empty = [node for node, has_data in nodes if not has_data]
    waves = [filled, empty] if filled else [empty[:1], empty[1:]]
    return [wave for wave in waves if wave]
