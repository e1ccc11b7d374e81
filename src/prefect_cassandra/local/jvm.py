"""The command lines of a node's JVM and of its tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from prefect_cassandra.local.config import NodeSpec
    from prefect_cassandra.local.java import Java

SERVER = "org.apache.cassandra.service.CassandraDaemon"
NODETOOL = "org.apache.cassandra.tools.NodeTool"

# Waits that exist for clusters over a network. None of them touches what is written to disk:
# cassandra.unsafesystem and flush_local_schema_changes=false would start faster still and lose a
# new keyspace when the node is killed.
_NO_WAITS = {
    "cassandra.skip_wait_for_gossip_to_settle": "0",
    # Below a second, nodes that come back flap: departed ones are quarantined for twice this.
    "cassandra.ring_delay_ms": "1000",
    "cassandra.shutdown_announce_in_ms": "0",
    # Measured at every start otherwise; the value is what a 64-bit JVM measures.
    "memtable.row_overhead_size": "180",
    # Only matters when data files were copied in while the node was down.
    "cassandra.skip_paxos_state_rebuild": "true",
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs a node.

    Args:
        java: A Java 17.
        jars: Cassandra's class path, in the lock's order.
        cache_folder: Where things made once for all nodes are kept.
    """

    java: Java
    jars: tuple[Path, ...]
    cache_folder: Path


def runtime_flags(spec: NodeSpec, java: Java) -> list[str]:
    """List the flags that shape the JVM itself; a class-data archive belongs to one such list."""
    collector = {"serial": "-XX:+UseSerialGC", "g1": "-XX:+UseG1GC"}[spec.collector]
    flags = [collector, "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", "-Xss256k"]
    if spec.compiler == "c1":
        # Half the CPU time of a start goes into optimising code that a short life never repays.
        flags.append("-XX:TieredStopAtLevel=1")
    return [*flags, *java.module_flags()]


def heap_flags(spec: NodeSpec) -> list[str]:
    """Size the memory.

    A small start, because Cassandra locks the heap's first size in memory where it may; a benchmark
    takes all of it at once, as Cassandra's own scripts do.
    """
    first = spec.heap_megabytes if spec.collector == "g1" else max(48, spec.heap_megabytes // 4)
    return [f"-Xms{first}M", f"-Xmx{spec.heap_megabytes}M", "-XX:MaxDirectMemorySize=256M"]


def server_command(spec: NodeSpec, runtime: Runtime, class_data: Sequence[str] = ()) -> list[str]:
    """Build the server's command line; nothing secret is in it.

    Only jars are on the class path: the JVM refuses an archive when a folder is among them. The
    three files that are usually found there are named by properties.
    """
    conf, tmp = spec.folder / "conf", spec.folder / "tmp"
    agent = next(jar for jar in runtime.jars if jar.name.startswith("jamm-"))
    properties = {
        "cassandra.config": (conf / "cassandra.yaml").as_uri(),
        "cassandra-rackdc.properties": (conf / "cassandra-rackdc.properties").as_uri(),
        "logback.configurationFile": (conf / "logback.xml").as_uri(),
        "cassandra.storagedir": spec.folder / "data",
        "cassandra.logdir": spec.folder / "log",
        "cassandra-foreground": "yes",
        # Set this way, JMX listens on loopback only.
        "cassandra.jmx.local.port": spec.jmx_port,
        "java.io.tmpdir": tmp,
        "jna.tmpdir": tmp,
        "java.net.preferIPv4Stack": "true",
        "jdk.attach.allowAttachSelf": "true",
        "io.netty.tryReflectionSetAccessible": "true",
        "io.netty.allocator.useCacheForAllThreads": "true",
        "io.netty.allocator.maxOrder": "11",
        "cassandra.system_auth.default_rf": spec.system_auth_replicas,
        # With copies on several nodes the role can only be written once those are up; a pause
        # between the attempts then keeps the log short.
        "cassandra.superuser_setup_delay_ms": "0" if spec.system_auth_replicas == 1 else "500",
        **_NO_WAITS,
    }
    return [
        str(runtime.java.executable),
        *runtime_flags(spec, runtime.java),
        *heap_flags(spec),
        *class_data,
        f"-javaagent:{agent}",
        *(f"-D{name}={value}" for name, value in properties.items()),
        "-cp",
        class_path(runtime.jars),
        SERVER,
    ]


def nodetool_command(
    spec: NodeSpec,
    runtime: Runtime,
    arguments: Sequence[str],
    *,
    class_data: Sequence[str] = (),
    shim: Path | None = None,
) -> list[str]:
    """Build a `nodetool` command line for the node.

    Args:
        spec: The node to talk to.
        runtime: Java and Cassandra's jars.
        arguments: What follows `nodetool` on a command line.
        class_data: Flags of the server's class-data archive, which serves here as well.
        shim: Jar with our JNDI lookup, for a runtime without the module `jdk.naming.rmi`.
    """
    conf = spec.folder / "conf"
    properties = {
        "cassandra.config": (conf / "cassandra.yaml").as_uri(),
        "cassandra.storagedir": spec.folder / "data",
        "logback.configurationFile": (conf / "logback-tools.xml").as_uri(),
        "java.io.tmpdir": spec.folder / "tmp",
        # nodetool keeps a history file in the home folder otherwise.
        "user.home": spec.folder / "tmp",
    }
    if shim:
        properties["java.naming.factory.url.pkgs"] = "prefect_cassandra.jndi"
    return [
        str(runtime.java.executable),
        *runtime_flags(spec, runtime.java),
        "-Xmx128M",
        *class_data,
        *(f"-D{name}={value}" for name, value in properties.items()),
        "-cp",
        # At the end: an archive stays valid when its class path is the beginning of this one.
        class_path([*runtime.jars, shim] if shim else runtime.jars),
        NODETOOL,
        "-h",
        "127.0.0.1",
        "-p",
        str(spec.jmx_port),
        *arguments,
    ]


def class_path(jars: Sequence[Path]) -> str:
    """Join jars the way `-cp` wants them."""
    return ":".join(str(jar) for jar in jars)
