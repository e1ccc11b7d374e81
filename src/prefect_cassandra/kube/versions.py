"""Keeps versions of a release's deployments: begun before the server is told, ended by its word."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect_cassandra.errors import PlatformError, PrefectCassandraError
from prefect_cassandra.kube.definitions import find_definition
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.ledger import versions_of
from prefect_cassandra.kube.server import reached
from prefect_cassandra.ledger.versions import find_deployment, in_use, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.ledger.version_store import VersionStore
    from prefect_cassandra.ledger.versions import Origin, Standing, Version
    from prefect_cassandra.project.asking import Ask


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a history.

    Attributes:
        version: The version.
        standing: What became of it.
    """

    version: Version
    standing: Standing


def history(release: Release, name: str, tell: Callable[[str], None]) -> list[Entry]:
    """Return the versions of a deployment, the newest first.

    Args:
        release: Whose.
        name: `flow/deployment` or the last part alone; empty for the version of each deployment
            that is in use, or the newest one where none is.
        tell: Called when the server does not answer, so that only the ledger is told.

    Raises:
        LedgerError: The ledger cannot be reached.
        VersionError: There is no such deployment.
    """
    installed = read_installation(release)
    with versions_of(release, installed) as store:
        known = store.deployments()
        wanted = [find_deployment(known, name)] if name else known
        versions = {one: store.read(one) for one in wanted}
    served: dict[str, str | None] = dict.fromkeys(wanted)
    try:
        with reached(release, installed) as ask:
            served = {one: served_label(ask, one) for one in wanted}
    except PlatformError as error:
        tell(f"by the ledger alone, because the server does not answer: {error.message}")
    if name:
        return entries(versions[wanted[0]], served[wanted[0]])
    return [newest_entry(versions[one], served[one]) for one in wanted]


def entries(versions: Sequence[Version], served: str | None) -> list[Entry]:
    """Return a line for each version, in their order."""
    current = in_use(versions, served)
    return [Entry(one, standing(one, current)) for one in versions]


def newest_entry(versions: Sequence[Version], served: str | None) -> Entry:
    """Return the line of the version in use; of the newest one where none is."""
    found = entries(versions, served)
    return next((one for one in found if one.standing == "in use"), found[0])


def served_label(ask: Ask, deployment: str) -> str:
    """Return the version that the server has of a deployment; empty when it has none."""
    found = find_definition(ask, deployment)
    return found[0] if found else ""


@contextmanager
def recorded(
    store: VersionStore, ask: Ask, deployments: Sequence[str], origin: Origin
) -> Iterator[list[Version]]:
    """Begin a version of each deployment, and end it after the block by what the server has then.

    The block registers them under the labels of the versions that are yielded. Whether it went well
    or not, the server is asked: of several deployments some may have been registered.

    Raises:
        LedgerError: A version cannot be begun; nothing was registered.
    """
    begun: list[Version] = []
    try:
        for one in deployments:
            begun.append(store.begin(one, origin))  # noqa: PERF401 -- what was begun must be ended
        yield begun
    except BaseException:
        # What failed first is what the person should read.
        with suppress(PrefectCassandraError):
            _give_up(store, ask, begun)
        raise
    overtaken = _end(store, ask, begun)
    if overtaken:
        raise PlatformError(
            f"The server has another version of {', '.join(overtaken)} than was just registered.",
            hint="Somebody else registered it at the same moment: `flows history` tells who.",
        )


def _end(store: VersionStore, ask: Ask, begun: Sequence[Version]) -> list[str]:
    """Note what the server has of each version; returns the deployments where it has another.

    Those stay unfinished: the server had them for a moment, and nobody knows any more what exactly.
    """
    overtaken = []
    for version in begun:
        found = find_definition(ask, version.deployment)
        if found is not None and found[0] == version.label:
            store.finish(version, found[1])
        else:
            overtaken.append(version.deployment)
    return overtaken


def _give_up(store: VersionStore, ask: Ask, begun: Sequence[Version]) -> None:
    """Note as failed what the server does not have.

    What it has stays unfinished: it may lack its triggers, which are registered last, and a version
    that is not whole must never be restored.
    """
    for version in begun:
        if served_label(ask, version.deployment) != version.label:
            store.fail(version)
