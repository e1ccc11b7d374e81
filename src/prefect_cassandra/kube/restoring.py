"""`flows rollback` and `flows promote`: an earlier version, or one from elsewhere, in use again.

Both register a definition that was in use before, with the image it had, as a new version. Neither
touches the Helm release, and a rollback does not touch the schema: migrations only add, so what an
older image needs is there still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prefect_cassandra.errors import ConfigurationError, PlatformError, VersionError
from prefect_cassandra.kube.definitions import image_of, moved, put_definition
from prefect_cassandra.kube.deployments import NO_LOGIN, save_blocks
from prefect_cassandra.kube.images import Image
from prefect_cassandra.kube.installation import read_installation
from prefect_cassandra.kube.jobs import migrations_job, run_job
from prefect_cassandra.kube.ledger import versions_of
from prefect_cassandra.kube.origin import origin_of
from prefect_cassandra.kube.push import require_pool
from prefect_cassandra.kube.server import reached
from prefect_cassandra.kube.versions import recorded, served_label
from prefect_cassandra.ledger.versions import before, find_deployment, in_use, named

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect_cassandra.kube.installation import InstalledRelease
    from prefect_cassandra.kube.kubectl import Release
    from prefect_cassandra.ledger.version_store import VersionStore
    from prefect_cassandra.ledger.versions import Definition, Version


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which version of which deployment a person means.

    Args:
        deployment: `flow/deployment`, or the last part alone.
        number: Of the version; None for the one before that in use where it is rolled back, for the
            one in use where it is promoted.
    """

    deployment: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in use.

    Attributes:
        version: The new version.
        source: The version it was taken from.
    """

    version: Version
    source: Version


def rollback(root: Path, release: Release, wanted: Wanted, tell: Callable[[str], None]) -> Restored:
    """Put an earlier version of a deployment in use again, as a new version.

    Args:
        root: A folder of the person's, where git knows who they are.
        release: Whose deployment.
        wanted: Which version of which of its deployments.
        tell: Called with a line for each thing that is about to be done.

    Raises:
        VersionError: There is no such deployment or version.
        LedgerError: The ledger cannot be reached; nothing was changed.
        PlatformError: The server refuses; the version is noted as failed.
    """
    installed = read_installation(release)
    with versions_of(release, installed) as store, reached(release, installed) as ask:
        deployment = find_deployment(store.deployments(), wanted.deployment)
        versions = store.read(deployment)
        if wanted.number is None:
            source = before(versions, deployment, served_label(ask, deployment))
        else:
            source = named(versions, deployment, wanted.number)
        definition = _definition(store, source)
        require_queue(definition, installed)
        origin = replace(
            origin_of(root, release, _image(source)),
            git_commit=source.origin.git_commit,
            restored_from=source.number,
        )
        tell(f"registering version {source.number} of {deployment} again, {source.origin.image}")
        with recorded(store, ask, [deployment], origin) as (made,):
            put_definition(ask, definition, made.label)
        return Restored(made, source)


def promote(
    root: Path,
    source: Release,
    target: Release,
    wanted: Wanted,
    tell: Callable[[str], None],
) -> Restored:
    """Put a version of one release's deployment in use in another release, as a new version there.

    Everything is checked before the other release is changed: its ledger and server answer, it has
    the login that the runs need. Then its schema gets the migrations of the image, its server the
    blocks of its keyspaces, and the deployment.

    Args:
        root: A folder of the person's, where git knows who they are.
        source: Release it is taken from.
        target: Release that gets it.
        wanted: Which version of which of the source's deployments.
        tell: Called with a line for each thing that is about to be done.

    Raises:
        ConfigurationError: Both are one release, or the image is where the other cannot pull it.
        VersionError: There is no such deployment or version.
        LedgerError: A ledger cannot be reached; nothing was changed.
        PlatformError: The migrations failed, or the server refuses.
    """
    there = read_installation(target)
    version, definition = _taken(source, wanted)
    require_promotable(version, source, target)
    require_login(definition, there)
    definition = moved(definition, there.work_pool.name)
    require_queue(definition, there)
    with versions_of(target, there) as store, reached(target, there) as ask:
        require_pool(ask, there)
        job = migrations_job(there, version.origin.image)
        for line in run_job(target, job, tell).splitlines():
            tell(line)
        save_blocks(ask, there, tell)
        origin = replace(
            origin_of(root, target, _image(version)),
            git_commit=version.origin.git_commit,
            promoted_from=f"{place(source)} version {version.number}",
        )
        tell(f"registering {version.deployment} with {version.origin.image} in {place(target)}")
        with recorded(store, ask, [version.deployment], origin) as (made,):
            put_definition(ask, definition, made.label)
        return Restored(made, version)


def require_promotable(version: Version, source: Release, target: Release) -> None:
    """Check that another release is meant, and that its cluster can pull the image.

    Raises:
        ConfigurationError: Neither or only one of both.
    """
    if source == target:
        raise ConfigurationError(
            f"{place(source)} is both where the version is and where it should go.",
            hint="Name the other release with --to-release, --to-namespace or --to-context.",
        )
    if not version.digest and source.context != target.context:
        raise ConfigurationError(
            f"The image {version.origin.image} of version {version.number} has no digest, so it is "
            "known to be on the nodes of one cluster only.",
            hint="Push it to a registry that both clusters pull from: "
            "`prefect-cassandra flows push --registry ...`.",
        )


def require_login(definition: Definition, installed: InstalledRelease) -> None:
    """Check that a release has the login that the runs of a deployment ask for.

    Raises:
        PlatformError: It has not.
    """
    login = str(definition["deployment"].get("job_variables", {}).get("login") or NO_LOGIN)
    if login != NO_LOGIN:
        installed.login_secret(login.replace("-", "_"))


def require_queue(definition: Definition, installed: InstalledRelease) -> None:
    """Check that a release has the queue of a deployment; Prefect would make one, without limits.

    Raises:
        PlatformError: It has not.
    """
    queue, pool = definition["deployment"].get("work_queue_name"), installed.work_pool
    if queue and pool.queues and queue not in pool.queues:
        raise PlatformError(
            f"Work pool {pool.name} of release {installed.release} in namespace "
            f"{installed.namespace} has no queue {queue}; it has {', '.join(pool.queues)}.",
            hint="Add it to workPool.queues in that release's values, and upgrade the release.",
        )


def place(release: Release) -> str:
    """Return how a release is called in the record: context if one was named, namespace, name."""
    return "/".join(part for part in (release.context, release.namespace, release.name) if part)


def _taken(release: Release, wanted: Wanted) -> tuple[Version, Definition]:
    """Return the version to take from a release, and what its server was told for it."""
    installed = read_installation(release)
    with versions_of(release, installed) as store, reached(release, installed) as ask:
        deployment = find_deployment(store.deployments(), wanted.deployment)
        versions = store.read(deployment)
        number = wanted.number
        if number is None:
            current = in_use(versions, served_label(ask, deployment))
            if current is None:
                raise VersionError(
                    f"What {place(release)} has of {deployment} is no version of the ledger.",
                    hint="Name one with --version; `flows history` lists them.",
                )
            number = current.number
        version = named(versions, deployment, number)
        return version, _definition(store, version)


def _definition(store: VersionStore, version: Version) -> Definition:
    found = store.definition(version)
    if found is None or image_of(found) != version.origin.image:
        raise PlatformError(
            f"The ledger's definition of version {version.number} of {version.deployment} is "
            "missing or names another image; it was changed by hand."
        )
    return found


def _image(version: Version) -> Image:
    repository = version.origin.image.partition("@")[0].removesuffix(f":{version.origin.image_tag}")
    return Image(repository, version.origin.image_tag, version.digest)
