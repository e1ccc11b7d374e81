"""Which node a request goes to."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from cassandra.metadata import Murmur3Token
from cassandra.policies import DCAwareRoundRobinPolicy, HostDistance, TokenAwarePolicy

from prefect_cassandra.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect_cassandra.driver.session import Session


class ReplicaRouting(TokenAwarePolicy):  # type: ignore[misc]  # the driver has no types
    """A live replica of the local datacenter first, then its other nodes; the last to fail last.

    The driver's own policy can shuffle replicas too, but shuffles the token map's list in place:
    threads that walk the same list then skip nodes or meet them twice.

    Args:
        local_datacenter: The near one; that of the first contact point when not given.
        only: Addresses of the only nodes to use; every node when not given.
    """

    def __init__(self, local_datacenter: str | None, only: frozenset[str] | None = None) -> None:
        self._only = only
        # With no name the child takes the datacenter of the contact point it meets first; that
        # there is only one is checked after connecting (`connect.require_one_datacenter`).
        super().__init__(DCAwareRoundRobinPolicy(local_datacenter or ""))

    def distance(self, host: Any) -> Any:
        """Say how near a node is; one that is not to be used is not connected to."""
        if self._only is not None and host.address not in self._only:
            return HostDistance.IGNORED
        return self._child_policy.distance(host)

    def make_query_plan(self, working_keyspace: str | None = None, query: Any = None) -> Any:
        """Yield the nodes to try, in order."""
        avoided = getattr(query, "avoided_host", None)
        plan = self._hosts(working_keyspace, query)
        if avoided is None:
            return plan
        hosts = list(plan)
        return iter(sorted(hosts, key=lambda host: bool(host == avoided)))

    def _hosts(self, working_keyspace: str | None, query: Any) -> Iterator[Any]:
        keyspace = getattr(query, "keyspace", None) or working_keyspace
        near = [host for host in self._replicas(keyspace, query) if self._is_near(host)]
        random.shuffle(near)
        yield from near
        for host in self._child_policy.make_query_plan(keyspace, query):
            if host not in near and self.distance(host) != HostDistance.IGNORED:
                yield host

    def _replicas(self, keyspace: str | None, query: Any) -> Iterable[Any]:
        """Return the nodes that hold what a request is about; none when it does not say."""
        if query is None or keyspace is None:
            return ()
        token = getattr(query, "scan_token", None)
        if token is not None:
            # A read of a token range names no key, so that the driver knows no replica for it.
            token_map = self._cluster_metadata.token_map
            return token_map.get_replicas(keyspace, Murmur3Token(token)) if token_map else ()
        key = query.routing_key
        return () if key is None else self._cluster_metadata.get_replicas(keyspace, key)

    def _is_near(self, host: Any) -> bool:
        return bool(host.is_up) and bool(self.distance(host) == HostDistance.LOCAL)


def token_owners(session: Session, keyspace: str) -> dict[int, tuple[str, ...]]:
    """Return the tokens of the ring and, for each, the addresses of the nodes that hold its rows.

    A token ends the range of rows it stands for. Empty when the driver knows no ring yet: where a
    scan is cut is a matter of speed only.

    Raises:
        ConfigurationError: The cluster's partitioner is not Murmur3Partitioner.
    """
    metadata = session.link().cluster.metadata
    token_map = metadata.token_map
    if token_map is None:
        return {}
    if token_map.token_class is not Murmur3Token:
        raise ConfigurationError(
            f"The cluster is partitioned by {metadata.partitioner}, and scans cut the ring of "
            "Murmur3Partitioner only.",
            hint="Query the table by its partition keys instead.",
        )
    return {
        int(token.value): tuple(sorted(host.address for host in nodes))
        for token in token_map.ring
        for nodes in (token_map.get_replicas(keyspace, token),)
    }
