"""Opens the ledger of a release from this machine, with the login of role `prefect_ledger`."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect_cassandra.driver.session import Session
from prefect_cassandra.errors import (
    AuthenticationError,
    LedgerError,
    NotAppliedError,
    PlatformError,
    StatementError,
    UnreachableError,
)
from prefect_cassandra.kube.cassandra import connected
from prefect_cassandra.ledger.version_store import VersionStore
from prefect_cassandra.project.environment import LOOPBACK
from prefect_cassandra.schema.model import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.kube.installation import InstalledRelease
    from prefect_cassandra.kube.kubectl import Release

_AWAY = (UnreachableError, AuthenticationError, NotAppliedError, PlatformError)


@contextmanager
def versions_of(release: Release, installed: InstalledRelease) -> Iterator[VersionStore]:
    """Open the versions of a release's deployments while the block runs, and see that they answer.

    Raises:
        LedgerError: The database cannot be reached or refuses us, or has no such table.
    """
    where = f"release {release.name} in namespace {release.namespace}"
    with ExitStack() as stack:
        try:
            config = stack.enter_context(connected(release, installed, LEDGER))
            # Behind a forwarded port is one node; the addresses of the others lead nowhere.
            forwarded = config.contact_points == (LOOPBACK,)
            reachable = replace(config, only_contact_points=forwarded)
            session = stack.enter_context(closing(Session(reachable)))
            store = VersionStore(session, f"{release.namespace}/{release.name}")
            store.deployments()
        except StatementError as error:
            raise LedgerError(
                f"The ledger of {where} keeps no versions: {error.message}",
                hint="Its bootstrap Job makes the table: upgrade the release with this chart.",
            ) from error
        except _AWAY as error:
            raise LedgerError(
                f"The ledger of {where} cannot be reached: {error.message}",
                hint=error.hint or f"Look with: {release.command('get pods')}",
            ) from error
        yield store
