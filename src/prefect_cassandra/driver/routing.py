"""Which node a request goes to."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from cassandra.policies import DCAwareRoundRobinPolicy, HostDistance, TokenAwarePolicy

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        key = query.routing_key if query is not None else None
        near: list[Any] = []
        if key is not None and keyspace is not None:
            replicas = self._cluster_metadata.get_replicas(keyspace, key)
            near = [host for host in replicas if self._is_near(host)]
            random.shuffle(near)
        yield from near
        for host in self._child_policy.make_query_plan(keyspace, query):
            if host not in near and self.distance(host) != HostDistance.IGNORED:
                yield host

    def _is_near(self, host: Any) -> bool:
        return bool(host.is_up) and bool(self.distance(host) == HostDistance.LOCAL)
