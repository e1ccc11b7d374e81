"""Which promises of the ledger a cluster can keep, by what kind of cluster it is.

The ledger needs four things of a database: conditional writes that are linearised at SERIAL, reads
and writes of a majority, write timestamps that the client gives and the server keeps for good, and
that a query tells them. Everything that speaks CQL has some of them. Whoever has too little is
refused before the first stamp is used; `docs/reference/external-clusters.md` has the sources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from prefect_cassandra.errors import NoStampsError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from prefect_cassandra.driver.session import Session

_LOCAL = "SELECT release_version FROM system.local"
_KEYSPACES = "SELECT keyspace_name FROM system_schema.keyspaces"


class Product(Enum):
    """Kinds of clusters that are told from each other."""

    CASSANDRA = "Apache Cassandra"
    ASTRA = "Astra DB"
    KEYSPACES = "Amazon Keyspaces"
    SCYLLA = "ScyllaDB"


class Promise(Enum):
    """What the ledger promises, and a cluster may not be able to keep."""

    STAMPS = "loads and statements that are safe to repeat"
    WHO = "who wrote a cell"
    ELEMENTS = "who wrote an element of a collection"
    UNDO = "undoing a run"
    CLAIMS = "claims"


@dataclass(frozen=True, slots=True)
class Server:
    """A cluster, as far as promises go.

    Attributes:
        product: What kind it is.
        version: Major and minor version of Cassandra that it is, or says it is like.
    """

    product: Product
    version: tuple[int, int]

    def __str__(self) -> str:
        if self.product is not Product.CASSANDRA:
            return str(self.product.value)
        return f"{self.product.value} {'.'.join(map(str, self.version))}"


# Keyspaces that only this kind of cluster has.
_SIGNS = {
    "system_schema_mcs": Product.KEYSPACES,
    "datastax_sla": Product.ASTRA,
    "system_distributed_everywhere": Product.SCYLLA,
}
_OLDEST = (4, 1)
_ELEMENT_TIMES_SINCE = (5, 0)

_LEVELS = (
    "it reads at ONE, LOCAL_ONE and LOCAL_QUORUM only, and the clocks are read at SERIAL, their "
    "blocks at QUORUM"
)
_WINDOW = "it refuses write times that are more than 2 days old"
_NO_KEYSPACE = (
    "it has no CREATE KEYSPACE, so its ledger cannot be made, and takes writes at LOCAL_QUORUM or "
    "EACH_QUORUM only, where the ledger writes at QUORUM"
)
_NO_ELEMENT_TIMES = "WRITETIME of a whole collection that is not frozen is not in its CQL"
_FOLLOWS = "it keeps no stamps that could be followed back"

_REFUSED: Mapping[Product, Mapping[Promise, str]] = {
    Product.CASSANDRA: {},
    Product.KEYSPACES: {
        Promise.STAMPS: _LEVELS,
        Promise.WHO: _FOLLOWS,
        Promise.ELEMENTS: _FOLLOWS,
        Promise.UNDO: f"{_WINDOW}, and an undoing writes at those of the run",
        Promise.CLAIMS: "a claim whose answer was lost is looked up by a read at SERIAL, which it "
        "does not have",
    },
    Product.ASTRA: {
        Promise.STAMPS: _NO_KEYSPACE,
        Promise.WHO: _FOLLOWS,
        Promise.ELEMENTS: _FOLLOWS,
        Promise.UNDO: _FOLLOWS,
        Promise.CLAIMS: _NO_KEYSPACE,
    },
    Product.SCYLLA: {Promise.ELEMENTS: _NO_ELEMENT_TIMES},
}


def server_of(release: str, keyspaces: Collection[str]) -> Server:
    """Tell what a cluster is.

    Args:
        release: `release_version` of `system.local`.
        keyspaces: The names of all its keyspaces.
    """
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    signs = (product for sign, product in _SIGNS.items() if sign in keyspaces)
    return Server(next(signs, Product.CASSANDRA), version)


def refused(server: Server) -> dict[Promise, str]:
    """Return the promises that a cluster cannot keep, each with the reason."""
    if server.product is not Product.CASSANDRA:
        return dict(_REFUSED[server.product])
    if server.version < _OLDEST:
        named = ".".join(map(str, _OLDEST))
        return dict.fromkeys(Promise, f"the ledger is made for {named} and later")
    if server.version < _ELEMENT_TIMES_SINCE:
        return {Promise.ELEMENTS: _NO_ELEMENT_TIMES}
    return {}


def read_server(session: Session) -> Server:
    """Ask a cluster what it is. Raises what `Session.execute` does."""
    row = session.execute(_LOCAL, idempotent=True).one()
    keyspaces = session.execute(_KEYSPACES, idempotent=True).rows
    release = row["release_version"] if row is not None else ""
    return server_of(release or "", {found["keyspace_name"] for found in keyspaces})


def require(server: Server, promise: Promise) -> None:
    """Refuse what a cluster cannot keep, before anything is written.

    Raises:
        NoStampsError: It cannot keep the promise; says why.
    """
    reason = refused(server).get(promise)
    if reason is not None:
        raise NoStampsError(
            f"{server} does not keep a promise of the ledger, {promise.value}: {reason}",
            hint="docs/reference/external-clusters.md has what works there. Loads without a key "
            "go on without stamps.",
        )
