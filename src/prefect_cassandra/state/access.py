"""What every use of `prefect_state` has in common: how sure it asks, and what its errors say."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect_cassandra.driver.sharing import shared_session
from prefect_cassandra.errors import DataError, PermissionDeniedError, StateError, StatementError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect_cassandra.driver.config import ClusterConfig
    from prefect_cassandra.driver.session import Session

# A run may go on in another datacenter, so a majority of all is asked, not of the nearest ones.
QUORUM = "QUORUM"
SERIAL = "SERIAL"
# A partition key of Cassandra may have 65,535 bytes.
LONGEST_KEY = 65_535


def state_session(config: ClusterConfig) -> Session:
    """Return this process's session for a cluster's state.

    Conditional writes must agree across datacenters: with LOCAL_SERIAL, two of them could hold one
    lock at the same time. And what they commit must be seen by reads of a majority.
    """
    return shared_session(replace(config, consistency=QUORUM, serial_consistency=SERIAL))


def check_key(key: str) -> str:
    """Return `key` if it can be one.

    Raises:
        DataError: It is empty or longer than what Cassandra takes.
    """
    size = len(key.encode())
    if not 0 < size <= LONGEST_KEY:
        raise DataError(
            f"a storage key of {size:,} bytes cannot be kept",
            hint=f"Use 1 to {LONGEST_KEY:,} bytes; a hash serves for what is longer.",
        )
    return key


@contextmanager
def state_access() -> Iterator[None]:
    """Say in words of the shared state that it is not there, or not for this role.

    Raises:
        StateError: So it is.
    """
    try:
        yield
    except StatementError as error:
        raise StateError(
            f"the cluster keeps no shared state: {error.message}",
            hint="`prefect-cassandra schema apply` makes the tables of prefect_state; on "
            "Kubernetes an upgrade of the release does.",
        ) from error
    except PermissionDeniedError as error:
        raise StateError(
            f"this role may not use prefect_state: {error.message}",
            hint="Use a block that logs in as the role prefect_state; no flow's role may.",
        ) from error
