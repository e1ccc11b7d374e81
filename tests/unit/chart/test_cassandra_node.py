from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import node
import pytest
import wire
from decisions import Disk, Peer, Role

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3


@dataclass
class Folders:
    root: Path

    def pod(self, name: str = "pc-cassandra-1") -> node.Pod:
        environment = {
            "POD_NAME": name,
            "POD_IP": "127.0.0.1",
            "MEMORY_LIMIT": str(4 * GIB),
            "CASSANDRA_HOME": str(self.root / "home"),
            "CASSANDRA_CONF": str(self.root / "conf"),
        }
        return node.Pod(environment, self.root / "config", self.root / "volume", self.root / "tls")

    def cluster(self, **changes: Any) -> None:
        values = {"service": "pc-cassandra-nodes", "replicas": 3, "datacenter": "dc1", "heap": ""}
        values |= {"racks": ["r1", "r2"], "jvmOptions": ["-Dmine=1"], "replace": {}, **changes}
        (self.root / "config" / "cluster.json").write_text(json.dumps(values))

    def base(self, **changes: Any) -> None:
        values = {"native_transport_port": 9042, "ssl_storage_port": 0, **changes}
        (self.root / "config" / "cassandra.json").write_text(json.dumps(values))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for name in ("home/conf", "home/lib", "config", "volume"):
        (tmp_path / name).mkdir(parents=True)
    image = {
        "cassandra.yaml": "the image's",
        "cassandra-env.sh": "env",
        "cassandra-topology.properties": "default=DC1:r1",
        "jvm-clients.options": "-Dclient=1",
        "jvm17-server.options": "-XX:+UseG1GC\n--add-opens=a=b\n",
    }
    for name, text in image.items():
        (tmp_path / "home" / "conf" / name).write_text(text)
    (tmp_path / "config" / "jvm-server.options").write_text("-Xss256k\n")
    (tmp_path / "config" / "logback.xml").write_text("<configuration/>")
    made = Folders(tmp_path)
    made.cluster()
    made.base()
    return made


def test_disk_is_judged_by_data_and_mark(folders: Folders) -> None:
    pod = folders.pod()
    assert pod.disk() is Disk.EMPTY
    pod.mark.touch()
    assert pod.disk() is Disk.EMPTY
    (pod.volume / "data" / "system").mkdir(parents=True)
    assert pod.disk() is Disk.JOINED
    pod.mark.unlink()
    assert pod.disk() is Disk.UNPROVEN


def test_write_conf_lays_ours_over_the_images(folders: Folders) -> None:
    pod = folders.pod()
    node.write_conf(pod, Role.JOINER)
    assert {path.name for path in pod.conf.iterdir()} == {
        "cassandra-env.sh",
        "cassandra-rackdc.properties",
        "cassandra.yaml",
        "jvm-clients.options",
        "jvm-server.options",
        "jvm17-server.options",
        "logback.xml",
        "triggers",
    }
    config = json.loads((pod.conf / "cassandra.yaml").read_text())
    seeds = "pc-cassandra-0.pc-cassandra-nodes,pc-cassandra-2.pc-cassandra-nodes"
    assert config["seed_provider"][0]["parameters"][0]["seeds"] == seeds
    assert (pod.conf / "cassandra-rackdc.properties").read_text() == "dc=dc1\nrack=r2\n"
    assert (pod.conf / "jvm17-server.options").read_text() == "--add-opens=a=b\n"


def test_options_hold_heap_copies_and_the_users(folders: Folders) -> None:
    folders.cluster(replace={"1": "10.0.0.9"})
    pod = folders.pod()
    lines = node.server_options(pod, pod.cluster()).splitlines()
    assert lines[0] == "-Xss256k"
    assert lines[-1] == "-Dmine=1"
    assert {
        "-Xmx2048M",
        "-Dcassandra.system_auth.default_rf=3",
        "-Dcassandra.replace_address_first_boot=10.0.0.9",
        "-Djava.net.preferIPv4Stack=true",
    } <= set(lines)


def test_a_given_heap_wins(folders: Folders) -> None:
    folders.cluster(heap="768M", replicas=1)
    pod = folders.pod("pc-cassandra-0")
    lines = node.server_options(pod, pod.cluster()).splitlines()
    assert "-Xmx768M" in lines
    assert "-Dcassandra.system_auth.default_rf=1" in lines
    assert not any("replace" in line for line in lines)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    commands: list[list[str]] = []
    monkeypatch.setattr(node.os, "execv", lambda _, command: commands.append(command))
    monkeypatch.setattr(node.signal, "signal", lambda *_: None)
    monkeypatch.setattr(node, "_POLL", 0.0)
    return commands


def test_start_waits_for_lower_nodes_and_dns(
    folders: Folders,
    started: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = iter([Peer.SILENT, Peer.SILENT, Peer.MEMBER, Peer.MEMBER, Peer.MEMBER, Peer.MEMBER])
    known = iter([False, True])
    monkeypatch.setattr(node, "look_at", lambda *_: next(seen))
    monkeypatch.setattr(wire, "resolves_to", lambda *_: next(known))
    node.start(folders.pod())
    assert started == [[str(folders.root / "home" / "bin" / "cassandra"), "-f"]]
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "node: waiting: empty; joins after node 0 answers CQL",
        "node: waiting: DNS does not know pc-cassandra-1 as 127.0.0.1 yet",
        "node: starting: empty; every lower node answers, joining",
        "node: rack r2, seeds pc-cassandra-0.pc-cassandra-nodes, pc-cassandra-2.pc-cassandra-nodes",
    ]


def test_start_with_a_joined_disk_asks_nobody(
    folders: Folders, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = folders.pod("pc-cassandra-2")
    (pod.volume / "data" / "system").mkdir(parents=True)
    pod.mark.touch()
    monkeypatch.setattr(node, "look_at", lambda *_: pytest.fail("asked"))
    monkeypatch.setattr(wire, "resolves_to", lambda *_: True)
    node.start(pod)
    assert len(started) == 1
    assert "pc-cassandra-2.pc-cassandra-nodes" in (pod.conf / "cassandra.yaml").read_text()


@pytest.mark.parametrize(
    ("cql", "beacon", "peer"),
    [
        (True, "", Peer.MEMBER),
        (False, "empty", Peer.EMPTY),
        (False, "unproven", Peer.UNPROVEN),
        (False, "joined", Peer.SILENT),
        (False, "", Peer.SILENT),
    ],
)
def test_look_at(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, *, cql: bool, beacon: str, peer: Peer
) -> None:
    asked = []
    monkeypatch.setattr(wire, "answers_cql", lambda host, *_, **__: asked.append(host) or cql)
    monkeypatch.setattr(wire, "ask_beacon", lambda *_: beacon)
    pod = folders.pod()
    assert node.look_at(pod, 2, pod.base()) is peer
    assert asked == ["pc-cassandra-2.pc-cassandra-nodes"]


@pytest.mark.parametrize(
    ("question", "answers", "marked"),
    [("start", True, True), ("start", False, False), ("ready", True, False)],
)
def test_only_a_startup_probe_that_succeeds_marks_the_disk(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, question: str, *, answers: bool, marked: bool
) -> None:
    pod = folders.pod()
    monkeypatch.setattr(wire, "answers_cql", lambda *_, **__: answers)
    assert node.probe(pod, question) is answers
    assert pod.mark.exists() is marked


def test_liveness_asks_jmx(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "answers_jmx", lambda port: port == 7199)
    assert node.probe(folders.pod(), "live")


def test_a_bad_renewal_does_not_make_a_node_unready(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders.root / "tls").mkdir()
    monkeypatch.setattr(wire, "answers_cql", lambda *_, **__: True)
    assert node.probe(folders.pod(), "ready")
    assert "keeping the certificate read before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "encrypted"),
    [({"enabled": True}, True), ({"enabled": True, "optional": True}, False), ({}, False)],
)
def test_probes_speak_as_clients_must(
    folders: Folders, options: dict[str, bool], *, encrypted: bool
) -> None:
    folders.base(client_encryption_options=options)
    assert (folders.pod().client_tls() is not None) is encrypted


def test_unchanged_news_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    told = node.Repeated()
    for text in ("a", "a", "b", "a"):
        told.say(text)
    assert capsys.readouterr().out.split() == ["node:", "a", "node:", "b", "node:", "a"]


@pytest.mark.parametrize("arguments", [[], ["stop"], ["probe"], ["probe", "dead"]])
def test_main_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    for name, value in {"POD_NAME": "a-0", "POD_IP": "127.0.0.1", "MEMORY_LIMIT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CASSANDRA_CONF", "/nowhere")
    assert node.main(arguments) == 2
    assert "usage" in capsys.readouterr().out


def test_main_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POD_NAME", raising=False)
    assert node.main(["start"]) == 2
    assert "'POD_NAME' is missing" in capsys.readouterr().out
