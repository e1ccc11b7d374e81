"""Starts Cassandra in a pod, and answers the kubelet's probes.

    node.py start               wait for this node's turn, write its configuration, become Cassandra
    node.py probe start|ready   does this node answer CQL?
    node.py probe live          does this node's JVM answer?

What to do is decided in `decisions`; here it is looked up and carried out. The chart's part of the
configuration lies in CONFIG, as JSON, which is YAML as well and needs no parser of its own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import decisions
import pem
import wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

CONFIG = Path("/etc/prefect-cassandra/node")
TLS = Path("/etc/prefect-cassandra/tls")
VOLUME = Path("/var/lib/cassandra")

_QUESTIONS = (["start"], ["ready"], ["live"])
_POLL = 1.0
_JMX_PORT = 7199
# Log lines about an unchanged state come at growing distances, up to this many seconds.
_QUIET = 60.0

# Ours, or a compatibility file by which the snitch would call strangers members of another rack.
_NOT_COPIED = {
    "cassandra.yaml",
    "cassandra-rackdc.properties",
    "cassandra-topology.properties",
    "jvm-server.options",
    "logback.xml",
}


class Pod:
    """This pod, as its environment and its files describe it.

    Args:
        environment: What the StatefulSet sets.
        config: Folder of the chart's ConfigMap.
        volume: Folder of the persistent volume.
        tls: Folder of the certificate's Secret.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        config: Path = CONFIG,
        volume: Path = VOLUME,
        tls: Path = TLS,
    ) -> None:
        self.name = environment["POD_NAME"]
        self.address = environment["POD_IP"]
        self.limit = int(environment["MEMORY_LIMIT"])
        self.home = Path(environment.get("CASSANDRA_HOME", "/opt/cassandra"))
        self.conf = Path(environment["CASSANDRA_CONF"])
        self.config = config
        self.volume = volume
        self.tls = tls
        self.ordinal = decisions.ordinal_of(self.name)

    def cluster(self) -> dict[str, Any]:
        """Read what the chart says of the cluster; it changes without a restart."""
        cluster: dict[str, Any] = json.loads((self.config / "cluster.json").read_text("utf-8"))
        return cluster

    def base(self) -> dict[str, Any]:
        """Read the chart's cassandra.yaml."""
        base: dict[str, Any] = json.loads((self.config / "cassandra.json").read_text("utf-8"))
        return base

    def host(self, ordinal: int) -> str:
        """Return the name of another pod."""
        return f"{self.name.rpartition('-')[0]}-{ordinal}.{self.cluster()['service']}"

    @property
    def mark(self) -> Path:
        """Return the file that says that this disk's node has joined."""
        return self.volume / "joined"

    @property
    def keystore(self) -> Path:
        """Return the file with this node's key and chain."""
        return self.conf / "keystore.pem"

    def disk(self) -> decisions.Disk:
        """Look at the volume."""
        if not (self.volume / "data" / "system").is_dir():
            # A mark without data is left over from a disk that was emptied by hand.
            return decisions.Disk.EMPTY
        return decisions.Disk.JOINED if self.mark.exists() else decisions.Disk.UNPROVEN

    def client_tls(self) -> ssl.SSLContext | None:
        """Return how to speak to a node's CQL port, None for plain text."""
        options = self.base().get("client_encryption_options", {})
        if not options.get("enabled") or options.get("optional"):
            return None
        certificate = str(self.keystore) if options.get("require_client_auth") else None
        return wire.unverified_context(certificate)


def look_at(pod: Pod, ordinal: int, base: Mapping[str, Any]) -> decisions.Peer:
    """Find out what another pod is."""
    host = pod.host(ordinal)
    if wire.answers_cql(host, base["native_transport_port"], tls=pod.client_tls(), timeout=2.0):
        return decisions.Peer.MEMBER
    said = wire.ask_beacon(host, base["ssl_storage_port"])
    known = {"empty": decisions.Peer.EMPTY, "unproven": decisions.Peer.UNPROVEN}
    return known.get(said, decisions.Peer.SILENT)


def wait_for_turn(pod: Pod) -> decisions.Role:
    """Return once this node may start, and as what; tells others meanwhile what is on its disk."""
    base = pod.base()
    disk = pod.disk()
    told = Repeated()
    with wire.Beacon(pod.address, base["ssl_storage_port"], lambda: disk.value):
        while True:
            others = range(pod.cluster()["replicas"]) if disk is not decisions.Disk.JOINED else ()
            peers = {one: look_at(pod, one, base) for one in others if one != pod.ordinal}
            decision = decisions.decide(pod.ordinal, disk, peers)
            if decision.role is None:
                told.say("waiting: " + decision.reason)
            elif not wire.resolves_to(pod.host(pod.ordinal), pod.address):
                told.say(f"waiting: DNS does not know {pod.name} as {pod.address} yet")
            else:
                say("starting: " + decision.reason)
                return decision.role
            time.sleep(_POLL)


def write_conf(pod: Pod, role: decisions.Role) -> None:
    """Fill CASSANDRA_CONF: the image's files, and ours over them."""
    cluster = pod.cluster()
    seeds = decisions.seed_ordinals(pod.ordinal, cluster["replicas"], role)
    names = [pod.host(ordinal) for ordinal in seeds]
    copy_image_conf(pod.home / "conf", pod.conf)
    corretto = any("corretto" in path.name.lower() for path in (pod.home / "lib").rglob("*.jar"))
    config = decisions.node_config(pod.base(), pod.address, names, corretto=corretto)
    rack = decisions.rack(pod.ordinal, cluster["racks"])
    files = {
        "cassandra.yaml": json.dumps(config, indent=2) + "\n",
        "cassandra-rackdc.properties": f"dc={cluster['datacenter']}\nrack={rack}\n",
        "jvm-server.options": server_options(pod, cluster),
        "logback.xml": (pod.config / "logback.xml").read_text("utf-8"),
    }
    for name, text in files.items():
        (pod.conf / name).write_text(text, "utf-8")
    if pod.tls.is_dir():
        pem.refresh(pod.tls, pod.keystore)
    say(f"rack {rack}, seeds {', '.join(names)}")


def server_options(pod: Pod, cluster: Mapping[str, Any]) -> str:
    """Return the options of the JVM, one a line, as `bin/cassandra` reads them."""
    given = cluster["heap"]
    heap = decisions.parse_size(given) if given else decisions.heap_bytes(pod.limit)
    options = [
        *decisions.memory_options(heap, pod.limit),
        *decisions.first_start_options(cluster["replicas"]),
    ]
    replaced = cluster.get("replace", {}).get(str(pod.ordinal))
    if replaced:
        # Ignored once this disk has joined, so it may stay in the values.
        options.append("-Dcassandra.replace_address_first_boot=" + replaced)
    if ":" not in pod.address:
        options.append("-Djava.net.preferIPv4Stack=true")
    base = (pod.config / "jvm-server.options").read_text("utf-8")
    return "\n".join([base.rstrip(), *options, *cluster["jvmOptions"]]) + "\n"


def copy_image_conf(image: Path, conf: Path) -> None:
    """Copy what the image brings and we do not write, so that its own tools find their files."""
    (conf / "triggers").mkdir(parents=True, exist_ok=True)
    for path in image.iterdir():
        if not path.is_file() or path.name in _NOT_COPIED:
            continue
        if path.name.startswith("jvm") and path.name.endswith("-server.options"):
            text = decisions.version_options(path.read_text("utf-8"))
            (conf / path.name).write_text(text, "utf-8")
        else:
            (conf / path.name).write_bytes(path.read_bytes())


def start(pod: Pod) -> None:
    """Become Cassandra once it is this node's turn."""
    # As process 1, Python would not even die of SIGTERM; exec gives the signal back to Java, whose
    # own hook drains the node.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    pod.conf.mkdir(parents=True, exist_ok=True)
    if pod.tls.is_dir():
        # Asking the others already needs it, where nodes want to see their clients' certificates.
        pem.refresh(pod.tls, pod.keystore)
    write_conf(pod, wait_for_turn(pod))
    program = pod.home / "bin" / "cassandra"
    os.execv(program, [str(program), "-f"])  # noqa: S606 - no shell is what is wanted


def probe(pod: Pod, question: str) -> bool:
    """Answer one of the kubelet's questions, about this node only."""
    if question == "live":
        return wire.answers_jmx(_JMX_PORT)
    if pod.tls.is_dir():
        try:
            pem.refresh(pod.tls, pod.keystore)
        except pem.PemError as error:
            # A node that runs keeps the certificate it has; a bad renewal must not stop it.
            say(f"keeping the certificate read before: {error}")
    port = pod.base()["native_transport_port"]
    if not wire.answers_cql(pod.address, port, tls=pod.client_tls()):
        return False
    if question == "start":
        # The CQL port opens only after the node has joined.
        pod.mark.touch()
    return True


class Repeated:
    """Says the same thing ever more rarely."""

    def __init__(self) -> None:
        self._last = ""
        self._next = 0.0
        self._pause = 0.0

    def say(self, text: str) -> None:
        """Print the text if it is new, or if it is time to repeat it."""
        now = time.monotonic()
        if text != self._last:
            self._last, self._pause = text, 5.0
        elif now < self._next:
            return
        else:
            self._pause = min(self._pause * 2, _QUIET)
        self._next = now + self._pause
        say(text)


def say(text: str) -> None:
    """Print for the pod's log."""
    print("node: " + text, flush=True)  # noqa: T201 - this is a program


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    try:
        pod = Pod(os.environ)
        if arguments == ["start"]:
            start(pod)
            return 0
        if arguments[:1] == ["probe"] and arguments[1:] in _QUESTIONS:
            return 0 if probe(pod, arguments[1]) else 1
    except pem.PemError as error:
        say(f"the certificate's Secret cannot be used: {error}")
        return 1
    except KeyError as error:
        say(f"{error} is missing in the environment or the configuration")
        return 2
    say("usage: node.py start | node.py probe start|ready|live")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
