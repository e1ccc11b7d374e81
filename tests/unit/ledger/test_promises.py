from __future__ import annotations

import re

import pytest

from prefect_cassandra.errors import NoStampsError
from prefect_cassandra.ledger.promises import (
    Product,
    Promise,
    Server,
    refused,
    require,
    server_of,
)
from support.snippets import ROOT

COMMON = ("system", "system_auth", "system_schema", "system_traces")
SERVERS = [
    Server(Product.CASSANDRA, (5, 0)),
    Server(Product.CASSANDRA, (4, 1)),
    Server(Product.SCYLLA, (3, 0)),
    Server(Product.ASTRA, (4, 0)),
    Server(Product.KEYSPACES, (3, 11)),
]


# What `system.local` and `system_schema.keyspaces` have there.
@pytest.mark.parametrize(
    ("release", "keyspaces", "server"),
    [
        ("5.0.9", ("system_distributed", "system_views", "system_virtual_schema"), SERVERS[0]),
        ("5.1-SNAPSHOT", ("system_distributed", "system_views"), Server(Product.CASSANDRA, (5, 1))),
        ("4.1.12", ("system_distributed", "system_views", "system_virtual_schema"), SERVERS[1]),
        ("3.0.8", ("system_distributed", "system_distributed_everywhere"), SERVERS[2]),
        ("4.0.0.6816", ("data_endpoint_auth", "datastax_sla", "system_views"), SERVERS[3]),
        ("3.11.2", ("system_schema_mcs", "system_multiregion_info"), SERVERS[4]),
        ("", (), Server(Product.CASSANDRA, (0, 0))),
    ],
)
def test_what_a_cluster_is(release: str, keyspaces: tuple[str, ...], server: Server) -> None:
    assert server_of(release, {*COMMON, *keyspaces, "flights"}) == server


@pytest.mark.parametrize(
    ("server", "kept"),
    [
        (SERVERS[0], set(Promise)),
        (SERVERS[1], set(Promise) - {Promise.ELEMENTS}),
        (SERVERS[2], set(Promise) - {Promise.ELEMENTS}),
        (SERVERS[3], set()),
        (SERVERS[4], set()),
        (Server(Product.CASSANDRA, (4, 0)), set()),
    ],
)
def test_which_promises_it_keeps(server: Server, kept: set[Promise]) -> None:
    assert set(Promise) - refused(server).keys() == kept
    for promise in Promise:
        if promise in kept:
            require(server, promise)
            continue
        with pytest.raises(NoStampsError, match=re.escape(f"{server} does not keep")) as raised:
            require(server, promise)
        assert refused(server)[promise] in raised.value.message


def test_the_page_says_the_same() -> None:
    lines = (ROOT / "docs/reference/external-clusters.md").read_text().splitlines()
    rows = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    table = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    assert table["promise"] == list(map(str, SERVERS))
    for promise in Promise:
        said = ["no" if promise in refused(server) else "yes" for server in SERVERS]
        assert table[promise.value] == said
