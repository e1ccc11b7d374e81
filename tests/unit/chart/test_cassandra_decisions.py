from __future__ import annotations

import ast
import itertools
from pathlib import Path

import decisions
import pytest
from decisions import Disk, Peer, Role

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("ordinal", "disk", "peers", "role"),
    [
        # a lone node has nobody to ask
        (0, Disk.EMPTY, {}, Role.FIRST),
        (0, Disk.UNPROVEN, {}, Role.FIRST),
        # the first node of three starts once both others said that they have nothing
        (0, Disk.EMPTY, {1: Peer.EMPTY, 2: Peer.EMPTY}, Role.FIRST),
        (0, Disk.EMPTY, {1: Peer.EMPTY, 2: Peer.SILENT}, None),
        # its first start was cut short
        (0, Disk.UNPROVEN, {1: Peer.EMPTY, 2: Peer.EMPTY}, Role.FIRST),
        # volumes of an older cluster
        (0, Disk.UNPROVEN, {1: Peer.UNPROVEN, 2: Peer.UNPROVEN}, Role.FIRST),
        (0, Disk.UNPROVEN, {1: Peer.UNPROVEN, 2: Peer.SILENT}, None),
        # its disk was lost
        (0, Disk.EMPTY, {1: Peer.MEMBER, 2: Peer.SILENT}, Role.JOINER),
        (0, Disk.EMPTY, {1: Peer.SILENT, 2: Peer.SILENT}, None),
        (0, Disk.EMPTY, {1: Peer.UNPROVEN, 2: Peer.EMPTY}, None),
        # others join one after another
        (1, Disk.EMPTY, {0: Peer.MEMBER, 2: Peer.EMPTY}, Role.JOINER),
        (1, Disk.EMPTY, {0: Peer.SILENT, 2: Peer.MEMBER}, None),
        (2, Disk.EMPTY, {0: Peer.MEMBER, 1: Peer.SILENT}, None),
        (2, Disk.UNPROVEN, {0: Peer.MEMBER, 1: Peer.MEMBER}, Role.JOINER),
        # whoever has joined waits for nobody
        (0, Disk.JOINED, {1: Peer.SILENT, 2: Peer.SILENT}, Role.MEMBER),
        (2, Disk.JOINED, {0: Peer.SILENT, 1: Peer.SILENT}, Role.MEMBER),
    ],
)
def test_decide(ordinal: int, disk: Disk, peers: dict[int, Peer], role: Role | None) -> None:
    decision = decisions.decide(ordinal, disk, peers)
    assert decision.role is role, decision.reason


def test_decide_names_whom_it_waits_for() -> None:
    waiting = decisions.decide(3, Disk.EMPTY, {0: Peer.MEMBER, 1: Peer.EMPTY, 2: Peer.SILENT})
    assert waiting.reason == "empty; joins after node 1, 2 answers CQL"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("disks", list(itertools.product(Disk, repeat=3)))
def test_pods_arriving_in_any_order_never_make_a_second_cluster(
    disks: tuple[Disk, ...], order: tuple[int, ...]
) -> None:
    arrived: list[int] = []
    members: set[int] = set()
    made_new: list[int] = []
    joined_together: list[list[int]] = []
    # each pod is scheduled only when the ones before it have done all they could
    for newcomer in [*order, *[None] * 6]:
        if newcomer is not None:
            arrived.append(newcomer)
        started = []
        for pod in set(arrived) - members:
            peers = {one: _seen(one, disks, arrived, members) for one in range(3) if one != pod}
            decision = decisions.decide(pod, disks[pod], peers)
            if decision.role is not None:
                started.append(pod)
            if decision.role is Role.FIRST:
                made_new.append(pod)
        joined_together.append([pod for pod in started if disks[pod] is not Disk.JOINED])
        members.update(started)
    assert not (made_new and Disk.JOINED in disks)
    assert len(made_new) <= 1
    assert max(len(together) for together in joined_together) <= 1
    if Disk.JOINED in disks and disks[0] is Disk.JOINED:
        assert members == {0, 1, 2}
    if Disk.JOINED not in disks and (disks[0] is Disk.UNPROVEN or set(disks) == {Disk.EMPTY}):
        assert made_new == [0]
        assert members == {0, 1, 2}


def _seen(one: int, disks: tuple[Disk, ...], arrived: list[int], members: set[int]) -> Peer:
    if one in members:
        return Peer.MEMBER
    if one not in arrived:
        return Peer.SILENT
    return {Disk.EMPTY: Peer.EMPTY, Disk.UNPROVEN: Peer.UNPROVEN}.get(disks[one], Peer.SILENT)


@pytest.mark.parametrize(
    ("ordinal", "replicas", "role", "seeds"),
    [
        (0, 3, Role.FIRST, [0]),
        (0, 1, Role.MEMBER, [0]),
        (0, 3, Role.MEMBER, [1, 2, 0]),
        (0, 3, Role.JOINER, [1, 2]),
        (1, 3, Role.JOINER, [0, 2]),
        (5, 9, Role.JOINER, [0, 1, 2]),
        (5, 9, Role.MEMBER, [0, 1, 2, 5]),
    ],
)
def test_seed_ordinals(ordinal: int, replicas: int, role: Role, seeds: list[int]) -> None:
    assert decisions.seed_ordinals(ordinal, replicas, role) == seeds


def test_rack_depends_on_the_ordinal_alone() -> None:
    racks = ["a", "b", "c"]
    assert [decisions.rack(ordinal, racks) for ordinal in range(5)] == ["a", "b", "c", "a", "b"]


def test_ordinal_of_a_pods_name() -> None:
    assert decisions.ordinal_of("my-release-cassandra-12") == 12
    with pytest.raises(ValueError, match="not the name of a pod"):
        decisions.ordinal_of("cassandra-x7f9q")


@pytest.mark.parametrize(
    ("limit", "heap"),
    [(768 * MIB, 512 * MIB), (4096 * MIB, 2048 * MIB), (128 * 1024 * MIB, 31 * 1024 * MIB)],
)
def test_heap_is_half_of_the_limit_within_bounds(limit: int, heap: int) -> None:
    assert decisions.heap_bytes(limit) == heap


@pytest.mark.parametrize(("text", "size"), [("512M", 512 * MIB), ("4G", 4096 * MIB), ("77", 77)])
def test_parse_size(text: str, size: int) -> None:
    assert decisions.parse_size(text) == size


def test_a_small_heap_gets_the_light_collector() -> None:
    options = decisions.memory_options(512 * MIB, 1536 * MIB)
    assert options == ["-Xms512M", "-Xmx512M", "-XX:MaxDirectMemorySize=512M", "-XX:+UseSerialGC"]


def test_a_large_heap_is_touched_at_the_start() -> None:
    options = decisions.memory_options(4096 * MIB, 8192 * MIB)
    assert "-XX:+AlwaysPreTouch" in options
    assert "-XX:+UseG1GC" in options


def test_version_options_leave_the_collector_out() -> None:
    image = "# modules\n-XX:+UseG1GC\n--add-opens=java.base/java.io=ALL-UNNAMED\n-Dx=y\n-Xss1m\n"
    assert decisions.version_options(image) == "--add-opens=java.base/java.io=ALL-UNNAMED\n-Dx=y\n"


def test_node_config_adds_addresses_and_seeds() -> None:
    config = decisions.node_config(
        {"num_tokens": 16}, "10.0.0.7", ["a-0.n", "a-1.n"], corretto=False
    )
    assert config["num_tokens"] == 16
    assert config["listen_address"] == config["broadcast_rpc_address"] == "10.0.0.7"
    assert config["rpc_address"] == "0.0.0.0"  # noqa: S104 - the pod's own network
    assert config["seed_provider"][0]["parameters"] == [{"seeds": "a-0.n,a-1.n"}]
    assert config["crypto_provider"][0]["class_name"].endswith("JREProvider")


def test_node_config_keeps_cassandras_default_where_the_image_has_it() -> None:
    config = decisions.node_config({}, "fd00::7", ["a-0.n"], corretto=True)
    assert config["rpc_address"] == "::"
    assert "crypto_provider" not in config


def test_programs_run_on_the_images_python() -> None:
    folder = Path(decisions.__file__).parent
    programs = sorted(folder.glob("*.py"))
    assert len(programs) == 4
    for program in programs:
        ast.parse(program.read_text("utf-8"), feature_version=(3, 9))
