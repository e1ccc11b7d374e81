"""One reconciler at a time: a Lease of Kubernetes', renewed while it works.

Holders compare `renewTime` with their own clock, so the clocks of the nodes have to agree within
the Lease's duration. Two that worked at once would do no harm, only work twice: each looks again
before it acts, and the server and the Jobs' uids refuse the second.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect_cassandra.errors import PrefectCassandraError
from prefect_cassandra.kube.doctor.cluster_api import in_namespace
from prefect_cassandra.kube.doctor.pods import moment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from prefect_cassandra.kube.doctor.cluster_api import ClusterApi

Object = dict[str, Any]

DURATION = 30
_GROUP = "coordination.k8s.io/v1"
_RENEWALS = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants which Lease.

    Args:
        namespace: Its namespace.
        name: Its name.
        holder: Who wants it: a name that nobody else has.
        duration: Seconds after which one that is not renewed is free.
    """

    namespace: str
    name: str
    holder: str
    duration: int = DURATION


def taken(found: Object | None, claim: Claim, now: datetime) -> Object | None:
    """Return the Lease as the claimant would write it; None while somebody else holds it.

    Args:
        found: As it is; None when there is none.
        claim: Who wants it.
        now: With a time zone.
    """
    old = (found or {}).get("spec") or {}
    holder, renewed = str(old.get("holderIdentity") or ""), moment(old.get("renewTime"))
    length = timedelta(seconds=float(old.get("leaseDurationSeconds") or claim.duration))
    is_mine = holder == claim.holder
    if holder and not is_mine and renewed is not None and now < renewed + length:
        return None
    began = old.get("acquireTime") if is_mine else None
    spec = {
        "holderIdentity": claim.holder,
        "leaseDurationSeconds": claim.duration,
        "acquireTime": began or _micro(now),
        "renewTime": _micro(now),
        "leaseTransitions": int(old.get("leaseTransitions") or 0) + (not is_mine),
    }
    return _lease(claim, found, spec)


def given_up(found: Object, claim: Claim) -> Object | None:
    """Return the Lease without its holder; None when it is not the claimant's to give."""
    spec = dict(found.get("spec") or {})
    # Left out: an empty name is no name to Kubernetes.
    if spec.pop("holderIdentity", "") != claim.holder:
        return None
    return _lease(claim, found, spec)


class Lease:
    """A Lease that one process wants, has or had.

    Args:
        cluster: Kubernetes' API.
        claim: Who wants which.
        clock: Seconds, never going back.
    """

    def __init__(self, cluster: ClusterApi, claim: Claim, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._claim = claim
        self._clock = clock
        self._until = float("-inf")

    @property
    def is_held(self) -> bool:
        """Tell whether nobody else can have it yet, by our own clock."""
        return self._clock() < self._until

    async def take(self) -> bool:
        """Take or renew it; false when somebody else has it or was faster.

        Raises:
            AuthenticationError, PermissionDeniedError, PlatformError: The cluster does not answer,
                or refuses.
        """
        # From before the request: what is renewed lasts from then at least.
        began = self._clock()
        found = await self._cluster.get(self._path(self._claim.name))
        wanted = taken(found, self._claim, datetime.now(UTC))
        if wanted is None:
            self._until = float("-inf")
            return False
        if found is None:
            made = await self._cluster.attempt("POST", self._path(), wanted)
        else:
            made = await self._cluster.attempt("PUT", self._path(self._claim.name), wanted)
        self._until = began + self._claim.duration if made else float("-inf")
        return made is not None

    async def give_up(self) -> None:
        """Leave it to the next, who need not wait then; a cluster that is away gets it later."""
        self._until = float("-inf")
        with suppress(PrefectCassandraError):
            found = await self._cluster.get(self._path(self._claim.name))
            if found and (free := given_up(found, self._claim)):
                await self._cluster.attempt("PUT", self._path(self._claim.name), free)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew it in the background while the block runs, and give it up after."""
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            await self.give_up()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._claim.duration / _RENEWALS)
            if not self.is_held:
                # Somebody may have it: the next pass asks.
                continue
            # Whatever the cluster says, a token that it does not know for a moment included: this
            # has to go on for as long as the process does.
            with suppress(PrefectCassandraError):
                await self.take()

    def _path(self, name: str = "") -> str:
        return in_namespace(self._claim.namespace, "leases", name, group=_GROUP)


def _lease(claim: Claim, found: Object | None, spec: Object) -> Object:
    # With the version that was read, so that whoever wrote after that wins.
    metadata = (found or {}).get("metadata") or {"name": claim.name, "namespace": claim.namespace}
    return {"apiVersion": _GROUP, "kind": "Lease", "metadata": metadata, "spec": spec}


def _micro(when: datetime) -> str:
    """Return a time as Kubernetes' MicroTime wants it: always with six digits."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
