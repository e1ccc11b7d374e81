"""Looks, decides and acts, again and again; or once for a person who asks."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
import uuid
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.errors import PlatformError, PrefectCassandraError
from prefect_cassandra.kube.doctor.access import prefect_server
from prefect_cassandra.kube.doctor.cluster_api import connected, in_namespace
from prefect_cassandra.kube.doctor.prefect_api import PrefectApi
from prefect_cassandra.kube.health import served
from prefect_cassandra.kube.installation import THING, installation_in
from prefect_cassandra.kube.reconciling.acting import Actor, described
from prefect_cassandra.kube.reconciling.decisions import Rules, decide_all
from prefect_cassandra.kube.reconciling.lease import Claim, Lease
from prefect_cassandra.kube.reconciling.observing import Observer, Place
from prefect_cassandra.kube.reconciling.patience import Patience

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.kube.reconciling.acting import Outcome
    from prefect_cassandra.kube.reconciling.decisions import Action
    from prefect_cassandra.settings import ReconcilerSettings

# So many intervals without a try are an illness; one that fails is not.
_ILL_AFTER = 10


@dataclass(frozen=True, slots=True)
class Where:
    """Which release is put right, and from where.

    Args:
        release: The Helm release.
        inside: Whether this is a pod of it, whose own ServiceAccount asks.
    """

    release: Release
    inside: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """What one pass came to.

    Args:
        runs: How many runs were looked at.
        jobs: How many Jobs.
        actions: What there was to do.
        outcomes: What became of it; empty when nothing was to be done yet, or at all.
    """

    runs: int
    jobs: int
    actions: tuple[Action, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


class Reconciler:
    """Makes passes over one release.

    Args:
        observer: Looks.
        actor: Acts.
        lease: Without it nothing is done; None for passes that do nothing.
        rules: How long things may last.
        settle: Seconds for which a decision has to stand.
    """

    def __init__(
        self, observer: Observer, actor: Actor, lease: Lease | None, rules: Rules, settle: float
    ) -> None:
        self._observer = observer
        self._actor = actor
        self._lease = lease
        self._rules = rules
        self._patience = Patience(settle)

    async def look(self) -> Findings:
        """Look and decide, and do nothing.

        Raises:
            UnreachableError, AuthenticationError, PermissionDeniedError, PlatformError: One of the
                APIs does not say.
        """
        sight = await self._observer.look(self._rules.revive_within)
        jobs = sum(len(found) for found in sight.jobs.values())
        return Findings(len(sight.runs), jobs, tuple(decide_all(sight, self._rules)))

    async def pass_once(self) -> Findings:
        """Look, and do what has stood for long enough.

        Raises:
            UnreachableError, AuthenticationError, PermissionDeniedError, PlatformError: One of the
                APIs does not do as asked; what is left is decided anew in the next pass.
        """
        found = await self.look()
        outcomes = []
        for action in self._patience.due(found.actions, time.monotonic()):
            if self._lease is None or not self._lease.is_held:
                break
            outcomes.append(await self._actor.carry_out(action))
        return Findings(found.runs, found.jobs, found.actions, tuple(outcomes))


def rules_of(settings: ReconcilerSettings) -> Rules:
    """Return the rules that the settings say."""
    names = Rules.__dataclass_fields__
    return Rules(**{name: getattr(settings, name) for name in names})


def line_of(outcome: Outcome) -> str:
    """Return what became of a decision, as a line of a log."""
    run = outcome.action.run
    text = described(outcome.action) if outcome.is_done else f"left alone: {outcome.text}"
    return f"run {run.name} ({run.id}): {text}"


async def look_once(where: Where, settings: ReconcilerSettings) -> Findings:
    """Say what there is to do, and do nothing: one look, without waiting whether it lasts.

    Raises:
        ConfigurationError: There is no way into the cluster.
        PlatformError: There is no such release, or it has no work pool.
        UnreachableError, AuthenticationError, PermissionDeniedError: One of the APIs does not say.
    """
    async with _opened(where, settings, lambda _: None) as (reconciler, _):
        return await reconciler.look()


async def reconcile_once(
    where: Where, settings: ReconcilerSettings, tell: Callable[[str], None]
) -> Findings:
    """Look twice, `settle` seconds apart, and do what both looks come to.

    Raises:
        PlatformError: Another reconciler is at work, or as in `look_once`.
        ConfigurationError, UnreachableError, AuthenticationError, PermissionDeniedError: As there.
    """
    async with _opened(where, settings, tell) as (reconciler, lease):
        if not await lease.take():
            raise PlatformError(
                f"Another reconciler works on release {where.release.name}.",
                hint="It does the same; --dry-run shows what it finds without being in its way.",
            )
        async with lease.kept():
            found = await reconciler.pass_once()
            if not found.actions or found.outcomes:
                return found
            tell(f"{len(found.actions)} to put right; looking again in {settings.settle:g} s")
            await asyncio.sleep(settings.settle)
            return await reconciler.pass_once()


async def reconcile(
    where: Where,
    settings: ReconcilerSettings,
    tell: Callable[[str], None],
    health: tuple[str, int],
) -> None:
    """Put runs and Jobs right until SIGTERM or SIGINT; one of several does, the others stand by.

    Args:
        where: Which release.
        settings: How often, and how long things may last.
        tell: Called with a line for each thing that was done or failed.
        health: Address and port of the health server.

    Raises:
        ConfigurationError, PlatformError, PermissionDeniedError: It cannot be begun at all.
    """
    stop = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    tried = time.monotonic()

    def is_healthy() -> bool:
        return time.monotonic() - tried < _ILL_AFTER * settings.interval

    with served(*health, is_healthy):
        async with _opened(where, settings, tell) as (reconciler, lease), lease.kept():
            tell(f"looking every {settings.interval:g} s at release {where.release.name}")
            while not stop.is_set():
                tried = time.monotonic()
                try:
                    if lease.is_held or await lease.take():
                        for outcome in (await reconciler.pass_once()).outcomes:
                            tell(line_of(outcome))
                except PrefectCassandraError as error:
                    # What was not seen is not acted on; the next look may see it.
                    tell(f"this pass broke off: {error.message}")
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), settings.interval)


@asynccontextmanager
async def _opened(
    where: Where, settings: ReconcilerSettings, tell: Callable[[str], None]
) -> AsyncIterator[tuple[Reconciler, Lease]]:
    """Reach both APIs while the block runs."""
    release = where.release
    async with connected(release.context, inside=where.inside) as cluster:
        name = release.object(THING)
        found = await cluster.get(in_namespace(release.namespace, "configmaps", name))
        installed = installation_in(found, release)
        if not (installed.work_pool.enabled and installed.server.api_url):
            raise PlatformError(
                f"Release {release.name} in namespace {release.namespace} has no worker, so there "
                "are no runs of its to put right.",
                hint="Reconcile the release whose worker makes the Jobs: worker.enabled=true.",
            )
        with prefect_server(release, installed, inside=where.inside) as server:
            prefect, rules = PrefectApi(server), rules_of(settings)
            place = Place(release.name, release.namespace, installed.work_pool.name)
            observer = Observer(cluster, prefect, place)
            # Two that run on one machine are two as well.
            holder = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
            claim = Claim(release.namespace, release.object("reconciler"), holder)
            lease = Lease(cluster, claim, time.monotonic)
            actor = Actor(cluster, prefect, observer, rules, tell)
            yield Reconciler(observer, actor, lease, rules, settings.settle), lease
