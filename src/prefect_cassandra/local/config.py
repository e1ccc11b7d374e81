"""What a local node is, and the files it reads: `cassandra.yaml`, the snitch's and logback's.

Everything here is a pure function of a `NodeSpec`. Values that differ from Cassandra's defaults say
why; all others are left out, so that a local node behaves like one in a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import yaml

if TYPE_CHECKING:
    from pathlib import Path

Compiler = Literal["c1", "c2"]
Collector = Literal["serial", "g1"]
CommitlogSync = Literal["periodic", "batch"]

DATACENTER = "dc1"
CLUSTER_NAME = "prefect-cassandra-local"

# Murmur3 hashes to all of a signed 64-bit integer.
_RING_START = -(2**63)
_RING_SIZE = 2**64


@dataclass(frozen=True, slots=True)
class NodeTls:
    """PEM files of one node.

    Args:
        keystore: The node's PKCS#8 key, its certificate and the CA's, in one file.
        truststore: The CA's certificate.
        require_client_certificate: Refuse clients without a certificate of the same CA (mTLS).
        between_nodes: Encrypt what nodes say to each other as well.
    """

    keystore: Path
    truststore: Path
    require_client_certificate: bool = False
    between_nodes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """One local node, described completely.

    Args:
        name: `node1` to `node3`.
        folder: The node's own folder; `conf`, `data`, `log` and `tmp` go into it.
        stack: The whole stack's data folder; started processes carry it in their environment.
        address: Loopback address for CQL and between the nodes.
        rack: Rack within `dc1`; each node has its own, as replicas in a real cluster do.
        seeds: Addresses of the nodes that know the ring.
        token: The node's one place on the ring.
        heap: Largest Java heap, as `512M` or `2G`.
        compiler: `c1` starts twice as fast; `c2` runs faster after minutes, for benchmarks.
        collector: `serial` is the lightest; `g1` is what Cassandra ships, for benchmarks.
        commitlog_sync: `batch` acknowledges only what is on disk; `periodic` is the default.
        system_auth_replicas: Copies of the logins when the keyspace is first made.
    """

    name: str = "node1"
    folder: Path
    stack: Path
    address: str = "127.0.0.1"
    cql_port: int = 9042
    storage_port: int = 7000
    jmx_port: int = 7199
    rack: str = "rack1"
    seeds: tuple[str, ...] = ("127.0.0.1",)
    token: int = _RING_START
    heap: str = "512M"
    compiler: Compiler = "c1"
    collector: Collector = "serial"
    commitlog_sync: CommitlogSync = "periodic"
    system_auth_replicas: int = 1
    tls: NodeTls | None = None
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def heap_megabytes(self) -> int:
        """Return the largest heap in MiB."""
        return int(self.heap[:-1]) * (1024 if self.heap.endswith("G") else 1)


def ring_tokens(nodes: int) -> list[int]:
    """Divide the ring evenly, one token a node.

    One explicit token instead of 16 virtual ones: no node waits for others to choose its tokens,
    every node owns exactly its share, and a scan of the ring has few and predictable ranges.
    """
    return [_RING_START + _RING_SIZE * index // nodes for index in range(nodes)]


def cassandra_yaml(spec: NodeSpec) -> str:
    """Render the node's main configuration."""
    settings: dict[str, Any] = {
        "cluster_name": CLUSTER_NAME,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "num_tokens": 1,
        "initial_token": str(spec.token),
        # A new node with its own token holds nothing to stream; bootstrapping would only wait.
        "auto_bootstrap": False,
        "endpoint_snitch": "GossipingPropertyFileSnitch",
        **_network(spec),
        **_security(spec),
        **_storage(spec),
        **_size(),
        **_patience(),
        **spec.extra,
    }
    return yaml.safe_dump(settings, sort_keys=False)


def _network(spec: NodeSpec) -> dict[str, Any]:
    seeds = ",".join(f"{address}:{spec.storage_port}" for address in spec.seeds)
    return {
        "listen_address": spec.address,
        "rpc_address": spec.address,
        "storage_port": spec.storage_port,
        "native_transport_port": spec.cql_port,
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": seeds}],
            }
        ],
    }


def _security(spec: NodeSpec) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "role_manager": "CassandraRoleManager",
        # How long a changed password, role or grant may still count as before.
        "roles_validity": "2000ms",
        "permissions_validity": "2000ms",
        "credentials_validity": "2000ms",
        # MODIFY lets a role TRUNCATE; only these guardrails stop it. They spare superusers.
        "drop_truncate_table_enabled": False,
        "drop_keyspace_enabled": False,
        # The default, Amazon Corretto's provider, is not among the jars.
        "crypto_provider": [{"class_name": "org.apache.cassandra.security.JREProvider"}],
    }
    if spec.tls:
        pem = {
            "ssl_context_factory": {
                "class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory"
            },
            "keystore": str(spec.tls.keystore),
            "truststore": str(spec.tls.truststore),
        }
        settings["client_encryption_options"] = {
            "enabled": True,
            "optional": False,
            "require_client_auth": spec.tls.require_client_certificate,
            **pem,
        }
        if spec.tls.between_nodes:
            settings["server_encryption_options"] = {
                "internode_encryption": "all",
                "require_client_auth": True,
                **pem,
            }
    return settings


def _storage(spec: NodeSpec) -> dict[str, Any]:
    data = spec.folder / "data"
    settings: dict[str, Any] = {
        "data_file_directories": [str(data / "data")],
        "commitlog_directory": str(data / "commitlog"),
        "saved_caches_directory": str(data / "saved_caches"),
        "hints_directory": str(data / "hints"),
        "cdc_raw_directory": str(data / "cdc_raw"),
        "commitlog_sync": spec.commitlog_sync,
        "commitlog_segment_size": "16MiB",
        "commitlog_total_space": "1024MiB",
        "memtable_heap_space": f"{_memtable_megabytes(spec.heap_megabytes)}MiB",
        # A snapshot at every DROP and TRUNCATE fills a laptop's disk unseen.
        "auto_snapshot": False,
    }
    if spec.commitlog_sync == "periodic":
        settings["commitlog_sync_period"] = "10000ms"
    return settings


def _memtable_megabytes(heap: int) -> int:
    """Return how much of a heap is for what was written last, both in MiB.

    Cassandra's quarter makes a small node flush and compact all the time: a fifth of the work of a
    load. So half of the heap, if 256 MiB are left, with which the rest of the node is content.
    """
    return max(heap // 4, min(heap // 2, heap - 256))


def _size() -> dict[str, Any]:
    """Small pools: the node shares its machine with everything else."""
    return {
        "disk_access_mode": "standard",
        # Few threads that stay busy: a node that shares two cores loses a tenth of its time to
        # waking and parking the 32 writers and 128 transport threads of the defaults.
        "native_transport_max_threads": 8,
        "concurrent_reads": 4,
        "concurrent_writes": 4,
        "concurrent_counter_writes": 2,
        "concurrent_materialized_view_writes": 2,
        "concurrent_compactors": 1,
        "file_cache_size": "32MiB",
        "networking_cache_size": "32MiB",
        "key_cache_size": "8MiB",
        "counter_cache_size": "0MiB",
        "prepared_statements_cache_size": "8MiB",
    }


def _patience() -> dict[str, Any]:
    """Time for a busy laptop; a client must wait longer than these, see `request_timeout`."""
    return {
        "read_request_timeout": "10s",
        "range_request_timeout": "15s",
        "write_request_timeout": "10s",
        "counter_write_request_timeout": "10s",
        "cas_contention_timeout": "5s",
        "truncate_request_timeout": "60s",
        "request_timeout": "15s",
        # A starved node is late, not dead: 8 convicts neighbours on a machine under load.
        "phi_convict_threshold": 12,
        "dynamic_snitch": False,
        # How long a restarted node waits for others that may well be down; 10 s is for networks.
        "block_for_peers_timeout_in_secs": 3,
        "hints_flush_period": "1s",
    }


def rackdc_properties(spec: NodeSpec) -> str:
    """Render what GossipingPropertyFileSnitch tells the other nodes."""
    return f"dc={DATACENTER}\nrack={spec.rack}\n"


def logback_xml(spec: NodeSpec) -> str:
    """Render the server's logging: one rolling file, at most about 80 MB."""
    folder = spec.folder / "log"
    return f"""<configuration>
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>{folder}/system.log</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>{folder}/system.%i.log</fileNamePattern>
      <minIndex>1</minIndex>
      <maxIndex>3</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>20MB</maxFileSize>
    </triggeringPolicy>
    <encoder>
      <pattern>%-5level [%thread] %date{{ISO8601}} %F:%L - %msg%n</pattern>
    </encoder>
  </appender>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"""


def tools_logback_xml() -> str:
    """Render the tools' logging: to stderr, so that stdout holds the answer and nothing else."""
    return """<configuration>
  <appender name="STDERR" class="ch.qos.logback.core.ConsoleAppender">
    <target>System.err</target>
    <encoder><pattern>%-5level %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="STDERR"/></root>
</configuration>
"""
